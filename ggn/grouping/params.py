"""The numbers of the grouping that somebody may tune."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ScoreName = Literal[
    "outline_affinity",
    "interior_affinity",
    "interior_minus_twice_outline",
    "outline_minus_interior",
    "normalized_cut",
]


class GroupingParams(BaseModel):
    """How an affinity map becomes ranked candidate segments (GGN, section 3.2)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    seed_spacing: float = Field(0.015, gt=0, le=0.5)
    """Least distance between seeds as a share of the square root of the image's area, so that
    the finest partition has as many regions at any resolution."""
    min_seed_spacing: int = Field(4, ge=2)
    """Least distance between seeds in pixels, for small images."""
    globalization_weight: float = Field(0.0, ge=0, le=1)
    """Share of the spectral (global) boundary in an arc's strength; 0 skips the eigenproblem."""
    score: ScoreName = "outline_minus_interior"
    """What ranks the segments (see score.py)."""
    min_area: int = Field(1, ge=1)
    """Least number of pixels of a candidate."""
    border_fraction: float = Field(0.9, ge=0, le=1)
    """A segment whose contact with the image frame exceeds this share of its outline is dropped."""
    nms_iou: float = Field(0.5, ge=0, le=1)
    """A segment that overlaps a better one by more than this is dropped. The reference's 0.2 is
    that of `pseudo_gt`, after the final ranking: here, good segments would lose to worse ones."""
    max_candidates: int = Field(100, ge=1)
    """Most candidates to return, best first."""
    union_share: float = Field(0.2, ge=0, le=1)
    """Share of these, the last ones, that unions of two to four adjacent segments may take."""
    longest_side: int | None = Field(None, ge=32)
    """Larger images are shrunk to this longest side before extraction, for speed; the masks are
    brought back to the original size. Areas, as in `min_area`, count pixels of the shrunk image.
    `null` extracts at the original size."""
    candidates_from: str | None = Field(None, pattern=r"^[^\s./\\][^\s/\\]*(/[^\s./\\][^\s/\\]*)*$")
    """Group nothing, and take the masks of a file or folder as candidates, whoever has found them:
    a path below the project, such as `data/raw/mine/sam.json` or `releases/ROW/pseudo_gt`
    (`inherited` in params.yaml must bring it). See docs/sources.md. `pseudo_gt` chooses among them
    as usual."""
