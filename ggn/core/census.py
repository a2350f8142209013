"""Counts of the objects of a dataset, and of its crowds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CROWD_SHARE: Final = 0.1
"""From this share on, crowds are probably objects that are marked wrongly: COCO has 1 %."""

_NAMED = 5


@dataclass(frozen=True)
class Census:
    """How many objects and crowds a dataset has, and what is odd about the crowds."""

    images: int
    objects: int
    """Single objects, which training and evaluation use."""
    crowds: int
    """Regions of many objects (`iscrowd: 1`), which neither uses."""
    without: list[str]
    """Names of the categories without objects."""
    categories: int
    warnings: list[str]

    def __str__(self) -> str:
        crowds = f", {self.crowds} crowds (which take no part)" if self.crowds else ""
        without = f"{len(self.without)} of {self.categories} categories have none"
        named = f"; {without}: {_some(self.without)}" if self.without else ""
        return f"{self.images} images, {self.objects} objects{crowds}{named}"


def take_census(dataset: Mapping[str, Any]) -> Census:
    """Count the objects and crowds of a valid dataset."""
    objects, crowds = Counter[int](), Counter[int]()
    single_runs = crowd_runs = 0
    for annotation in dataset["annotations"]:
        is_crowd = bool(annotation.get("iscrowd"))
        (crowds if is_crowd else objects)[annotation["category_id"]] += 1
        if isinstance(annotation.get("segmentation"), dict):
            crowd_runs += is_crowd
            single_runs += not is_crowd
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    n_objects, n_crowds = objects.total(), crowds.total()
    warnings = []
    only_crowds = [f"{names[id_]} ({crowds[id_]})" for id_ in crowds if not objects[id_]]
    if only_crowds:
        warnings.append(f"categories that have only crowds: {_some(only_crowds)}")
    if n_crowds >= CROWD_SHARE * (n_objects + n_crowds) and crowd_runs and not single_runs:
        warnings.append(
            f"all {crowd_runs} masks as run lengths are crowds, {n_crowds} of "
            f"{n_objects + n_crowds} annotations: tools such as CVAT mark every brushed object as "
            "a crowd; set iscrowd to 0 where it is a single object"
        )
    without = [name for id_, name in names.items() if not objects[id_]]
    return Census(len(dataset["images"]), n_objects, n_crowds, without, len(names), warnings)


def _some(names: list[str]) -> str:
    more = f", … and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
