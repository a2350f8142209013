"""The rows of a store, one per image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ggn.core.instances import Instances

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("counts", pa.list_(pa.string()), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("features", pa.list_(pa.list_(pa.float32())), nullable=False),
    ]
)
"""One row per image, by image id; `counts` are compressed COCO run lengths, best first.

The schema's metadata holds the names of the feature columns as a JSON list, `feature_names`.
"""

_PLAIN = ("image_id", "height", "width")


class StoreError(ValueError):
    """A shard is missing, damaged or of another run; the message names it."""


@dataclass(frozen=True, eq=False)
class ImageInstances:
    """The instances of one image, best first: candidate segments, or detections."""

    image_id: int
    instances: Instances
    features: NDArray[np.float32]
    """(N, F), finite; one column per feature name of the store. F may be 0."""

    @classmethod
    def without_features(cls, image_id: int, instances: Instances) -> ImageInstances:
        """Return the instances of an image for a store without feature columns."""
        return cls(image_id, instances, np.empty((len(instances), 0), dtype=np.float32))


def to_row(item: ImageInstances, names: Sequence[str]) -> dict[str, Any]:
    """Return the row of an image: integers, the list of counts, float32 scores and features.

    Raises:
        ValueError: the features are not (N, number of names), or not finite.
    """
    wanted = (len(item.instances), len(names))
    if item.features.shape != wanted:
        raise ValueError(
            f"image {item.image_id}: features must be {wanted}, got {item.features.shape}"
        )
    if not np.isfinite(item.features).all():
        row, column = np.argwhere(~np.isfinite(item.features))[0]
        got = f"{names[column]} is {item.features[row, column]} for instance {row}"
        raise ValueError(f"image {item.image_id}: features must be finite, but {got}")
    height, width = item.instances.image_size_hw
    return {
        "image_id": item.image_id,
        "height": height,
        "width": width,
        "counts": [mask["counts"] for mask in item.instances.masks],
        "scores": item.instances.scores,
        "features": np.asarray(item.features, dtype=np.float32),
    }


def from_row(row: Mapping[str, Any], columns: int) -> ImageInstances:
    """Return the image of a row with `columns` features.

    Raises:
        ValueError: numbers of masks, scores and features differ, or a score is not finite.
    """
    size_hw = (row["height"], row["width"])
    instances = Instances.from_counts(row["counts"], row["scores"], size_hw)
    features = np.array(row["features"], dtype=np.float32).reshape(len(instances), columns)
    return ImageInstances(row["image_id"], instances, features)


def schema_of(names: Sequence[str]) -> pa.Schema:
    """Return the schema of a shard whose features have these names."""
    return SCHEMA.with_metadata({"feature_names": json.dumps(list(names))})


def to_table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pa.Table:
    """Return one or more rows of `to_row` as a table."""
    starts = np.cumsum([0, *(len(row["counts"]) for row in rows)], dtype=np.int32)
    within = np.arange(starts[-1] + 1, dtype=np.int32) * len(names)
    features = np.concatenate([row["features"].ravel() for row in rows])
    lists = {
        "counts": pa.array([counts for row in rows for counts in row["counts"]], pa.string()),
        "scores": pa.array(np.concatenate([row["scores"] for row in rows])),
        "features": pa.ListArray.from_arrays(within, features),
    }
    plain = [pa.array([row[name] for row in rows], SCHEMA.field(name).type) for name in _PLAIN]
    columns = [*plain, *(pa.ListArray.from_arrays(starts, values) for values in lists.values())]
    return pa.Table.from_arrays(columns, schema=schema_of(names))
