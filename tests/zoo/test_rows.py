"""The published zoo as typed facts."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from ggn.openmmlab.models import MODEL_KINDS
from ggn.zoo.numbers import PUBLISHED, PublishedNumber, published_number
from ggn.zoo.rows import ROWS, row

METRICS = {"mask_AR_100", "box_AR_100", "mask_AP", "mask_F1_100"}


def find(split: str, method: str, metric: str = "unseen/mask_AR_100") -> list[PublishedNumber]:
    return [n for n in PUBLISHED if (n.split, n.method, n.metric) == (split, method, metric)]


def test_the_rows_and_the_numbers_of_the_papers_tables() -> None:
    assert len(ROWS) == len({entry.split for entry in ROWS}) == 10
    assert published_number("coco_voc", ("baseline",)) == 0.199
    assert published_number("coco_voc", ("GGN",)) == 0.287
    assert published_number("coco_voc_oln", ("baseline",)) is None
    assert published_number("coco_lvis", ("baseline", "Mask R-CNN")) == 0.236
    (good,) = find("coco_person", "GOOD", "unseen/box_AR_100")
    assert good.value == 0.262
    assert {entry.split: entry.top_k for entry in ROWS if entry.top_k != 3} == {
        "lvis_coco": 1,
        "lvis_noncoco": 1,
        "imagenet": 10,
    }


def test_sources_that_contradict_each_other_are_both_kept() -> None:
    udos = {(n.lowest, n.value, n.protocol) for n in find("coco_voc", "UDOS")}
    assert udos == {(0.316, 0.343, "budget"), (None, 0.343, "per_class")}
    assert {n.value for n in find("coco_voc", "Mask R-CNN")} == {0.082, 0.177}
    assert {n.value for n in find("coco_voc", "LDET")} == {0.248, 0.274, 0.31}
    assert {n.value for n in find("coco_voc", "GGN")} == {0.283, 0.287}
    (sam,) = find("coco_voc", "SAM")
    assert sam.value == 0.237
    (sos,) = find("coco_voc", "SOS")
    assert (sos.value, "29.3" in sos.note) == (0.393, True)
    on = {n.measured_on for n in PUBLISHED if n.split == "coco_uvo"}
    assert on == {"UVO val, set not stated", "UVO sparse val"}


def test_f1_is_that_of_precision_and_recall() -> None:
    """As printed, to a tenth of a percent; a misprint of SOS was found so."""
    methods = {n.method for n in PUBLISHED if n.metric == "unseen/mask_F1_100"}
    assert len(methods) == 5
    for method in methods:
        (precision,), (recall,), (f1,) = (
            find("coco_voc", method, f"unseen/mask_{name}") for name in ("AP", "AR_100", "F1_100")
        )
        harmonic = 2 / (1 / precision.value + 1 / recall.value)
        assert f1.value == pytest.approx(harmonic, abs=0.0011), method


def test_every_number_is_a_share_of_a_known_row_metric_and_protocol() -> None:
    protocols = importlib.import_module("ggn.evaluation.params")
    allowed = {*protocols.EvaluationParams.model_fields["protocol"].annotation.__args__, "unstated"}
    for number in PUBLISHED:
        partition, _, metric = number.metric.partition("/")
        assert partition == row(number.split).partition
        assert metric in METRICS
        assert 0 < (number.lowest or number.value) <= number.value < 1, number
        assert number.protocol in allowed
        assert number.measured_on
        assert re.search(r"arXiv:\d{4}\.\d{5}|^README of ", number.source)
    keys = Counter((n.split, n.method, n.metric, n.source) for n in PUBLISHED)
    assert max(keys.values()) == 1
    assert {n.split for n in PUBLISHED} == {entry.split for entry in ROWS}


def test_the_readmes_protocols_are_those_of_the_methods_papers() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    for name, methods in re.findall(r"^\| `(\w+)`[^|]*\| ([^|]+) \|", readme, re.MULTILINE):
        for method in methods.split(", "):
            found = {n.protocol for n in PUBLISHED if n.method == method}
            assert name in found, (method, found)


def test_released_weights_name_a_network_and_nothing_else_does() -> None:
    for entry in ROWS:
        assert len({file.name for file in entry.files}) == len(entry.files)
        for file in entry.files:
            assert (file.model in MODEL_KINDS) == (file.kind in {"affinity", "detector"})
            assert (file.model == "pa") == (file.kind == "affinity")
    assert row("imagenet").file("ggn").model == "maskrcnn_gn"
    assert row("coco_voc_oln").file("ggn").model == "oln_mask"


def test_addresses_are_the_links_that_people_share() -> None:
    urls = [file.url for entry in ROWS for file in entry.files if file.url is not None]
    assert len(urls) == len(set(urls)) == 23
    for url in urls:
        assert re.fullmatch(r"https://drive\.google\.com/file/d/[-\w]{33}/view", url)


def test_what_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(ValueError, match=r"no published row 'shapes'; there are coco_person, "):
        row("shapes")
    message = r"coco_voc_oln: no released file 'affinity'; released were: ggn"
    with pytest.raises(ValueError, match=message):
        row("coco_voc_oln").file("affinity")
    with pytest.raises(ValueError, match=r"coco_ade20k: .*: none"):
        row("coco_ade20k").file("ggn")
