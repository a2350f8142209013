"""The published zoo as typed facts."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from ggn.openmmlab.models import KINDS
from ggn.zoo.rows import METRICS, PUBLISHED, ROWS, published, row


def test_the_rows_and_the_numbers_of_the_papers_tables() -> None:
    assert len(ROWS) == len({entry.split for entry in ROWS}) == 9
    assert (published("coco_voc", "baseline"), published("coco_voc", "GGN")) == (0.199, 0.287)
    assert published("coco_voc_oln", "baseline") is None
    assert published("coco_person", "GOOD", "unseen/box_AR_100") == 0.262
    assert {entry.split: entry.top_k for entry in ROWS if entry.top_k != 3} == {
        "lvis_coco": 1,
        "lvis_noncoco": 1,
        "imagenet": 10,
    }
    udos = next(n for n in PUBLISHED if (n.split, n.method) == ("coco_voc", "UDOS"))
    assert (udos.lowest, udos.value, udos.protocol) == (0.316, 0.343, "budget")


def test_every_number_is_a_share_of_a_known_row_metric_and_protocol() -> None:
    protocols = importlib.import_module("ggn.evaluation.params")
    allowed = {*protocols.EvaluationParams.model_fields["protocol"].annotation.__args__, "unstated"}
    for number in PUBLISHED:
        assert row(number.split)
        assert 0 < (number.lowest or number.value) <= number.value < 1, number
        assert number.metric in METRICS
        assert number.protocol in allowed
        assert re.search(r"arXiv:\d{4}\.\d{5}$", number.source)
    keys = Counter((n.split, n.method, n.metric) for n in PUBLISHED)
    assert max(keys.values()) == 1
    assert {n.split for n in PUBLISHED} == {entry.split for entry in ROWS} - {"imagenet"}


def test_the_readmes_protocols_are_those_of_the_methods() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    for name, methods in re.findall(r"^\| `(\w+)`[^|]*\| ([^|]+) \|", readme, re.MULTILINE):
        for number in PUBLISHED:
            if number.method in methods.split(", "):
                assert number.protocol == name, number


def test_released_weights_name_a_network_and_nothing_else_does() -> None:
    for entry in ROWS:
        assert len({file.name for file in entry.files}) == len(entry.files)
        for file in entry.files:
            assert (file.model in KINDS) == (file.kind in {"affinity", "detector"})
            assert (file.model == "pa") == (file.kind == "affinity")


def test_what_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(ValueError, match=r"no published row 'shapes'; there are coco_person, "):
        row("shapes")
    message = r"coco_voc_oln: no released file 'affinity'; released were: ggn"
    with pytest.raises(ValueError, match=message):
        row("coco_voc_oln").file("affinity")
    with pytest.raises(ValueError, match=r"coco_ade20k: .*: none"):
        row("coco_ade20k").file("ggn")
