"""Params of the data: the dataset of a split, and its seen categories."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ggn.data.shapes import ShapesParams
from ggn.data.splits import PARTITIONS


class DataParams(BaseModel):
    """A COCO-style dataset on disk or the synthetic one, and its seen and unseen categories."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    source: Literal["coco", "shapes"] = "coco"
    """`coco`: files on disk; `shapes`: synthetic images, drawn by `prepare`."""
    root: str = ""
    """Folder of the dataset on disk; the paths below are relative to it."""
    val_root: str | None = Field(None, min_length=1)
    """Folder of the validation dataset, if it is not that of the training dataset."""
    train_annotations: str = Field("annotations/instances_train2017.json", min_length=1)
    """COCO-style file of the training images."""
    val_annotations: str = Field("annotations/instances_val2017.json", min_length=1)
    """COCO-style file of the validation images."""
    train_images: str = Field("train2017", min_length=1)
    """Folder of the training images."""
    val_images: str = Field("val2017", min_length=1)
    """Folder of the validation images."""
    seen: str | list[str | int] = "voc"
    """Categories whose annotations may be learned from: a partition, or names and ids."""
    unseen: str | list[str | int] = "others"
    """Categories to be found without training on them: likewise, or `others` for all not seen."""
    drop_faulty: bool = False
    """Leave out faulty annotations and count them, instead of refusing the dataset."""
    max_dropped: float = Field(0.1, ge=0, le=1)
    """Largest share of the annotations that `drop_faulty` may leave out."""
    strict: bool = False
    """Refuse duplicates, and faults that are otherwise repaired on reading and counted."""
    ignore_exif: bool = False
    """Masks refer to the stored pixels, even if an EXIF orientation turns the image."""
    bits: int | None = Field(None, ge=9, le=16)
    """How many bits of 16-bit images are in use: `prepare` writes them scaled to 8 bits."""
    max_train_images: int | None = Field(None, ge=1)
    """Use only this many training images, those with the smallest ids."""
    max_val_images: int | None = Field(None, ge=1)
    """Use only this many validation images, those with the smallest ids."""
    shapes: ShapesParams = ShapesParams()
    """How the synthetic images are drawn."""

    @field_validator("seen", "unseen", mode="before")
    @classmethod
    def _categories_are_named(cls, spec: Any, info: ValidationInfo) -> Any:
        allowed = [*PARTITIONS, *(["others"] if info.field_name == "unseen" else [])]
        listed = isinstance(spec, list) and spec and {type(entry) for entry in spec} <= {str, int}
        if not listed and (not isinstance(spec, str) or spec not in allowed):
            names = ", ".join(allowed)
            raise ValueError(f"must be one of {names}, or a list of category names and ids")
        return spec

    @model_validator(mode="after")
    def _dataset_has_a_root(self) -> Self:
        if self.source == "coco" and not self.root:
            raise ValueError("root must be given, the folder of the dataset on disk")
        if self.strict and self.drop_faulty:
            raise ValueError("strict and drop_faulty exclude each other")
        return self
