"""The numbers of the pseudo ground truth that somebody may tune."""

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
    """Most pseudo masks of an image."""
    max_annotation_iou: float = Field(0.5, gt=0, le=1)
    """A candidate that overlaps an annotation by so much is that annotation, and is dropped."""
    rank: RankName = "extracted"
    """`extracted` keeps the order of extraction; a score of the grouping sorts anew; `learned`
    sorts by the IoU with an object that trees, fitted to the annotations, predict; `oln` adds to
    the score of extraction what the baseline detector, which must be an OLN, says of the box
    (`inherited` in params.yaml must bring `models/SPLIT/baseline` to the section `pseudo_gt`)."""
    min_score: float | None = Field(None, allow_inf_nan=False)
    """Candidates scored less by `rank` are dropped (`learned`: an IoU); `null` for no limit."""
    nms_iou: float = Field(0.2, ge=0, le=1)
    """Of two candidates that overlap by more than this, the better ranked one is chosen."""
    min_area: int = Field(1, ge=1)
    """Smaller candidates (in pixels) are dropped."""
    warn_below_f1: float = Field(0.05, ge=0, le=1)
    """A run warns if the choice, made as if nothing were annotated, finds the annotated objects
    with a smaller F1 at IoU 0.5: its masks are then mostly wrong."""
    per_image: bool = False
    """Whether the detector reads the pseudo masks of each image from a store on disk, which holds
    any number; otherwise they are annotations of its training file, which must fit in memory."""
