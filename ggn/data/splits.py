"""Which categories count as seen: named partitions, and a dataset's annotations parted by them."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from ggn.data.synsets import COCO_SYNSETS, STAND_INS

_PERSON: Final = frozenset({"person"})
_COCO: Final = frozenset(COCO_SYNSETS.values())
_VOC: Final = frozenset(
    {
        "airplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "couch",
        "cow",
        "dining table",
        "dog",
        "horse",
        "motorcycle",
        "person",
        "potted plant",
        "sheep",
        "train",
        "tv",
    }
)


class Partition(NamedTuple):
    """Some of a dataset's categories: those of the given names or synsets, or all others."""

    names: frozenset[str]
    inside: bool
    key: Literal["name", "synset"] = "name"


PARTITIONS: Final[Mapping[str, Partition]] = MappingProxyType(
    {
        "all": Partition(frozenset(), inside=False),
        "voc": Partition(_VOC, inside=True),
        "nonvoc": Partition(_VOC, inside=False),
        "person": Partition(_PERSON, inside=True),
        "nonperson": Partition(_PERSON, inside=False),
        "coco": Partition(_COCO, inside=True, key="synset"),
        "noncoco": Partition(_COCO, inside=False, key="synset"),
    }
)
"""Partitions for params.yaml. `voc` is the 20 Pascal VOC classes under their names in COCO; `coco`
is the 80 classes of COCO in LVIS, whose names differ, by synset."""


def resolve_categories(
    categories: Sequence[Mapping[str, Any]], spec: str | Collection[str | int]
) -> tuple[int, ...]:
    """Return the ids of the categories that `spec` means, in the order of the dataset.

    Args:
        categories: the category records of a COCO-style dataset, of any names and ids.
        spec: a key of `PARTITIONS`, or a collection of exact category names and ids.

    Raises:
        ValueError: if the dataset lacks a category that is named, so that a misspelt or foreign
            name never leaves a category on the wrong side.
    """
    if isinstance(spec, str):
        chosen = _resolve_partition(categories, spec)
    else:
        chosen = _resolve_list({c["name"]: c["id"] for c in categories}, spec)
    return tuple(category["id"] for category in categories if category["id"] in chosen)


def _resolve_partition(categories: Sequence[Mapping[str, Any]], name: str) -> set[int]:
    if name not in PARTITIONS:
        known = ", ".join(PARTITIONS)
        raise ValueError(
            f"no partition is named {name!r}; there are {known}; "
            "a single category is given as a list of one"
        )
    names, inside, key = PARTITIONS[name]
    without = [str(category["name"]) for category in categories if key not in category]
    if without:
        raise ValueError(
            f"partition {name!r} is by {key}, which categories lack: {', '.join(without[:5])}; "
            "it is for LVIS; list the names or ids instead"
        )
    present = {category[key] for category in categories}
    names = frozenset(n if n in present else STAND_INS.get(n, n) for n in names)
    missing = sorted(names - present)
    if missing:
        raise ValueError(
            f"partition {name!r} needs categories that the dataset lacks: {', '.join(missing)}; "
            "list the names or ids instead"
        )
    return {category["id"] for category in categories if (category[key] in names) == inside}


def _resolve_list(id_of_name: Mapping[str, int], spec: Collection[str | int]) -> set[int]:
    ids = set(id_of_name.values())
    chosen: set[int] = set()
    for entry in spec:
        if isinstance(entry, bool) or not isinstance(entry, str | int):
            raise ValueError(f"a category must be a name or an id, got {entry!r}")
        found = id_of_name.get(entry) if isinstance(entry, str) else entry
        if found is None or found not in ids:
            known = ", ".join(f"{name} ({id_})" for name, id_ in id_of_name.items())
            raise ValueError(f"no category is named or numbered {entry!r}; there are {known}")
        chosen.add(found)
    return chosen


def split_annotations(
    dataset: Mapping[str, Any], seen_ids: Collection[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the dataset with its seen annotations only, and with the others only.

    All images and category records stay in both: an image without seen objects still has unseen
    ones to be found.
    """
    seen = set(seen_ids)
    seen_part = [a for a in dataset["annotations"] if a["category_id"] in seen]
    hidden_part = [a for a in dataset["annotations"] if a["category_id"] not in seen]
    return {**dataset, "annotations": seen_part}, {**dataset, "annotations": hidden_part}


def require_seen(dataset: Mapping[str, Any], seen_ids: Collection[int], file: str) -> None:
    """Refuse to train on an annotation of a category that is not seen; pseudo masks may pass.

    Raises:
        ValueError: naming the file, the first such annotation and its category.
    """
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    for record in dataset["annotations"]:
        if record["category_id"] not in seen_ids and record.get("source") != "pseudo":
            raise ValueError(
                f"{file}: annotation {record['id']} has the category "
                f"'{names[record['category_id']]}', which is not seen in this split: "
                "training on it would train on the evaluation"
            )
