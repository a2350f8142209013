"""Crops and padding bring images of any size into one batch, and their labels with them."""

import pytest
import torch

from ggn.affinity.batches import Sample, augment, collate
from ggn.affinity.params import AffinityParams
from ggn.affinity.targets import affinity_targets
from ggn.engine.draws import sample_generator

RECIPE = AffinityParams(flip=True, scale_range=[0.5, 2.0], crop_size=32)


def coded(height: int, width: int, image_id: int = 1) -> Sample:
    """An image that shows its own labels: red = 40 × label."""
    labels = torch.zeros(height, width, dtype=torch.int32)
    labels[: height // 2, : width // 2] = 1
    labels[height // 2 :, width // 3 :] = 2
    image = (labels * 40).to(torch.uint8).expand(3, -1, -1).contiguous()
    return image, labels, image_id


def test_the_reference_recipe_changes_nothing() -> None:
    sample = coded(37, 29)
    image, labels, image_id = augment(sample, sample_generator(0, 0), AffinityParams())
    assert torch.equal(image, sample[0])
    assert torch.equal(labels, sample[1])
    assert image_id == 1


@pytest.mark.parametrize("key", range(12))
def test_image_and_labels_move_together(key: int) -> None:
    image, labels, _ = augment(coded(60, 44), sample_generator(0, key), RECIPE)
    assert image.dtype == torch.uint8
    assert labels.dtype == torch.int32
    assert image.shape[1:] == labels.shape
    assert max(labels.shape) <= 32
    # Off the edges, which the resize blurs, the image still shows the labels.
    target, _ = affinity_targets(labels[None])
    inner = target[0, 0] == 1
    assert inner.any()
    distance = (image[0].int() - labels * 40).abs()
    assert distance[inner].float().quantile(0.9) <= 1


def test_the_generator_decides_all() -> None:
    first, again, other = (
        augment(coded(60, 44), sample_generator(0, k), RECIPE) for k in (1, 1, 2)
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not torch.equal(first[0], other[0])


def test_samples_are_padded_to_the_largest() -> None:
    batch = collate([coded(70, 80, 5), coded(66, 90, 6)], crop_size=None)
    assert batch.images.shape == (2, 3, 70, 90)
    assert batch.labels.shape == (2, 70, 90)
    assert batch.labels.dtype == torch.int32
    assert batch.image_ids == [5, 6]
    assert torch.equal(batch.labels[0, :, :80], coded(70, 80)[1])
    assert batch.labels[0, :, 80:].eq(-1).all()
    assert batch.labels[1, 66:].eq(-1).all()
    assert batch.images[0, :, :, 80:].unique(dim=2).flatten().tolist()[:1] == [124]


def test_padding_to_the_crop_gives_every_batch_one_shape() -> None:
    batch = collate([coded(33, 96)], crop_size=96)
    assert batch.images.shape == (1, 3, 96, 96)


def test_tiny_images_are_padded_to_what_can_be_trained_on() -> None:
    batch = collate([coded(1, 5)], crop_size=None)
    assert batch.images.shape == (1, 3, 64, 64)
    assert (batch.labels >= 0).sum() == 5


def test_object_crops_hold_an_object_however_small() -> None:
    labels = torch.zeros(200, 200, dtype=torch.int32)
    labels[150:153, 20:23] = 3
    labels[:2, 198:] = 7  # in a corner
    image = torch.zeros(3, 200, 200, dtype=torch.uint8)
    params = AffinityParams(crop_size=32, object_crop_share=1.0)
    found = [augment((image, labels, 1), sample_generator(0, key), params)[1] for key in range(60)]
    assert all(crop.shape == (32, 32) for crop in found)
    objects = [set(crop.unique().tolist()) - {0} for crop in found]
    assert all(objects)
    assert 15 <= sum(3 in seen for seen in objects) <= 45, "each object has its turn"


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_other_crops_are_anywhere(share: float) -> None:
    labels = torch.zeros(400, 400, dtype=torch.int32)
    labels[200, 200] = 1
    image = torch.zeros(3, 400, 400, dtype=torch.uint8)
    params = AffinityParams(crop_size=32, object_crop_share=share)
    hits = [
        bool(augment((image, labels, 1), sample_generator(0, key), params)[1].any())
        for key in range(100)
    ]
    assert abs(sum(hits) / 100 - share) < 0.15


def test_an_image_without_objects_is_cropped_all_the_same() -> None:
    labels = torch.zeros(100, 90, dtype=torch.int32)
    image = torch.zeros(3, 100, 90, dtype=torch.uint8)
    params = AffinityParams(crop_size=32, object_crop_share=1.0)
    assert augment((image, labels, 1), sample_generator(0, 0), params)[1].shape == (32, 32)


def test_colours_change_after_the_crop_and_labels_do_not() -> None:
    plain = AffinityParams(crop_size=32, flip=True)
    coloured = AffinityParams(crop_size=32, flip=True, colour_jitter=0.2)
    first, second = (
        augment(coded(60, 44), sample_generator(0, 5), params) for params in (plain, coloured)
    )
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])


def test_an_inverted_crop_is_the_complement_of_the_same_crop() -> None:
    plain = AffinityParams(crop_size=32, flip=True)
    inverting = AffinityParams(crop_size=32, flip=True, inverted_share=1.0)
    first, second = (
        augment(coded(60, 44), sample_generator(0, 5), params) for params in (plain, inverting)
    )
    assert torch.equal(first[1], second[1])
    assert torch.equal(second[0], 255 - first[0])


def test_a_recipe_without_augmentations_draws_nothing() -> None:
    """So the numbers that other parts of the training draw don't depend on what is switched off."""
    generator = sample_generator(0, 0)
    before = generator.get_state()
    augment(coded(37, 29), generator, AffinityParams())
    assert torch.equal(generator.get_state(), before)
