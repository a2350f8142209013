"""Params of the grouping."""

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
    """Least distance between seeds as a share of the square root of the image's area, so that the
    number of regions in the finest partition does not depend on the resolution."""
    min_seed_spacing: int = Field(4, ge=2)
    """Least distance between seeds in pixels, for small images."""
    globalization_weight: float = Field(0.0, ge=0, le=1)
    """Share of the spectral (global) boundary in an arc's strength; 0 skips the eigenproblem."""
    score: ScoreName = "outline_minus_interior"
    """The score that ranks the segments (see docs/scores.md)."""
    min_area: int = Field(1, ge=1)
    """Least number of pixels of a candidate."""
    border_fraction: float = Field(0.9, ge=0, le=1)
    """A segment whose contact with the image frame exceeds this share of its outline is dropped."""
    nms_iou: float = Field(0.5, ge=0, le=1)
    """A segment with a larger IoU with a better one is dropped. The reference's 0.2 applies later,
    in `pseudo_gt`, after the final ranking: here it would drop good segments for worse ones."""
    max_candidates: int = Field(100, ge=1)
    """Largest number of candidates per image, best first."""
    union_share: float = Field(0.2, ge=0, le=1)
    """Share of the candidates, at the end of the list, for unions of two to four segments."""
    longest_side: int | None = Field(None, ge=32)
    """Larger images are shrunk to this longest side before extraction, for speed; the masks are
    enlarged to the original size. Areas, as in `min_area`, count pixels of the shrunk image. `null`
    extracts at the original size."""
    candidates_from: str | None = Field(None, pattern=r"^[^\s./\\][^\s/\\]*(/[^\s./\\][^\s/\\]*)*$")
    """Take the masks of a file or folder as candidates instead of grouping: a path in the project,
    such as `data/raw/mine/sam.json` or `releases/ROW/pseudo_gt` (`inherited` in params.yaml must
    list it). `pseudo_gt` selects among them as usual. See docs/sources.md."""
