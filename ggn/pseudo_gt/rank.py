"""The order of an image's candidates, on which the choice of the first K rests."""

from collections.abc import Sequence

import numpy as np

from ggn.core.instances import Instances
from ggn.pseudo_gt.params import RankName
from ggn.pseudo_gt.store import ImageCandidates


def rank_candidates(item: ImageCandidates, names: Sequence[str], rank: RankName) -> Instances:
    """Return the candidates best first, their scores being those that ranked them.

    Args:
        item: one image's candidates.
        names: of its feature columns.
        rank: `extracted`, or a score of the grouping, stored as the feature `score_<rank>`.
    """
    if rank == "extracted":
        return item.instances
    column = f"score_{rank}"
    if column not in names:
        raise ValueError(f"pseudo_gt.rank {rank!r} needs the feature {column}; there are {names}")
    scores = item.features[:, list(names).index(column)]
    best_first = np.argsort(-scores, kind="stable")
    ranked = item.instances[best_first]
    return Instances(ranked.masks, scores[best_first], ranked.image_size_hw)
