"""Lenient reading of a dataset: deviations of common tools from COCO are mended and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from typing import Any

from ggn.core.faults import Fault, Finding, Kind, Mends, findings, sizes_hw_of, where
from ggn.core.likeness import same_objects
from ggn.core.spelling import respell
from ggn.core.values import MAX_ID, is_id

Record = dict[str, Any]


@dataclass(frozen=True)
class Mended:
    """A dataset after mending, and what was mended."""

    dataset: Record
    mended: dict[str, int]
    """How many records were mended, by kind in words."""
    first: dict[str, str]
    """The first record that was mended, by kind."""
    dropped: dict[str, int]
    """How many annotations were left out, by faulty key, `contradiction` or `repeated`."""
    faulty: list[Finding]
    """What could be neither mended nor left out; if any, the dataset is only spelt as COCO's."""
    repeated: list[Fault]
    """Duplicate images and objects, left out on request; and objects in several categories.
    Objects are the same if `ggn.core.likeness` says so, however they are drawn."""

    @property
    def faults(self) -> list[Fault]:
        """What could be neither mended nor left out."""
        return [finding.fault for finding in self.faulty]

    @property
    def dropped_share(self) -> float:
        """The share of the annotations that was left out for a fault; duplicates don't count."""
        faulty = sum(n for key, n in self.dropped.items() if key != "repeated")
        return faulty / max(1, faulty + len(self.dataset["annotations"]))


def mend(dataset: Any, file: str, *, drop: bool = False, strict: bool = False) -> Mended:
    """Mend what can be mended, and collect what can't.

    These are mended: crowds as true, false or null; area and bbox missing beside a mask; polygons
    that reach outside their image; polygons of one or two points beside others; annotation ids that
    are missing, repeated or too large; and what `ggn.core.spelling` reads. The input is not
    changed.

    Args:
        dataset: what the JSON file holds.
        file: its name, for the messages.
        drop: leave out faulty annotations, and all duplicates but the first; the objects of a
            duplicate image move to the first one.
        strict: mend nothing; duplicates are faults, too.
    """
    mends = Mends()

    def note(section: str, index: int, kind: str) -> None:
        mends.add(kind, where(section, index, given[section][index]))

    given = dataset
    if not strict:
        dataset = respell(given, note)
    found = list(findings(dataset, file, None if strict else mends))
    if isinstance(dataset, dict) and isinstance(dataset.get("annotations"), list):
        found += _drawn_again(dataset, file, mends, found)
    allowed = ("relabelled",) if strict else ("relabelled", "repeated")
    faulty = [f for f in found if f.fault.kind not in allowed]
    repeated = [f.fault for f in found if f.fault.kind in allowed]
    left = [f for f in faulty if not drop or f.section != "annotations" or f.index is None]
    if left:
        return Mended(dataset, mends.counts, mends.first, {}, left, repeated)
    dropped: dict[int, str] = {}
    for finding in [*faulty, *found] if drop else []:
        if finding.fault.kind == "relabelled":
            continue
        if finding.section == "annotations" and finding.index is not None:
            dropped.setdefault(finding.index, finding.key)
    changed = _changed(dataset, mends, dropped)
    if drop:
        changed = _without_repeated_images(changed, found)
    counts = dict(Counter(dropped.values()))
    return Mended(changed, mends.counts, mends.first, counts, [], repeated)


def free_ids(records: Iterable[Mapping[str, Any]]) -> Iterator[int]:
    """Yield unused ids: those above the records' ids, then the gaps from 1 on."""
    ids = (record.get("id") for record in records)
    used = {id_ for id_ in ids if is_id(id_)}
    yield from range(max(used, default=0) + 1, MAX_ID + 1)
    yield from (id_ for id_ in count(1) if id_ not in used)


def _changed(dataset: Record, mends: Mends, dropped: Mapping[int, str]) -> Record:
    if not mends.counts and not dropped:
        return dataset
    ids = free_ids(dataset["annotations"]) if mends.unnumbered else iter(())
    unnumbered = set(mends.unnumbered)
    annotations = []
    for index, given in enumerate(dataset["annotations"]):
        if index in dropped:
            continue
        annotation = mends.annotations.get(index, given)
        annotations.append({**annotation, "id": next(ids)} if index in unnumbered else annotation)
    return {**dataset, "annotations": annotations}


def _drawn_again(
    dataset: Record, file: str, mends: Mends, found: Sequence[Finding]
) -> Iterator[Finding]:
    """Yield the objects that are listed again with other values, among those without a fault."""
    annotations, become = dataset["annotations"], {}
    if {f.fault.kind for f in found if f.section == "images"} == {"repeated"}:
        become = _first_of_image(dataset["images"], found)
    relabelled = {f.index for f in found if f.fault.kind == "relabelled"}
    left_out = {
        f.index for f in found if f.section == "annotations" and f.fault.kind != "relabelled"
    }
    objects: list[Record | None] = [
        None if index in left_out else mends.annotations.get(index, given)
        for index, given in enumerate(annotations)
    ]
    for index, record in enumerate(objects) if become else ():
        if record is not None and record["image_id"] in become:
            objects[index] = {**record, "image_id": become[record["image_id"]]}
    for later, earlier in same_objects(objects, sizes_hw_of(dataset)):
        category, other = (annotations[index]["category_id"] for index in (later, earlier))
        kind: Kind = "repeated" if category == other else "relabelled"
        if kind == "relabelled" and later in relabelled:
            continue
        reason = f"is the same object as annotations[{earlier}], drawn in another way"
        reason += "" if kind == "repeated" else f", in the category {other}"
        fault = Fault(file, where("annotations", later, annotations[later]), reason, kind)
        yield Finding(fault, "annotations", later, kind)


def _first_of_image(images: Sequence[Record], found: Iterable[Finding]) -> dict[int, int]:
    """Return the id of the first of duplicate images by the ids of the others."""
    again = {f.index for f in found if f.section == "images" and f.fault.kind == "repeated"}
    first: dict[str, int] = {}
    for image in images if again else ():
        first.setdefault(str(PurePosixPath(image["file_name"])), image["id"])
    return {
        images[index]["id"]: first[str(PurePosixPath(images[index]["file_name"]))]
        for index in again
        if index is not None
    }


def _without_repeated_images(dataset: Record, found: Iterable[Finding]) -> Record:
    """Leave out duplicate images, and move their objects to the first one."""
    again = {f.index for f in found if f.section == "images" and f.fault.kind == "repeated"}
    if not again:
        return dataset
    images, become = dataset["images"], _first_of_image(dataset["images"], found)
    return {
        **dataset,
        "images": [image for index, image in enumerate(images) if index not in again],
        "annotations": [
            {**a, "image_id": become[a["image_id"]]} if a["image_id"] in become else a
            for a in dataset["annotations"]
        ],
    }
