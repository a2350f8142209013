"""Reads masks of other programs, in any of the usual formats, as the candidates of images.

A source is one of these. Masks are ranked by score; those with equal scores keep their order.

- a JSON list of COCO results (`image_id`, `segmentation`, `score`), from any detector;
- a COCO dataset with masks as annotations; a missing `score` is 1;
- the reference's list with a list per image, whose masks may be smaller than `orig_shape`;
- a folder with one such list per image, `{image_id}.json` or named after the image's file; its
  records may be those of SAM's automatic mask generator, whose score is `predicted_iou`, in a list
  or, as in SA-1B, as `annotations`;
- a store of pseudo ground truth, of candidates or of predictions.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import CocoError, Fault, read_json
from ggn.core.instances import Instances
from ggn.core.masks import RLE, from_segmentation, resize
from ggn.core.spelling import respelt
from ggn.core.values import is_finite, short
from ggn.data.mask_store import INDEX, MaskStore
from ggn.store.parquet import ImageInstances
from ggn.store.read import Store
from ggn.store.work import FindInImages

MASK_FEATURE_NAMES = ("score", "area", "width", "height", "fill", "frame_sides")
"""Features of any mask: its score; its area and the width and height of its box, as shares of the
image; the share of its box that it fills; the number of image sides that it touches."""

SizeHW = tuple[int, int]
Records = Sequence[tuple[str, Any]]
"""The position of each record in its file, and the record."""
Read = Callable[[int, SizeHW], Instances | None]
"""Returns the masks of an image, given its id and size; None if the source lacks the image."""

_SCORES = ("score", "predicted_iou")

logger = logging.getLogger(__name__)


def from_source(source: Path, images: Sequence[Mapping[str, Any]]) -> FindInImages:
    """Return a function that yields the candidates of images, best first.

    Their features are `MASK_FEATURE_NAMES`.

    An image that the source lacks has no candidates; masks of other images are ignored.

    Args:
        source: file or folder, see above.
        images: of a COCO-style dataset.

    Raises:
        ValueError: the source has none of the images, has masks of another size, or is not one of
            the above.
        CocoError: naming the file, the record, the key and what is allowed.
        MaskStoreError, StoreError: a store is damaged.
        FileNotFoundError: there is no such file.
    """
    sizes_hw = {image["id"]: (image["height"], image["width"]) for image in images}
    read, image_ids = _opened(source, images)
    there = len(set(image_ids) & sizes_hw.keys())
    if sizes_hw and not there:
        raise ValueError(
            f"{source}: has none of the {len(sizes_hw)} images; is it for another dataset?"
        )
    logger.info("%s: has masks for %d of %d images", source, there, len(sizes_hw))

    def find(wanted: Iterable[int]) -> Iterator[ImageInstances]:
        for image_id in wanted:
            size_hw = sizes_hw[image_id]
            found = read(image_id, size_hw)
            masks = Instances.empty(size_hw) if found is None else found
            if masks.image_size_hw != size_hw:
                raise ValueError(
                    f"{source}: image {image_id} must be {size_hw}, got {masks.image_size_hw}"
                )
            yield ImageInstances(image_id, masks, _features(masks))

    return find


def _opened(source: Path, images: Sequence[Mapping[str, Any]]) -> tuple[Read, Iterable[int]]:
    """Return a function that reads the masks of an image, and the ids of images with masks."""
    if (source / INDEX).is_file():
        masks = MaskStore(source)
        return lambda image_id, _: masks.read(image_id), masks.image_ids.tolist()
    if any(source.glob("shard-*.parquet")):
        store, ids = Store(source), frozenset(item.image_id for item in Store(source))
        return (
            lambda image_id, _: store.read(image_id).instances if image_id in ids else None,
            ids,
        )
    if source.is_dir():
        files = _files(source, images)
        return partial(_of_folder, files), files
    by_image = _by_image(source)
    return partial(_of_file, str(source), by_image), by_image


def _files(folder: Path, images: Sequence[Mapping[str, Any]]) -> dict[int, Path]:
    """Return the JSON file of each image that has one."""
    there = {path.stem: path for path in folder.glob("*.json")}
    if not there:
        raise ValueError(
            f"{folder}: has neither shards of a store nor JSON files named after images"
        )
    names = {image["id"]: (str(image["id"]), Path(image["file_name"]).stem) for image in images}
    found = {key: next((there[n] for n in both if n in there), None) for key, both in names.items()}
    return {key: path for key, path in found.items() if path is not None}


def _of_folder(files: Mapping[int, Path], image_id: int, size_hw: SizeHW) -> Instances | None:
    path = files.get(image_id)
    if path is None:
        return None
    content = read_json(path)
    if isinstance(content, dict):  # as SA-1B has it
        content = content.get("annotations")
    if not isinstance(content, list):
        reason = "must be a list of masks, or an object with such a list as `annotations`"
        raise CocoError([Fault(str(path), "file", reason)])
    content = [_respelt(record) for record in content]
    records = [(f"[{place}]", record) for place, record in enumerate(content)]
    for place, record in records:
        if isinstance(record, dict) and record.get("image_id", image_id) != image_id:
            reason = f"image_id is {record['image_id']}, but the file is that of image {image_id}"
            raise CocoError([Fault(str(path), place, reason)])
    return _instances(str(path), records, size_hw)


def _of_file(
    file: str, by_image: Mapping[int, Records], image_id: int, size_hw: SizeHW
) -> Instances | None:
    records = by_image.get(image_id)
    return None if records is None else _instances(file, records, size_hw)


def _by_image(file: Path) -> dict[int, Records]:
    """Return the records of each image."""
    content = read_json(file)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        content = [
            _with_score(record) if isinstance(record, dict) else record
            for record in content["annotations"]
        ]
    if not isinstance(content, list):
        reason = "must be a list of COCO results, a list of lists, or a COCO dataset"
        raise CocoError([Fault(str(file), "file", reason)])
    by_image: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    faults = []
    for place, given in _flat(content):
        record = _respelt(given)
        if isinstance(record, dict) and type(record.get("image_id")) is int:
            by_image[record["image_id"]].append((place, record))
        else:
            got = short(record.get("image_id") if isinstance(record, dict) else record)
            faults.append(Fault(str(file), place, f"image_id must be an integer, got {got}"))
    if faults:
        raise CocoError(faults)
    return dict(by_image)


def _respelt(record: Any) -> Any:
    """Return a record with numbers and masks in COCO's form."""
    changes, _ = respelt(record)
    return {**record, **changes} if changes else record


def _with_score(record: dict[str, Any]) -> dict[str, Any]:
    """Return an annotation with a score: 1 where there is none."""
    return (
        record if any(record.get(key) is not None for key in _SCORES) else {**record, "score": 1.0}
    )


def _flat(content: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for index, entry in enumerate(content):
        if isinstance(entry, list):
            yield from ((f"[{index}][{place}]", record) for place, record in enumerate(entry))
        else:
            yield f"[{index}]", entry


def _instances(file: str, records: Records, size_hw: SizeHW) -> Instances:
    masks, scores, faults = [], [], []
    for place, record in records:
        try:
            mask, score = _mask_and_score(record, size_hw)
        except ValueError as error:
            faults.append(Fault(file, place, str(error)))
        else:
            masks.append(mask)
            scores.append(score)
    if faults:
        raise CocoError(faults)
    rated = Instances(masks, np.array(scores, np.float32), size_hw)
    return rated[np.argsort(-rated.scores, kind="stable")]


def _mask_and_score(record: Any, size_hw: SizeHW) -> tuple[RLE, float]:
    """Return mask and score of a record, or raise ValueError with the reason."""
    if not isinstance(record, dict) or "segmentation" not in record:
        raise ValueError(f"must be an object with a segmentation, got {short(record)}")
    name = next((key for key in _SCORES if record.get(key) is not None), None)
    if name is None:
        raise ValueError(f"must have one of {', '.join(_SCORES)}; there are {', '.join(record)}")
    score = record[name]
    if not is_finite(score):
        raise ValueError(f"{name} must be a finite number, got {short(score)}")
    segmentation = record["segmentation"]
    size = segmentation.get("size") if isinstance(segmentation, dict) else None
    if size is None or size == list(size_hw):
        return from_segmentation(segmentation, size_hw), float(score)
    if record.get("orig_shape") != list(size_hw):
        raise ValueError(f"segmentation.size must be {list(size_hw)}, got {short(size)}")
    if not (isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)):
        raise ValueError(f"segmentation.size must be [height, width], got {short(size)}")
    return resize(from_segmentation(segmentation, (size[0], size[1])), size_hw), float(score)


def _features(masks: Instances) -> NDArray[np.float32]:
    """Return the features of N masks, (N, len(MASK_FEATURE_NAMES))."""
    height, width = masks.image_size_hw
    boxes = masks.boxes_xyxy.astype(np.float64).reshape(-1, 4)
    box_width, box_height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    sides = np.column_stack(
        [boxes[:, 0] <= 0, boxes[:, 1] <= 0, boxes[:, 2] >= width, boxes[:, 3] >= height]
    )
    columns = [
        masks.scores,
        masks.areas / (height * width),
        box_width / width,
        box_height / height,
        masks.areas / np.maximum(box_width * box_height, 1),
        sides.sum(axis=1),
    ]
    return np.column_stack(columns).astype(np.float32)
