"""Pictures of masks: tints and outlines by hand, sizes, files that are whole or not there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ggn.core.instances import Instances
from ggn.evaluation.pictures import (
    LEGEND,
    affinity_picture,
    choice_row,
    gallery_row,
    images_to_show,
    instance_colours,
    legend,
    overlay,
    shortened,
    write_gallery,
    write_picture,
)

GREY = np.full((6, 6, 3), 100, dtype=np.uint8)


def square(top: int, left: int, side: int) -> np.ndarray:
    bitmap = np.zeros((6, 6), dtype=np.uint8)
    bitmap[top : top + side, left : left + side] = 1
    return bitmap


def test_an_overlay_tints_inside_outlines_the_rim_and_leaves_the_rest() -> None:
    picture = overlay(GREY, Instances.from_bitmaps(square(1, 1, 3)[None], [1.0]), opacity=0.5)
    colour = instance_colours(1)[0]
    assert (picture[0] == 100).all()
    assert (picture[1, 1] == colour).all()
    expected = 100 + 0.5 * (colour.astype(float) - 100)
    assert np.abs(picture[2, 2] - expected).max() <= 1


def test_the_best_instance_lies_on_top() -> None:
    both = np.stack([square(2, 2, 3), square(0, 0, 6)])
    picture = overlay(GREY, Instances.from_bitmaps(both, [0.9, 0.1]))
    assert (picture[2, 2] == instance_colours(2)[0]).all()


def test_no_instances_leave_the_image_as_it_is() -> None:
    assert (overlay(GREY, Instances.empty((6, 6))) == GREY).all()


def test_instances_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"image is \(6, 6\) but the instances are for \(5, 6\)"):
        overlay(GREY, Instances.empty((5, 6)))


def test_affinity_is_white_inside() -> None:
    picture = affinity_picture(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert picture.tolist() == [[[0] * 3, [128] * 3, [255] * 3]]


def test_colours_are_distinct() -> None:
    assert len(np.unique(instance_colours(30), axis=0)) == 30
    assert instance_colours(0).shape == (0, 3)


def test_a_gallery_row_draws_as_many_detections_as_there_are_objects() -> None:
    masks = Instances.from_bitmaps(np.stack([square(0, 0, 2), square(3, 3, 2)]), [0.9, 0.8])
    affinity = np.ones((6, 6), dtype=np.float32)
    row = gallery_row(GREY, masks.masks[:1], (affinity, masks), {"model": masks})
    assert list(row) == ["image", "ground truth", "affinity", "pseudo-GT", "model"]
    assert (row["model"] == overlay(GREY, masks[:1])).all()


def test_shown_are_images_with_unseen_objects_or_with_any_or_all() -> None:
    images = [{"id": image_id} for image_id in (1, 2, 3)]
    annotations = [{"image_id": 2, "category_id": 7}, {"image_id": 3, "category_id": 8}]
    dataset = {"images": images, "annotations": annotations}
    assert images_to_show(dataset, {8}) == [{"id": 3}]
    assert images_to_show(dataset, {9}) == [{"id": 2}, {"id": 3}]
    assert images_to_show({**dataset, "annotations": []}, {8}) == images


def test_a_legend_says_where_the_rank_did_not_apply() -> None:
    assert legend(unscored=False) == LEGEND
    changed = {key for key in LEGEND if legend(unscored=True)[key] != LEGEND[key]}
    assert changed == {"pseudo-GT"}
    assert "as extracted: pseudo_gt.rank needs" in legend(unscored=True)["pseudo-GT"]


def test_a_choice_is_drawn_beside_what_is_annotated(tmp_path: Path) -> None:
    masks = Instances.from_bitmaps(np.stack([square(0, 0, 2), square(3, 3, 2)]), [0.9, 0.8])
    row = choice_row(GREY, masks.masks[:1], masks[1:])
    assert list(row) == ["image", "annotations", "pseudo-GT"]
    assert (row["annotations"] == overlay(GREY, masks[:1])).all()
    assert (row["pseudo-GT"] == overlay(GREY, masks[1:])).all()
    write_gallery(tmp_path / "none.png", [], [])  # where nothing was chosen
    assert (tmp_path / "none.png").stat().st_size > 0


def test_files_are_written_whole(tmp_path: Path) -> None:
    write_picture(tmp_path / "new" / "one.png", GREY)
    write_gallery(tmp_path / "new" / "all.png", [{"a": GREY, "b": GREY}], ["image"])
    first = (tmp_path / "new" / "all.png").read_bytes()
    write_gallery(tmp_path / "new" / "all.png", [{"a": GREY, "b": GREY}], ["image"])
    assert (tmp_path / "new" / "all.png").read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["all.png", "one.png"]
    with Image.open(tmp_path / "new" / "one.png") as picture:
        assert (np.asarray(picture) == GREY).all()


def test_a_long_label_beside_a_picture_is_its_end() -> None:
    """Names of 150 characters, as some datasets have, ran over those of other rows."""
    assert shortened("val2017/000000000139.jpg") == "val2017/000000000139.jpg"
    assert shortened("a" * 30) == "a" * 30
    assert shortened("x" + "a" * 26 + "b.png") == "…" + "a" * 24 + "b.png"
    assert len(shortened("stage1_test/" + "0123456789abcdef" * 4 + ".png")) == 30
