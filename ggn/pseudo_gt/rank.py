"""Ranks an image's candidates; the first K are then chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import read_json, write_json
from ggn.core.instances import Instances
from ggn.pseudo_gt.params import PseudoGtParams, RankName
from ggn.store.parquet import ImageInstances

Scores = NDArray[np.float32]
_GIVEN: Final = ("learned", "oln")
"""Ranks whose scores another stage makes, of training images."""


def rank_candidates(
    item: ImageInstances,
    names: Sequence[str],
    rank: RankName,
    given: Mapping[int, Scores] | None = None,
) -> Instances:
    """Return the candidates best first, with the scores that ranked them.

    Args:
        item: one image's candidates.
        names: names of the feature columns.
        rank: `extracted`; a score of the grouping, stored as the feature `score_<rank>`; or
            `learned` or `oln`.
        given: the scores (N,) by image id, from `learn_scores` or `oln_scores`; for these two.

    Raises:
        ValueError: the scores to rank by are missing.
    """
    if rank == "extracted":
        return item.instances
    if rank not in _GIVEN:
        scores = stored_scores(item, names, rank)
    elif given is None or item.image_id not in given:
        raise ValueError(f"image {item.image_id}: pseudo_gt.rank {rank!r} needs {rank} scores")
    else:
        scores = given[item.image_id]
    best_first = np.argsort(-scores, kind="stable")
    ranked = item.instances[best_first]
    return Instances(ranked.masks, scores[best_first], ranked.image_size_hw)


def as_extracted(params: PseudoGtParams) -> PseudoGtParams:
    """Return the params for images that are not trained on, and so have no given scores.

    If `rank` needs some, the order of extraction takes its place, and there is no `min_score`.
    """
    if params.rank not in _GIVEN:
        return params
    return params.model_copy(update={"rank": "extracted", "min_score": None})


def stored_scores(item: ImageInstances, names: Sequence[str], rank: RankName) -> Scores:
    """Return the score of the grouping that was stored with the candidates, (N,)."""
    column = f"score_{rank}"
    if column not in names:
        raise ValueError(f"pseudo_gt.rank {rank!r} needs the feature {column}; there are {names}")
    return item.features[:, list(names).index(column)]


def oln_scores(item: ImageInstances, iou: Scores, centerness: Scores) -> Scores:
    """Return scores (N,) that combine affinity and an OLN (GGN, section 3.3).

    Half the score of extraction + s + s·c.

    Args:
        item: one image's candidates.
        iou: s (N,), the square root of the IoU that the OLN predicts for each candidate's box.
        centerness: c (N,), at the anchor that overlaps the box most.
    """
    return item.instances.scores / 2 + iou + iou * centerness


def write_scores(path: Path, scores: Mapping[int, Scores]) -> None:
    """Write the scores of each image's candidates as a JSON list of `{image_id, scores}`."""
    write_json(path, [{"image_id": key, "scores": row.tolist()} for key, row in scores.items()])


def read_scores(path: Path) -> dict[int, Scores]:
    """Return what `write_scores` wrote."""
    return {row["image_id"]: np.array(row["scores"], np.float32) for row in read_json(path)}
