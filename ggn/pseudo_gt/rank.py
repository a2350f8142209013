"""The order of an image's candidates, on which the choice of the first K rests."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ggn.core.instances import Instances
from ggn.pseudo_gt.params import RankName
from ggn.pseudo_gt.store import ImageCandidates

Scores = NDArray[np.float32]


def rank_candidates(
    item: ImageCandidates,
    names: Sequence[str],
    rank: RankName,
    learned: Mapping[int, Scores] | None = None,
) -> Instances:
    """Return the candidates best first, their scores being those that ranked them.

    Args:
        item: one image's candidates.
        names: of its feature columns.
        rank: `extracted`; a score of the grouping, stored as the feature `score_<rank>`; `learned`.
        learned: what `learn_scores` gave, by image id; for `learned` alone.

    Raises:
        ValueError: the scores to rank by are not there.
    """
    if rank == "extracted":
        return item.instances
    # Another stage's scores, such as a detector's, would be one more column to take here.
    if rank != "learned":
        scores = stored_scores(item, names, rank)
    elif learned is None or item.image_id not in learned:
        raise ValueError(f"image {item.image_id}: pseudo_gt.rank 'learned' needs learned scores")
    else:
        scores = learned[item.image_id]
    best_first = np.argsort(-scores, kind="stable")
    ranked = item.instances[best_first]
    return Instances(ranked.masks, scores[best_first], ranked.image_size_hw)


def stored_scores(item: ImageCandidates, names: Sequence[str], rank: RankName) -> Scores:
    """Return the score of the grouping that was stored with the candidates, (N,)."""
    column = f"score_{rank}"
    if column not in names:
        raise ValueError(f"pseudo_gt.rank {rank!r} needs the feature {column}; there are {names}")
    return item.features[:, list(names).index(column)]
