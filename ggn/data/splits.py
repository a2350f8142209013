"""Which categories are seen: named partitions, and the division of annotations by them."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from ggn.data.categories import CategoryWords
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
    """Some of a dataset's categories: those with the given names or synsets, or all others."""

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
"""Partitions for params.yaml. `voc` is the 20 Pascal VOC classes, by their names in COCO. `coco` is
the 80 classes of COCO in LVIS, by synset, because LVIS names them differently."""


def resolve_categories(
    categories: Sequence[Mapping[str, Any]],
    spec: str | Collection[str | int],
    used: Collection[int] | None = None,
) -> tuple[int, ...]:
    """Return the ids of the categories that `spec` means, in the order of the dataset.

    `spec` is what a user types: an integer is a word like any other, and is refused if it is also
    the name of another category.

    Args:
        categories: the category records of a COCO-style dataset, with any names and ids.
        spec: a key of `PARTITIONS`, or a collection of words as `CategoryWords` takes them.
        used: ids of the categories that annotations use; None: all of them.

    Raises:
        ValueError: a word means no category, or several. A misspelt name is thus never ignored,
            which would put its category on the wrong side.
    """
    if isinstance(spec, str):
        chosen = _resolve_partition(categories, spec)
    else:
        words = CategoryWords(categories, used)
        chosen = {words.resolve(_word(entry)) for entry in spec}
    return tuple(category["id"] for category in categories if category["id"] in chosen)


def resolve_text(
    categories: Sequence[Mapping[str, Any]], text: str, used: Collection[int] | None = None
) -> tuple[int, ...]:
    """Return the ids that a string of the command line means: a partition, or words and commas.

    If a dataset has a category `all`, `name:all` is the category and `partition:all` the partition.

    Raises:
        ValueError: as in `resolve_categories`, or the string may mean a partition or a category.
    """
    name = text.strip().removeprefix("partition:")
    if name not in PARTITIONS:
        words = CategoryWords(categories, used)
        return resolve_categories(categories, words.split(text), used)
    partition = resolve_categories(categories, name)
    if name == text.strip() and any(category["name"] == name for category in categories):
        category = resolve_categories(categories, [f"name:{name}"], used)
        if category != partition:
            raise ValueError(
                f"{name!r} may mean the partition (say partition:{name}) "
                f"or the category {category[0]} (say name:{name})"
            )
    return partition


def _word(entry: Any) -> str:
    if isinstance(entry, bool) or not isinstance(entry, str | int):
        raise ValueError(f"a category must be a name or an id, got {entry!r}")
    return str(entry)


def _resolve_partition(categories: Sequence[Mapping[str, Any]], name: str) -> set[int]:
    if name not in PARTITIONS:
        known = ", ".join(PARTITIONS)
        raise ValueError(
            f"no partition is named {name!r}; there are {known}; "
            "to name a single category, give a list of one"
        )
    names, inside, key = PARTITIONS[name]
    without = [str(category["name"]) for category in categories if key not in category]
    if without:
        raise ValueError(
            f"partition {name!r} needs a {key}, which categories lack: {', '.join(without[:5])}; "
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


def split_annotations(
    dataset: Mapping[str, Any], seen_ids: Collection[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the dataset with only its seen annotations, and with only the others.

    Both keep all images and categories, because an image without seen objects may have unseen ones.
    """
    seen = set(seen_ids)
    seen_part = [a for a in dataset["annotations"] if a["category_id"] in seen]
    hidden_part = [a for a in dataset["annotations"] if a["category_id"] not in seen]
    return {**dataset, "annotations": seen_part}, {**dataset, "annotations": hidden_part}


def require_seen(dataset: Mapping[str, Any], seen_ids: Collection[int], file: str) -> None:
    """Refuse to train on annotations of categories that are not seen; pseudo masks are allowed.

    Raises:
        ValueError: naming the file, the first such annotation and its category.
    """
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    for record in dataset["annotations"]:
        if record["category_id"] not in seen_ids and record.get("source") != "pseudo":
            raise ValueError(
                f"{file}: annotation {record['id']} has the category "
                f"'{names[record['category_id']]}', which is not seen in this split; "
                "it must be hidden from training, because the evaluation uses it"
            )
