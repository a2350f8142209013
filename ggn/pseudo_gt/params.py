"""Params of the pseudo ground truth."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RankName = Literal[
    "extracted",
    "outline_affinity",
    "interior_affinity",
    "interior_minus_twice_outline",
    "outline_minus_interior",
    "normalized_cut",
    "learned",
    "oln",
]


class PseudoGtParams(BaseModel):
    """Which candidate segments become training truth (GGN, section 3.3)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    top_k: int = Field(3, ge=1)
    """Largest number of pseudo masks per image."""
    max_annotation_iou: float = Field(0.5, gt=0, le=1)
    """A candidate with at least this IoU with an annotation shows that object, and is dropped."""
    rank: RankName = "extracted"
    """`extracted` keeps the order of extraction; a score of the grouping sorts by that score;
    `learned` sorts by the IoU that decision trees, fitted to the annotations, predict; `oln` adds
    the score that the baseline detector, which must be an OLN, gives the box
    (`inherited` in params.yaml must list `models/SPLIT/baseline` for the section `pseudo_gt`)."""
    min_score: float | None = Field(None, allow_inf_nan=False)
    """Candidates with a lower score by `rank` are dropped (`learned`: an IoU); `null`: no limit."""
    nms_iou: float = Field(0.2, ge=0, le=1)
    """Of two candidates with an IoU above this, only the better ranked one is kept."""
    min_area: int = Field(1, ge=1)
    """Smaller candidates (in pixels) are dropped."""
    warn_below_f1: float = Field(0.05, ge=0, le=1)
    """A run warns below this F1 (at IoU 0.5, on the annotated objects, for a choice made as if
    nothing were annotated): the pseudo masks are then mostly wrong."""
    per_image: bool = False
    """Whether the detector reads the pseudo masks image by image from a store on disk, which may
    have any size; otherwise they are in its training file, which must fit in memory."""
