"""Reads results of other programs where they give a value under another name than COCO's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ggn.core.values import is_lenient_finite, is_lenient_id
from ggn.evaluation.image_records import Images

RATED: Final = "records without a score, whose predicted_iou is taken (SAM)"
NAMED: Final = "records whose image_id is, or stands beside, the name of an image's file"
UNCLASSED: Final = "records whose category_id is null, read as none"

Record = Mapping[str, Any]


def as_coco(
    given: Record, respelt: Mapping[str, Any], images: Images
) -> tuple[dict[str, Any], list[str]]:
    """Return a record of results as COCO has it, and the kinds of what was changed.

    A name of a file stands for its image if it is not also the number of another image.

    Args:
        given: the record as it is in the file.
        respelt: its values in COCO's form where they have another (see `ggn.core.spelling`).
        images: the annotated images.
    """
    record = {**given, **respelt}
    changed, kinds = dict(record), list[str]()
    if record.get("score") is None and is_lenient_finite(record.get("predicted_iou")):
        changed["score"] = record["predicted_iou"]
        kinds.append(RATED)
    if record.get("category_id", 0) is None:
        del changed["category_id"]
        kinds.append(UNCLASSED)
    image_id, stated = record.get("image_id"), given.get("image_id")
    names = [name for name in (stated, record.get("file_name")) if isinstance(name, str)]
    if not is_lenient_id(image_id) or image_id not in images.ids:
        found = next((id_ for name in names if (id_ := images.named(name)) is not None), None)
        if found is not None:
            changed["image_id"] = found
            kinds.append(NAMED)
    elif isinstance(stated, str) and images.named(stated) not in (None, image_id):
        changed["image_id"] = stated  # the number of one image and the name of another
    return changed, kinds


def misnamed(records: Sequence[Any], images: Images) -> Iterator[str]:
    """Yield a sentence if results name other files than those of their image ids.

    Programs that number images by their file names write ids of their own.

    Args:
        records: the first ones of a results file.
        images: the annotated images.
    """
    named = [
        (index, record["image_id"], record["file_name"])
        for index, record in enumerate(records)
        if isinstance(record, Mapping)
        and isinstance(record.get("file_name"), str)
        and is_lenient_id(record.get("image_id"))
        and record["image_id"] in images.file_names
    ]
    others = [entry for entry in named if images.named(entry[2]) not in (None, entry[1])]
    if others:
        index, image_id, file_name = others[0]
        yield (
            f"{len(others)} of {len(named)} records name another file than that of their image_id, "
            f"first predictions[{index}]: file_name is {file_name!r}, but image {image_id} is "
            f"{images.file_names[image_id]!r}; was image_id made from file names?"
        )
