"""The synthetic dataset: the same from the same seed, valid COCO, and as hard as it should be."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from ggn.core.coco import annotations_by_image, read_coco
from ggn.core.masks import decode
from ggn.data.check import check_dataset
from ggn.data.shapes import (
    SEEN_FAMILIES,
    UNSEEN_FAMILIES,
    Scene,
    ShapesParams,
    draw_scene,
    make_shapes,
)

FEW = ShapesParams(train_images=6, val_images=3)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Forty training images as the defaults draw them."""
    return [draw_scene(ShapesParams(), "train", index) for index in range(40)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("shapes")
    make_shapes(FEW, folder)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_is_laid_out_as_coco(drawn: Path) -> None:
    assert sorted(hashes(drawn)) == [
        "annotations/instances_train.json",
        "annotations/instances_val.json",
        *(f"train/000000{index}.jpg" for index in range(1, 7)),
        *(f"val/100000{index}.jpg" for index in range(1, 4)),
    ]
    for part in ("train", "val"):
        annotations = drawn / "annotations" / f"instances_{part}.json"
        assert check_dataset(annotations, drawn / part).faults == []


def test_the_same_seed_draws_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    make_shapes(FEW, tmp_path)
    assert hashes(tmp_path) == hashes(drawn)


def test_an_image_depends_on_the_seed_its_part_and_its_index_alone() -> None:
    images = {
        (seed, part, index): draw_scene(ShapesParams(seed=seed), part, index).image.tobytes()
        for seed in (0, 1)
        for part in ("train", "val")
        for index in (0, 1)
    }
    assert len(set(images.values())) == 8
    more = ShapesParams(train_images=7, val_images=900)
    assert draw_scene(more, "val", 1).image.tobytes() == images[0, "val", 1]


def test_annotations_are_what_was_drawn(drawn: Path) -> None:
    dataset = read_coco(drawn / "annotations" / "instances_train.json")
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    objects = annotations_by_image(dataset)
    for index, image in enumerate(dataset["images"]):
        scene = draw_scene(FEW, "train", index)
        pixels = np.asarray(Image.open(drawn / "train" / image["file_name"])).astype(int)
        assert np.abs(pixels - scene.image).mean() < 6  # of 255: what JPEG takes away
        found = objects[image["id"]]
        assert [names[record["category_id"]] for record in found] == scene.families
        masks = decode([record["segmentation"] for record in found], scene.image.shape[:2])
        np.testing.assert_array_equal(masks.astype(bool), scene.visible)
        assert [record["area"] for record in found] == scene.visible.sum(axis=(1, 2)).tolist()
        for record, mask in zip(found, masks, strict=True):
            x, y, width, height = map(int, record["bbox"])
            assert mask[y : y + height, x : x + width].sum() == record["area"]


def test_both_groups_are_annotated_and_told_apart(drawn: Path) -> None:
    dataset = read_coco(drawn / "annotations" / "instances_val.json")
    groups = {category["name"]: category["supercategory"] for category in dataset["categories"]}
    assert groups == {
        **dict.fromkeys(SEEN_FAMILIES, "seen"),
        **dict.fromkeys(UNSEEN_FAMILIES, "unseen"),
    }
    assert min(len(SEEN_FAMILIES), len(UNSEEN_FAMILIES)) >= 6


def test_image_ids_of_the_parts_are_disjoint(drawn: Path) -> None:
    train, val = (
        {image["id"] for image in read_coco(drawn / f"annotations/instances_{part}.json")["images"]}
        for part in ("train", "val")
    )
    assert len(train) == 6
    assert len(val) == 3
    assert not train & val


def test_images_and_objects_are_as_many_and_as_large_as_asked(scenes: list[Scene]) -> None:
    sides = [side for scene in scenes for side in scene.image.shape[:2]]
    assert 96 <= min(sides) < 110
    assert 150 < max(sides) <= 160
    counts = [len(scene.families) for scene in scenes]
    assert (min(counts), max(counts)) == (3, 12)
    for scene in scenes:
        assert scene.image.dtype == np.uint8
        assert scene.visible.shape == (len(scene.families), *scene.image.shape[:2])


def test_every_object_can_be_seen_and_none_shares_a_pixel(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.visible.sum(axis=0).max() == 1
        assert scene.visible.sum(axis=(1, 2)).min() >= 45


def unseen_share(scenes: list[Scene]) -> float:
    families = [family for scene in scenes for family in scene.families]
    return sum(family in UNSEEN_FAMILIES for family in families) / len(families)


def test_every_family_occurs_and_most_objects_are_unseen(scenes: list[Scene]) -> None:
    assert {family for scene in scenes for family in scene.families} == {
        *SEEN_FAMILIES,
        *UNSEEN_FAMILIES,
    }
    assert abs(unseen_share(scenes) - ShapesParams().unseen_share) < 0.1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_dataset_may_have_objects_of_one_group_only(share: float) -> None:
    params = ShapesParams(unseen_share=share)
    assert unseen_share([draw_scene(params, "train", index) for index in range(5)]) == share


def test_objects_occlude_each_other(scenes: list[Scene]) -> None:
    """At least every fifth object touches another one, whose outline cuts into it."""
    touching = 0
    for scene in scenes:
        for mask in scene.visible:
            grown = mask.copy()
            grown[1:] |= mask[:-1]
            grown[:-1] |= mask[1:]
            others = scene.visible.any(axis=0) & ~mask
            touching += bool((grown & others).any())
    assert touching > sum(len(scene.families) for scene in scenes) / 5


def test_colour_does_not_tell_objects_from_the_background(scenes: list[Scene]) -> None:
    """The best grey-level threshold, chosen per image knowing the truth, finds them badly."""
    overlaps = []
    for scene in scenes:
        grey, objects = scene.image.mean(axis=2), scene.visible.any(axis=0)
        overlaps.append(
            max(
                (inside & objects).sum() / (inside | objects).sum()
                for level in np.percentile(grey, range(5, 100, 5))
                for inside in (grey >= level, grey < level)
            )
        )
    assert np.mean(overlaps) < 0.5


def test_the_rim_of_unseen_objects_looks_like_that_of_seen_ones(scenes: list[Scene]) -> None:
    """Edges are stronger at outlines than inside, in both groups: the cue that must generalize."""
    contrast: dict[bool, list[float]] = {True: [], False: []}
    for scene in scenes:
        steps = np.abs(np.diff(scene.image.astype(float), axis=1)).mean(axis=2)
        for family, mask in zip(scene.families, scene.visible, strict=True):
            outline = mask[:, 1:] != mask[:, :-1]
            inside = mask[:, 1:] & mask[:, :-1]
            contrast[family in SEEN_FAMILIES].append(steps[outline].mean() - steps[inside].mean())
    means = [np.mean(contrast[seen]) for seen in (True, False)]
    assert min(means) > 10
    assert max(means) < 2 * min(means)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    with pytest.raises(FileExistsError, match="val exists; shapes need an empty folder"):
        make_shapes(FEW, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["val"]


def test_an_interrupted_drawing_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: Path
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ggn.data.shapes.write_json", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make_shapes(FEW, tmp_path)
    make_shapes(FEW, tmp_path)
    assert hashes(tmp_path) == hashes(drawn)


def test_the_file_says_how_it_was_made(drawn: Path) -> None:
    info = json.loads((drawn / "annotations" / "instances_train.json").read_text())["info"]
    assert ShapesParams.model_validate(info["params"]) == FEW


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"train_images": 0}, "greater than or equal to 1"),
        ({"val_images": 2.5}, "valid integer"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"min_size": 40}, "greater than or equal to 48"),
        ({"max_size": 2000}, "less than or equal to 1024"),
        ({"min_size": 200}, "min_size must be <= max_size, got 200 > 160"),
        ({"min_objects": 5, "max_objects": 4}, "min_objects must be <= max_objects, got 5 > 4"),
        ({"unseen_share": 1.2}, "less than or equal to 1"),
        ({"unseen_share": -0.1}, "greater than or equal to 0"),
        ({"images": 3}, "Extra inputs are not permitted"),
    ],
)
def test_refused_params(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ShapesParams.model_validate(params)


def test_the_smallest_images_take_as_many_objects_as_fit() -> None:
    tiny = ShapesParams(min_size=48, max_size=48, min_objects=32, max_objects=32)
    scene = draw_scene(tiny, "train", 0)
    assert 3 <= len(scene.families) <= 32
    assert scene.image.shape == (48, 48, 3)
