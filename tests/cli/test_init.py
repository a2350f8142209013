"""`ggn init` adds a split that fits the dataset; when it refuses, everything stays as it was."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ggn.cli import app
from ggn.cli.cost import told
from ggn.cli.params_file import with_split
from ggn.cli.proposal import Size, propose
from ggn.data.shapes import ShapesParams, make_shapes
from ggn.data.survey import Survey
from pipelines.stage import ParamsError, load_params, read_params

PARAMS = Path(__file__).parents[2] / "params.yaml"
ACTIVE = re.findall(r"(?m)^active: *\[.*?\]", PARAMS.read_text("utf-8"))[0]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, photos/ and all.json."""
    make_shapes(ShapesParams(train_images=12, val_images=1), tmp_path / "shapes")
    shutil.copy(PARAMS, tmp_path)
    (tmp_path / "shapes" / "train").rename(tmp_path / "photos")
    (tmp_path / "shapes" / "annotations" / "instances_train.json").rename(tmp_path / "all.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str) -> Result:
    usual = ["init", "mine", "all.json", "--images", "photos", "--seen", "disc,cross"]
    return CliRunner().invoke(app, [*usual, *words])


@pytest.mark.parametrize("size", ["small", "medium", "reference"])
def test_a_new_split_is_active_and_valid(checkout: Path, size: Size) -> None:
    before = (checkout / "params.yaml").read_text("utf-8")
    answer = init("--size", size, "--val-share", "0.25")
    assert answer.exit_code == 0, answer.output
    assert "data/raw/mine/train.json: 9 images" in answer.output
    assert "`dvc repro` will take about" in answer.output
    after = (checkout / "params.yaml").read_text("utf-8")
    document = read_params()
    assert document["active"] == ["mine"]
    data: Any = load_params("mine", document)["data"]
    assert data.seen == ["disc", "cross"]
    kept = before.replace(ACTIVE, "active: [mine]").rstrip("\n")
    assert after.startswith(kept), "the rest of the file is as it was"
    held_out = json.loads((checkout / data.root / data.val_annotations).read_text("utf-8"))
    assert len(held_out["images"]) == 3


def test_given_validation_files_are_taken_as_they_are(checkout: Path) -> None:
    answer = init("--val", "all.json")
    assert answer.exit_code == 0, answer.output
    assert not (checkout / "data").exists()
    data: Any = load_params("mine")["data"]
    assert (data.train_annotations, data.val_images) == ("all.json", "photos")


def without_an_image(root: Path) -> None:
    next((root / "photos").iterdir()).unlink()


def with_files(root: Path) -> None:
    (root / "data/raw/mine").mkdir(parents=True)
    (root / "data/raw/mine/val.json").write_text("{}")


@pytest.mark.parametrize(
    ("words", "spoil", "message"),
    [
        (["--seen", "disk"], None, "no category is named or numbered 'disk'; there are disc"),
        (["--val-share", "1"], None, "--val-share must be between 0 and 1, got 1"),
        ([], without_an_image, "no such file"),
        ([], with_files, "val.json: already there; --force overwrites"),
    ],
)
def test_what_is_refused_changes_nothing(
    checkout: Path, words: list[str], spoil: Any, message: str
) -> None:
    if spoil:
        spoil(checkout)
    files = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    answer = init(*words)
    assert message in str(answer.exception)
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == files


def test_names_that_are_taken_or_no_names_are_refused(checkout: Path) -> None:
    rest = ["all.json", "--images", "photos", "--seen", "disc"]
    for name, message in (("shapes", "splits.shapes already exists"), ("a/b", "must be a letter")):
        assert message in str(CliRunner().invoke(app, ["init", name, *rest]).exception)


NUCLEI = Survey(86, 2798, (256, 256), 9, 13, 35, 20, 23, 131)
PHOTOGRAPHS = Survey(5000, 20_000, (480, 640), 30, 90, 300, 200, 3, 20)


def test_small_objects_get_small_anchors_and_larger_images() -> None:
    nuclei, photographs = (propose(s, "small", {}) for s in (NUCLEI, PHOTOGRAPHS))
    assert (
        nuclei["detector"]["rpn"]["anchor_scale"] < photographs["detector"]["rpn"]["anchor_scale"]
    )
    assert nuclei["affinity"]["image_scale"] == 2 > photographs["affinity"]["image_scale"] == 1
    assert nuclei["detector"]["max_size"] == [320, 320]
    assert photographs["detector"]["max_size"] == [320, 240]
    assert (nuclei["pseudo_gt"]["top_k"], photographs["pseudo_gt"]["top_k"]) == (11, 1)
    assert (nuclei["grouping"]["min_area"], photographs["grouping"]["min_area"]) == (10, 100)
    assert nuclei["detector"]["detection"]["max_detections"] == 400
    assert nuclei["detector"]["epochs"] > photographs["detector"]["epochs"]


def test_medium_takes_the_recipe_that_learns_from_few_photographs() -> None:
    few = propose(replace(PHOTOGRAPHS, images=343, side_50=37), "medium", {})
    assert few["affinity"]["recipe"] == "photographs"
    assert few["affinity"]["image_scale"] == 1, "the recipe itself predicts at 1.5, too"
    assert few["affinity"]["epochs"] == 22, "7,500 images in all"
    assert few["pseudo_gt"]["top_k"] == 3, "as published, though its images have few seen objects"
    tiny = propose(replace(PHOTOGRAPHS, side_50=20), "medium", {})
    assert tiny["affinity"]["image_scale"] == 2


def test_an_entry_goes_to_the_end_of_splits_wherever_they_stand() -> None:
    text = (
        "seed: 0\nsplits:\n  a: {data: {source: shapes}}\n\n# of the stages\nactive: [a]\n"
        "defaults: {}\n"
    )
    empty = "".join(
        f"    {name}: {{}}\n"
        for name in ("affinity", "grouping", "pseudo_gt", "detector", "evaluation")
    )
    entry = f"  b:\n    data: {{source: shapes}}\n{empty}"
    changed = with_split(text, "b", entry)
    assert changed == text.replace("shapes}}\n", f"shapes}}}}\n\n{entry}").replace("[a]", "[b]")
    with pytest.raises(ParamsError, match="learning_rate: no such key"):
        with_split(text, "b", entry.replace("detector: {}", "detector: {learning_rate: 1}"))


def test_times_as_a_person_says_them() -> None:
    said = [told(seconds) for seconds in (5, 600, 7200, 200_000)]
    assert said == ["a minute", "10 minutes", "2 hours", "2 days"]
