"""Confidence intervals of average recall, by drawing the images many times with replacement.

The percentile bootstrap (B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993, chapter
13). Images are drawn, not objects, because those of one image are found or missed together.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ggn.evaluation.matching import IOU_THRESHOLDS
from ggn.evaluation.sums import RANGE_OF_METRIC, RECALL_NAMES, RecallSums

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0

Interval = tuple[float, float]
"""The lower and the upper end."""

_TOGETHER = 64  # resamples in memory at a time


def recall_samples(
    sums: RecallSums, resamples: int = RESAMPLES, seed: int = SEED
) -> NDArray[np.float64]:
    """Return every recall of `RECALL_NAMES` on resampled images, (R, M).

    A resample draws as many images as there are, with replacement; an image drawn twice counts
    twice. A recall without objects is NaN. The drawn images depend only on their number and the
    seed, so the samples of two models are paired.
    """
    rng = np.random.default_rng(seed)
    n_groups = int(sums.groups.max(initial=-1)) + 1
    samples = np.full((resamples, len(RECALL_NAMES)), np.nan)
    if not n_groups:
        return samples
    columns = np.concatenate([sums.hits, sums.objects], axis=1)
    by_group = _by_group(sums, columns, n_groups)
    for first in range(0, resamples, _TOGETHER):
        count = min(_TOGETHER, resamples - first)
        drawn = np.stack([_times_drawn(rng, sums.n_images) for _ in range(count)], axis=1)
        totals = (by_group @ drawn).reshape(n_groups, columns.shape[1], count)
        samples[first : first + count] = _recall(totals).T
    return samples


def recall_intervals(samples: NDArray[np.float64]) -> dict[str, Interval]:
    """Return the 95 % interval of each recall of `RECALL_NAMES` from its samples, (R, M).

    For the interval of a difference, pass the differences of two models' samples. Resamples without
    objects to measure on are left out, and so is a recall that is undefined in all of them.
    """
    intervals = {}
    for name, values in zip(RECALL_NAMES, samples.T, strict=True):
        defined = values[~np.isnan(values)]
        if len(defined):
            low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
            intervals[name] = (low, high)
    return intervals


def _by_group(sums: RecallSums, columns: NDArray[np.int64], n_groups: int) -> csr_array:
    """Return the sums as a matrix (groups x columns, images)."""
    n_columns = columns.shape[1]
    rows = sums.groups[:, None] * n_columns + np.arange(n_columns)
    places = np.broadcast_to(sums.images[:, None], rows.shape)
    shape = (n_groups * n_columns, sums.n_images)
    return csr_array((columns.ravel(), (rows.ravel(), places.ravel())), shape=shape)


def _times_drawn(rng: np.random.Generator, n_images: int) -> NDArray[np.int64]:
    """Return how often each image is drawn, (N,)."""
    return np.bincount(rng.integers(n_images, size=n_images), minlength=n_images)


def _recall(totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean recall (M, R) over groups that have objects, from totals (G, M + 4, R)."""
    n_metrics = len(RECALL_NAMES)
    hits, objects = totals[:, :n_metrics], totals[:, n_metrics:][:, RANGE_OF_METRIC]
    recall = hits / (len(IOU_THRESHOLDS) * np.maximum(objects, 1))
    n_present = (objects > 0).sum(axis=0)
    return np.where(n_present > 0, recall.sum(axis=0) / np.maximum(n_present, 1), np.nan)
