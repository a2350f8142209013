"""Samples: every image is one, objects are whole, and overlaps are painted by a rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ggn.core.coco import read_coco
from ggn.core.masks import encode
from ggn.data.samples import AffinitySamples, DetectionSamples, instance_map
from ggn.data.transforms import RandomCrop


@pytest.fixture
def train(tiny_coco: Path) -> tuple[dict[str, Any], Path]:
    annotations = tiny_coco / "annotations/instances_train2017.json"
    return read_coco(annotations), tiny_coco / "train2017"


def test_a_detection_sample_by_hand(train: Any) -> None:
    dataset, folder = train
    image, target = DetectionSamples(dataset, folder)[0]
    assert image.dtype == torch.uint8
    assert image.permute(1, 2, 0).tolist() == np.asarray(Image.open(folder / "a.png")).tolist()
    assert target["image_id"] == 7
    # person, dog, kite: the crowd is no object
    assert target["boxes"].tolist() == [[8, 8, 32, 24], [36, 28, 52, 36], [40, 4, 48, 12]]
    assert target["boxes"].dtype == torch.float32
    assert target["masks"].dtype == torch.uint8
    assert target["masks"].sum((1, 2)).tolist() == [24 * 16, 16 * 8, 8 * 8]
    assert target["masks"][0, 8:24, 8:32].all()


def test_an_affinity_sample_by_hand(train: Any) -> None:
    dataset, folder = train
    image, labels, image_id = AffinitySamples(dataset, folder)[0]
    assert image.shape == (3, 48, 64)
    assert labels.dtype == torch.int32
    assert image_id == 7
    assert labels[8:24, 8:32].unique().tolist() == [1]
    assert labels[28:36, 36:52].unique().tolist() == [2]
    assert labels[4:12, 40:48].unique().tolist() == [3]
    assert (labels > 0).sum() == 24 * 16 + 16 * 8 + 8 * 8


def test_images_without_annotations_are_samples(train: Any) -> None:
    dataset, folder = train
    for samples in (DetectionSamples(dataset, folder), AffinitySamples(dataset, folder)):
        assert len(samples) == 4
    _, target = DetectionSamples(dataset, folder)[3]
    assert target["image_id"] == 10
    assert target["masks"].shape == (0, 40, 56)
    assert target["boxes"].shape == (0, 4)
    _, labels, image_id = AffinitySamples(dataset, folder)[3]
    assert image_id == 10
    assert labels.shape == (40, 56)
    assert not labels.any()


def test_every_sample_belongs_to_its_own_image(train: Any) -> None:
    dataset, folder = train
    dataset = {**dataset, "images": dataset["images"][::-1]}
    samples = DetectionSamples(dataset, folder)
    ids = [samples[index][1]["image_id"] for index in range(4)]
    assert ids == [10, 9, 8, 7]
    assert [samples[index][0].shape[1] for index in range(4)] == [40, 48, 40, 48]
    assert [len(samples[index][1]["masks"]) for index in range(4)] == [0, 3, 3, 3]


def test_boxes_are_clipped_to_the_image(train: Any) -> None:
    dataset, folder = train
    dataset["annotations"][0]["bbox"] = [-0.5, 8, 64.75, 16]
    _, target = DetectionSamples(dataset, folder)[0]
    assert target["boxes"][0].tolist() == [0, 8, 64, 24]


def test_a_missing_iscrowd_means_an_object(train: Any) -> None:
    dataset, folder = train
    for annotation in dataset["annotations"]:
        annotation.pop("iscrowd")
    assert len(DetectionSamples(dataset, folder)[0][1]["masks"]) == 4


def test_transforms_act_on_samples(train: Any) -> None:
    dataset, folder = train
    crop = RandomCrop(torch.Generator().manual_seed(0), (16, 16))
    image, target = DetectionSamples(dataset, folder, crop)[0]
    assert image.shape == (3, 16, 16)
    assert target["masks"].shape[1:] == (16, 16)
    image, labels, _ = AffinitySamples(dataset, folder, crop)[0]
    assert labels.shape == image.shape[1:] == (16, 16)


def test_an_image_of_another_size_is_named(train: Any) -> None:
    dataset, folder = train
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(folder / "a.png")
    with pytest.raises(ValueError, match=r"a.png: image 7 must be \(H, W\) = \(48, 64\), got \(5"):
        DetectionSamples(dataset, folder)[0]


def test_where_objects_overlap_the_smaller_is_on_top_in_any_order() -> None:
    large, small = np.ones((2, 4, 4), dtype=bool)
    small[:, 2:] = False
    for order, expected in (([large, small], [2, 1]), ([small, large], [1, 2])):
        labels = instance_map(encode(np.stack(order)), (4, 4))
        assert labels.tolist() == [[expected[0]] * 2 + [expected[1]] * 2] * 4


def test_overlaps_never_add_up_to_a_third_label() -> None:
    bitmaps = np.zeros((3, 1, 5), dtype=bool)
    bitmaps[0, 0, :3] = bitmaps[1, 0, 1:4] = bitmaps[2, 0, 4] = True
    assert instance_map(encode(bitmaps), (1, 5)).tolist() == [[1, 2, 2, 2, 3]]


def test_300_objects_keep_300_labels() -> None:
    bitmaps = np.zeros((300, 10, 30), dtype=bool)
    bitmaps.reshape(300, 300)[np.arange(300), np.arange(300)] = True
    labels = instance_map(encode(bitmaps), (10, 30))
    assert labels.dtype == np.int32
    assert labels.ravel().tolist() == list(range(1, 301))


def test_no_objects_are_background() -> None:
    assert instance_map([], (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
