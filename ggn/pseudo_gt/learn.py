"""A ranking learned from the annotations: predicts a candidate's IoU from its features."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ggn.core.masks import RLE, mask_iou
from ggn.pseudo_gt.select import HIT_IOU
from ggn.store.parquet import ImageInstances

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

KNOWN_IOU = 0.1  # from this IoU with an annotation on, a candidate belongs to that object
KNOWN_SHARE = 0.5  # likewise from this share of its area on annotated objects on
UNKNOWN_WEIGHT = 0.1
"""Weight of candidates away from all annotations. They may be objects of unseen categories, so they
are not negatives, but most are background, so they get a small weight: benchmarks/rankers.py."""
MIN_HITS = 20
"""Fewest candidates on annotated objects to learn from."""
MAX_EXAMPLES = 500_000
"""If there are more candidates, only every second, third, ... is used: more only takes longer."""
FOLDS = 5
"""Number of parts of the images; each part is ranked by trees fitted to the others."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What the annotations say about N candidates, of one image or of all."""

    iou: NDArray[np.float64]
    """(N,) largest IoU with an annotated object, 0 without any."""
    known: NDArray[np.bool_]
    """(N,) whether the candidate lies on annotated objects. Then its true IoU is known; for other
    candidates it is not."""

    def of(self, chosen: NDArray[np.bool_]) -> Labels:
        """Return the labels of the chosen candidates, given as bool (N,)."""
        return Labels(self.iou[chosen], self.known[chosen])


def label(masks: Sequence[RLE], annotated: Sequence[RLE]) -> Labels:
    """Return what an image's annotated objects say about its candidates.

    Args:
        masks: masks of the candidates.
        annotated: masks of the objects, of the same size; may be empty. Crowds must be left out,
            because the IoU with a crowd is not that with an object.
    """
    iou = mask_iou(masks, annotated).max(axis=1, initial=0)
    every_crowd = np.ones(len(annotated), dtype=bool)  # COCO divides by the candidate's area
    share = mask_iou(masks, annotated, every_crowd).sum(axis=1)
    return Labels(iou, (iou >= KNOWN_IOU) | (share >= KNOWN_SHARE))


def learn_scores(
    labelled: Iterable[tuple[ImageInstances, Sequence[RLE]]],
) -> dict[int, NDArray[np.float32]]:
    """Return the expected IoU with an object, (N,), of the candidates of each image.

    The annotations of an image don't affect the scores of its own candidates: see `predict_iou`.

    Args:
        labelled: every image's candidates and annotated objects (see `label`); read once, and only
            features and labels are kept.

    Raises:
        ValueError: the candidates have no features, or as `predict_iou`.
    """
    ids, counts, features, labels = _examples(labelled)
    images = np.repeat(np.arange(len(counts)), counts)
    scores = predict_iou(features, labels, images)
    return dict(zip(ids, np.split(scores, np.cumsum(counts)[:-1]), strict=True))


class LearnedRanking:
    """Trees fitted to the candidates of all images, for images that are not among them."""

    def __init__(self, labelled: Iterable[tuple[ImageInstances, Sequence[RLE]]]) -> None:
        """Fit; arguments and errors are as in `learn_scores`."""
        _, _, features, labels = _examples(labelled)
        _refuse_few(int((labels.iou >= HIT_IOU).sum()), len(labels.iou))
        self._trees = _fit(features, labels)
        parts = (features, labels.iou, labels.known)
        self.digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
        """Tells what it was fitted to."""

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the IoU (N,) with an object that is expected of candidates, by features (N, F)."""
        return _rate(self._trees, features) if len(features) else np.zeros(0, np.float32)


def _examples(
    labelled: Iterable[tuple[ImageInstances, Sequence[RLE]]],
) -> tuple[list[int], list[int], NDArray[np.float32], Labels]:
    """Ids of the images, numbers of their candidates; features and labels of all candidates."""
    ids, features, labels = [], [], []
    for item, annotated in labelled:
        ids.append(item.image_id)
        features.append(item.features)
        size_hw = (annotated[0]["size"][0], annotated[0]["size"][1]) if annotated else None
        found = item.instances.resized(size_hw) if size_hw else item.instances
        labels.append(label(found.masks, annotated))
    everything = Labels(
        np.concatenate([np.zeros(0), *(image.iou for image in labels)]),
        np.concatenate([np.zeros(0, dtype=bool), *(image.known for image in labels)]),
    )
    stacked = np.concatenate(features) if features else np.zeros((0, 0), dtype=np.float32)
    if len(stacked) and not stacked.shape[1]:
        raise ValueError("pseudo_gt.rank: learned needs features, which fetched masks don't have")
    return ids, [len(rows) for rows in features], stacked, everything


def predict_iou(
    features: NDArray[np.float32], labels: Labels, images: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Fit gradient-boosted trees to the labels; return their predicted IoU for every candidate.

    Cross-fitted: each of `FOLDS` parts of the images is rated by trees fitted to the others, so
    precision and recall on the annotations show how well the ranking works. Deterministic: no
    randomness, single-threaded sums. The model is not kept, because fitting takes seconds.

    Args:
        features: (N, F) features of the candidates of all images.
        labels: labels of the candidates.
        images: (N,) the number of each candidate's image, 0, 1, ...; every fifth is in one part.

    Returns:
        (N,) in [0, 1].

    Raises:
        ValueError: fewer than `MIN_HITS` candidates, in total or outside a part, reach an IoU of
            0.5 with an annotated object.
    """
    parts, predicted = images % FOLDS, np.zeros(len(features), dtype=np.float32)
    hit = labels.iou >= HIT_IOU
    hits = min(int(hit[parts != part].sum()) for part in range(FOLDS))
    _refuse_few(hits, len(labels.iou))
    for part in np.unique(parts):
        own = parts == part
        predicted[own] = _rate(_fit(features[~own], labels.of(~own)), features[own])
    return predicted


def _refuse_few(hits: int, candidates: int) -> None:
    if hits < MIN_HITS:
        raise ValueError(
            f"pseudo_gt.rank 'learned' needs at least {MIN_HITS} candidates on annotated objects "
            f"(IoU >= {HIT_IOU}) to learn from, got {hits} of {candidates}; "
            "choose another ranking, or extract more candidates"
        )


def _fit(features: NDArray[np.float32], labels: Labels) -> HistGradientBoostingRegressor:
    from sklearn.ensemble import HistGradientBoostingRegressor

    examples = slice(None, None, -(-len(features) // MAX_EXAMPLES))
    weights = np.where(labels.known, 1.0, UNKNOWN_WEIGHT)[examples]
    trees = HistGradientBoostingRegressor(
        learning_rate=0.1,
        max_iter=75,
        max_leaf_nodes=8,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(1):
        trees.fit(features[examples], labels.iou[examples], sample_weight=weights)
    return trees


def _rate(
    trees: HistGradientBoostingRegressor, features: NDArray[np.float32]
) -> NDArray[np.float32]:
    with threadpool_limits(1):
        predicted = trees.predict(features)
    clipped: NDArray[np.float32] = np.clip(predicted, 0, 1).astype(np.float32)
    return clipped
