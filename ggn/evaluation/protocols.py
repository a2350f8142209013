"""The evaluation protocols: what counts as a hit, what is ignored, what leaves the budget.

Three protocols are in circulation, and a number without its protocol means nothing. All of them are
class-agnostic: the category of a detection is never looked at.

`budget` (OLN, GGN, GOOD, UDOS): all objects are matched together. Only the evaluated ones count.
    A detection that at IoU 0.5 is matched to one of the others leaves the budget, so that finding a
    seen object costs nothing; each object takes one detection, a duplicate of it still costs.
`plain` (v-CLR): COCOeval on the evaluated objects alone. Finding a seen object costs a place.
`per_class` (LDET, SOS): detections with IoU >= 0.5 to any seen object are taken away beforehand;
    what is left is compared with each evaluated category alone, and recall is averaged over the
    categories. It defines no precision.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation.params import ProtocolName

Bools = NDArray[np.bool_]

SEEN_MATCH_IOU = 0.5
"""The overlap from which a detection belongs to a seen object (budget, per_class)."""


@dataclass(frozen=True)
class ImageOverlaps:
    """What the protocols know of one image with D detections (best first) and G objects.

    `iou` is float64 (D, G), with COCO's crowd rule in the columns of crowds; `category_ids` int64
    (G,); `crowd` bool (G,).
    """

    iou: NDArray[np.float64]
    category_ids: NDArray[np.int64]
    crowd: Bools


@dataclass(frozen=True)
class View:
    """One comparison of an image's detections with its objects; all arrays bool.

    A present object that does not count is ignored, as COCO ignores crowds: it may absorb a
    detection, which then is neither a hit nor a false alarm.
    """

    present: Bools
    """(G,) objects that can be matched at all."""
    counted: Bools
    """(G,) present objects whose match is a hit; the denominator of recall."""
    frees: Bools
    """(G,) a detection matched to such an object at IoU 0.5 leaves the budget."""
    takes_part: Bools
    """(D,) detections that are compared at all."""


Views = Callable[[ImageOverlaps, NDArray[np.int64]], Mapping[Any, View]]
"""Views of one image for the evaluated category ids. A key names what its view is averaged as."""


@dataclass(frozen=True)
class Protocol:
    """A protocol: how it views an image, and whether precision is defined under it."""

    views: Views
    has_precision: bool


def budget_views(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> dict[str, View]:
    """One view: every object absorbs a detection, those of other categories free of charge."""
    is_evaluated = np.isin(image.category_ids, evaluated)
    return {
        "pooled": View(
            present=np.ones_like(is_evaluated),
            counted=is_evaluated & ~image.crowd,
            frees=~is_evaluated,
            takes_part=np.ones(len(image.iou), bool),
        )
    }


def plain_views(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> dict[str, View]:
    """One view: objects of other categories do not exist."""
    is_evaluated = np.isin(image.category_ids, evaluated)
    return {
        "pooled": View(
            present=is_evaluated,
            counted=is_evaluated & ~image.crowd,
            frees=np.zeros_like(is_evaluated),
            takes_part=np.ones(len(image.iou), bool),
        )
    }


def per_class_views(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> dict[int, View]:
    """One view for each evaluated category in the image, without the detections of seen objects."""
    is_seen = ~np.isin(image.category_ids, evaluated)
    on_seen: Bools = np.any(image.iou[:, is_seen] >= SEEN_MATCH_IOU, axis=1)
    views = {}
    for category_id in np.unique(image.category_ids[~is_seen]):
        present = image.category_ids == category_id
        views[int(category_id)] = View(
            present=present,
            counted=present & ~image.crowd,
            frees=np.zeros_like(present),
            takes_part=~on_seen,
        )
    return views


# The one list of protocols; its keys are `params.ProtocolName` (a test compares them).
PROTOCOLS: dict[ProtocolName, Protocol] = {
    "budget": Protocol(budget_views, has_precision=True),
    "per_class": Protocol(per_class_views, has_precision=False),
    "plain": Protocol(plain_views, has_precision=True),
}
