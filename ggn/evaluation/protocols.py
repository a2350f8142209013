"""The evaluation protocols: which detections are hits, which are ignored, which count towards k.

A number without its protocol means nothing. Three are in circulation for open-world models. They
are class-agnostic: the category of a detection is ignored.

`budget` (OLN, GGN, GOOD, UDOS): all objects are matched together, but only the evaluated ones
    count. A detection matched to one of the others at IoU 0.5 does not count towards k, so finding
    a seen object costs nothing. Each object takes one detection; a duplicate does count.
`plain` (v-CLR): COCOeval on the evaluated objects alone. A detection of a seen object counts.
`per_class` (LDET, SOS): detections with IoU >= 0.5 to any seen object are removed beforehand. The
    rest is compared with each evaluated category separately, and recall is averaged over the
    categories. Precision is not defined.

The fourth is for models that predict categories:

`federated` (LVIS): a category is evaluated in the images where it was looked for: those that have
    an object of it, and those that list it in `neg_category_ids`. Detections are compared with the
    objects of their own category. One that finds nothing is a false alarm, unless the image lists
    its category in `not_exhaustive_category_ids`. All categories share the budget.

On a federated dataset, the class-agnostic protocols still define recall, which depends only on
annotated objects. They don't define precision: whether a detection that found nothing is wrong
depends on objects of all evaluated categories, and nobody has looked for all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation.image_records import Federation
from ggn.evaluation.params import ProtocolName

Bools = NDArray[np.bool_]

SEEN_MATCH_IOU = 0.5
"""From this IoU on, a detection belongs to a seen object (budget, per_class)."""


@dataclass(frozen=True)
class ImageOverlaps:
    """What the protocols use of one image with D detections (best first) and G objects.

    `iou` is float64 (D, G), with COCO's crowd rule in the columns of crowds; `category_ids` int64
    (G,); `crowd` bool (G,); `detection_category_ids` int64 (D,).
    """

    iou: NDArray[np.float64]
    category_ids: NDArray[np.int64]
    crowd: Bools
    detection_category_ids: NDArray[np.int64]
    federation: Federation | None = None
    """None unless the dataset is federated."""


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
    holds_place: Bools
    """(D,) detections that use up the budget, unless freed."""
    is_exhaustive: bool = True
    """Whether a detection that finds nothing is a false alarm."""


Views = Callable[[ImageOverlaps, NDArray[np.int64]], Mapping[Any, View]]
"""Views of one image for the evaluated category ids. A key names what its view is averaged as."""


@dataclass(frozen=True)
class Protocol:
    """A protocol: how it views an image, and whether precision is defined under it."""

    views: Views
    has_precision: bool
    precision_budget: int = 100
    """Detections per image for AP."""
    needs_federation: bool = False


def _is_among(ids: NDArray[np.int64], chosen: NDArray[np.int64]) -> Bools:
    """Return what `np.isin` would, in a tenth of its time for the few objects of an image."""
    return np.asarray((ids[:, None] == chosen).any(axis=1))


def budget_views(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> dict[str, View]:
    """Return one view: objects of other categories also match, without counting towards k."""
    is_evaluated = _is_among(image.category_ids, evaluated)
    every_detection = np.ones(len(image.iou), bool)
    return {
        "pooled": View(
            present=np.ones_like(is_evaluated),
            counted=is_evaluated & ~image.crowd,
            frees=~is_evaluated,
            takes_part=every_detection,
            holds_place=every_detection,
        )
    }


def plain_views(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> dict[str, View]:
    """Return one view: objects of other categories are ignored."""
    is_evaluated = _is_among(image.category_ids, evaluated)
    every_detection = np.ones(len(image.iou), bool)
    return {
        "pooled": View(
            present=is_evaluated,
            counted=is_evaluated & ~image.crowd,
            frees=np.zeros_like(is_evaluated),
            takes_part=every_detection,
            holds_place=every_detection,
        )
    }


def per_class_views(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> dict[int, View]:
    """Return a view per evaluated category in the image, without detections of seen objects."""
    is_seen = ~_is_among(image.category_ids, evaluated)
    on_seen: Bools = np.any(image.iou[:, is_seen] >= SEEN_MATCH_IOU, axis=1)
    views = {}
    for category_id in np.unique(image.category_ids[~is_seen]):
        present = image.category_ids == category_id
        views[int(category_id)] = View(
            present=present,
            counted=present & ~image.crowd,
            frees=np.zeros_like(present),
            takes_part=~on_seen,
            holds_place=~on_seen,
        )
    return views


def federated_views(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> dict[int, View]:
    """Return a view per evaluated category that was looked for in the image."""
    lists = image.federation or Federation(frozenset(), frozenset())
    looked_for = set(image.category_ids.tolist()) | lists.absent
    views = {}
    for category_id in sorted(looked_for.intersection(evaluated.tolist())):
        present = image.category_ids == category_id
        views[category_id] = View(
            present=present,
            counted=present & ~image.crowd,
            frees=np.zeros_like(present),
            takes_part=image.detection_category_ids == category_id,
            holds_place=np.ones(len(image.iou), bool),
            is_exhaustive=category_id not in lists.not_exhaustive,
        )
    return views


def is_verified(image: ImageOverlaps, evaluated: NDArray[np.int64]) -> bool:
    """Whether all evaluated objects are annotated.

    If so, an unmatched detection is certainly a false positive.
    """
    if image.federation is None:
        return True
    known = set(image.category_ids.tolist()) | image.federation.absent
    return set(evaluated.tolist()) <= known - image.federation.not_exhaustive


# The list of all protocols; its keys are those of `params.ProtocolName` (a test compares them).
PROTOCOLS: dict[ProtocolName, Protocol] = {
    "budget": Protocol(budget_views, has_precision=True),
    "federated": Protocol(
        federated_views, has_precision=True, precision_budget=300, needs_federation=True
    ),
    "per_class": Protocol(per_class_views, has_precision=False),
    "plain": Protocol(plain_views, has_precision=True),
}
