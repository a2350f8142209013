"""Image, masks, boxes and label map move together."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ggn.data.transforms import (
    Compose,
    RandomCrop,
    RandomHorizontalFlip,
    RandomScale,
    ResizeToFit,
    clip_boxes,
    drop_invisible,
    fit_size,
    resize,
)


def sample(height: int = 6, width: int = 8) -> tuple[torch.Tensor, dict[str, Any]]:
    """An image whose one bright rectangle is its only object: rows 1-2, columns 1-3."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[:, 1:3, 1:4] = 255
    masks = (image[:1] > 0).to(torch.uint8)
    target = {
        "image_id": 5,
        "masks": masks,
        "boxes": torch.tensor([[1.0, 1.0, 4.0, 3.0]]),
        "labels": masks[0].to(torch.int32) * 300,
    }
    return image, target


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("size_hw", "fitted"),
    [
        ((480, 640), (800, 1067)),  # the shorter side decides
        ((400, 1000), (533, 1333)),  # the longer side decides
        ((640, 480), (1067, 800)),  # the limits go with the sides, not with the axes
        ((1600, 2666), (800, 1333)),  # down
        ((800, 1333), (800, 1333)),
        ((1, 5000), (1, 1333)),  # never 0
    ],
)
def test_fit_size_by_hand(size_hw: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fit_size(size_hw, (1333, 800)) == fitted
    assert fit_size(size_hw, (800, 1333)) == fitted


def test_resize_doubles_everything() -> None:
    image, target = sample()
    larger, scaled = resize(image, target, (12, 16))
    assert larger.shape == (3, 12, 16)
    assert larger.dtype == torch.uint8
    assert larger[0, 3, 4] == 255
    assert larger[0, 0, 0] == 0
    expected = target["masks"].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(scaled["masks"], expected)
    assert torch.equal(scaled["labels"], expected[0].to(torch.int32) * 300)
    assert scaled["boxes"].tolist() == [[2, 2, 8, 6]]
    assert scaled["image_id"] == 5


def test_resize_scales_both_axes_of_boxes() -> None:
    image, target = sample()
    _, scaled = resize(image, target, (12, 8))
    assert scaled["boxes"].tolist() == [[1, 2, 4, 6]]


def test_resize_to_fit_scales_to_the_limits() -> None:
    image, target = ResizeToFit(max_size=(16, 14))(*sample())
    assert image.shape == (3, 12, 16)
    assert target["masks"].shape == (1, 12, 16)


def test_flip_mirrors_everything_every_other_time() -> None:
    image, target = sample()
    flip, flips = RandomHorizontalFlip(generator()), 0
    for _ in range(200):
        mirrored, changed = flip(image, target)
        if torch.equal(mirrored, image):
            assert changed is target
            continue
        flips += 1
        assert torch.equal(mirrored, image.flip(2))
        assert torch.equal(changed["masks"], target["masks"].flip(2))
        assert torch.equal(changed["labels"], target["labels"].flip(1))
        assert changed["boxes"].tolist() == [[4, 1, 7, 3]]
    assert 75 < flips < 125


def test_transforms_follow_the_generator_alone() -> None:
    image, target = sample(30, 40)

    def transformed(seed: int) -> torch.Tensor:
        draws = generator(seed)
        chain = [
            RandomScale(draws, 0.5, 2),
            RandomCrop(draws, (20, 20)),
            RandomHorizontalFlip(draws),
        ]
        return Compose(chain)(image, target)[0]

    torch.manual_seed(1)
    first = transformed(3)
    torch.manual_seed(2)
    assert torch.equal(transformed(3), first)
    assert {tuple(transformed(seed).shape) for seed in range(5)} != {tuple(first.shape)}


def test_scale_stays_between_its_bounds() -> None:
    image, target = sample(100, 50)
    sizes = [RandomScale(generator(seed), 0.5, 2)(image, target)[0].shape for seed in range(100)]
    heights = [size[1] for size in sizes]
    assert min(heights) >= 50
    assert max(heights) <= 200
    assert 30 < sum(height < 100 for height in heights) < 70  # even in the logarithm
    with pytest.raises(ValueError, match="scale bounds must be 0 < low <= high, got 2, 1"):
        RandomScale(generator(), 2, 1)


def test_crop_moves_and_clips_what_is_inside() -> None:
    image, target = sample()
    seen = set()
    for seed in range(40):
        window, cropped = RandomCrop(generator(seed), (2, 4))(image, target)
        assert window.shape == (3, 2, 4)
        assert cropped["labels"].shape == (2, 4)
        assert len(cropped["masks"]) == len(cropped["boxes"])
        assert torch.equal(cropped["labels"] > 0, window[0] > 0)
        if len(cropped["masks"]):
            rows, columns = torch.nonzero(window[0], as_tuple=True)
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert cropped["boxes"].tolist() == [[float(side) for side in expected]]
        seen.add(len(cropped["masks"]))
    assert seen == {0, 1}


def test_crop_leaves_a_smaller_image_as_it_is() -> None:
    image, target = sample()
    window, cropped = RandomCrop(generator(), (60, 4))(image, target)
    assert window.shape == (3, 6, 4)
    window, cropped = RandomCrop(generator(), (60, 80))(image, target)
    assert torch.equal(window, image)
    assert torch.equal(cropped["masks"], target["masks"])


def test_targets_may_have_labels_only_or_no_objects() -> None:
    image, target = sample()
    chain = Compose([ResizeToFit((16, 14)), RandomHorizontalFlip(generator())])
    for size in (1, 3):
        small = Compose([chain, RandomCrop(generator(), (size, size))])
        _, only_labels = small(image, {"labels": target["labels"]})
        assert set(only_labels) == {"labels"}
        nothing = {"masks": target["masks"][:0], "boxes": target["boxes"][:0]}
        _, still_nothing = small(image, nothing)
        assert still_nothing["masks"].shape == (0, size, size)
        assert still_nothing["boxes"].shape == (0, 4)


def test_drop_invisible_drops_empty_masks_and_empty_boxes() -> None:
    target = {
        "masks": torch.tensor([[[1]], [[0]], [[1]]], dtype=torch.uint8),
        "boxes": torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 1, 1]]),
    }
    kept = drop_invisible(target)
    assert len(kept["masks"]) == len(kept["boxes"]) == 1


def test_clip_boxes() -> None:
    boxes = torch.tensor([[-1.0, -2.0, 9.0, 7.0]])
    assert clip_boxes(boxes, (6, 8)).tolist() == [[0, 0, 8, 6]]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_masks_and_labels_are_resized_alike(h: int, w: int, new_h: int, new_w: int) -> None:
    labels = torch.arange(h * w, dtype=torch.int32).reshape(h, w)
    masks = (labels % 3 == 0).to(torch.uint8)[None]
    image = torch.zeros(3, h, w, dtype=torch.uint8)
    _, scaled = resize(image, {"masks": masks, "labels": labels}, (new_h, new_w))
    assert torch.equal(scaled["masks"][0], (scaled["labels"] % 3 == 0).to(torch.uint8))
