"""Exports a store as a COCO results file, for other tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ggn.core.files import text_file
from ggn.store.parquet import ImageInstances


def export_coco_results(items: Iterable[ImageInstances], path: Path, category_id: int = 1) -> int:
    """Write instances as a COCO results file, image by image; return their number.

    A record has `image_id`, `category_id`, `segmentation` (compressed run lengths), `bbox` ([x, y,
    width, height] of the mask), `area` (pixels of the mask) and `score`; features are left out.
    """
    count = 0
    with text_file(path) as file:
        file.write("[")
        for item in items:
            for record in item.instances.to_coco_results(item.image_id, category_id):
                file.write(",\n" if count else "\n")
                file.write(json.dumps(record))
                count += 1
        file.write("\n]\n")
    return count
