"""The images of a COCO-style dataset as training samples."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ggn.core.coco import annotations_by_image
from ggn.core.masks import RLE, areas, decode, from_segmentation
from ggn.data.images import read_image
from ggn.data.mask_store import MaskStore
from ggn.data.transforms import Target, Transform, clip_boxes


class _Images:
    """The images of a dataset in file order, with their annotations, without crowds.

    Images without annotations belong to it: they hold what nobody annotated.
    """

    def __init__(self, dataset: Mapping[str, Any], images_dir: str | os.PathLike[str]) -> None:
        self._images = list(dataset["images"])
        self._annotations = annotations_by_image(dataset)
        self._folder = Path(images_dir)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: int) -> tuple[int, Tensor, list[dict[str, Any]]]:
        """Return the id, the pixels uint8 (3, H, W) and the objects of an image.

        Raises:
            ValueError: if the file is missing, no image or not of the size that the dataset says.
        """
        record = self._images[index]
        path = self._folder / record["file_name"]
        try:
            pixels = read_image(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"image {record['id']}: {error}") from error
        if pixels.shape[:2] != (record["height"], record["width"]):
            raise ValueError(
                f"{path}: image {record['id']} must be (H, W) = "
                f"({record['height']}, {record['width']}), got {pixels.shape[:2]}"
            )
        objects = [a for a in self._annotations[record["id"]] if not a.get("iscrowd", 0)]
        return record["id"], torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), objects


class DetectionSamples(Dataset[tuple[Tensor, Target]]):
    """Images with the masks and boxes of their objects.

    A sample is the image, uint8 (3, H, W), and its target: `image_id` (int), `masks` uint8
    (N, H, W) and `boxes` float32 (N, 4), xyxy in pixel edges, clipped to the image.
    """

    def __init__(
        self,
        dataset: Mapping[str, Any],
        images_dir: str | os.PathLike[str],
        transform: Transform | None = None,
        pseudo: MaskStore | None = None,
    ) -> None:
        """Take the objects from `dataset` and, image by image, further ones from `pseudo`."""
        self._images = _Images(dataset, images_dir)
        self._transform = transform
        self._pseudo = pseudo

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        image_id, image, objects = self._images.read(index)
        size_hw = image.shape[-2], image.shape[-1]
        boxes = torch.tensor([o["bbox"] for o in objects], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        rles = _masks(objects, size_hw)
        if self._pseudo is not None and (found := self._pseudo.read(image_id)) is not None:
            boxes = torch.cat([boxes, torch.tensor(found.boxes_xyxy)])
            rles += found.masks
        try:
            masks = decode(rles, size_hw)
        except ValueError as error:
            raise ValueError(f"image {image_id}: {error}") from error
        target = {
            "image_id": image_id,
            "masks": torch.from_numpy(masks),
            "boxes": clip_boxes(boxes, size_hw),
        }
        return self._transform(image, target) if self._transform else (image, target)


class AffinitySamples(Dataset[tuple[Tensor, Tensor, int]]):
    """Images with their instance maps.

    A sample is the image, uint8 (3, H, W), its `instance_map`, int32 (H, W), and the image's id.
    """

    def __init__(
        self,
        dataset: Mapping[str, Any],
        images_dir: str | os.PathLike[str],
        transform: Transform | None = None,
    ) -> None:
        self._images = _Images(dataset, images_dir)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        image_id, image, objects = self._images.read(index)
        size_hw = image.shape[-2], image.shape[-1]
        labels = torch.from_numpy(instance_map(_masks(objects, size_hw), size_hw))
        if self._transform is not None:
            image, target = self._transform(image, {"labels": labels})
            labels = target["labels"]
        return image, labels, image_id


def instance_map(masks: list[RLE], size_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Return the map (H, W) of one label per pixel: 0 is background, k the k-th mask.

    Where masks overlap, the smaller one is on top: it is in front or a part, and would be lost
    under the larger one. Of equals the later one is on top. Any number of masks keeps its labels.
    """
    labels = np.zeros(size_hw, dtype=np.int32)
    for index in np.argsort(-areas(masks), kind="stable"):
        labels[decode([masks[index]], size_hw)[0] > 0] = index + 1
    return labels


def _masks(objects: list[dict[str, Any]], size_hw: tuple[int, int]) -> list[RLE]:
    return [from_segmentation(o["segmentation"], size_hw) for o in objects]
