"""The rows of the published zoo, and the files that their authors released."""

from __future__ import annotations

from dataclasses import dataclass

LICENCE = "CC BY-NC 4.0"
"""Licence of the reference's code and files, which belong to its authors: no commercial use."""
LICENCE_TEXT = "https://creativecommons.org/licenses/by-nc/4.0/"


@dataclass(frozen=True)
class ReferenceFile:
    """A file that the reference's authors released."""

    name: str
    """Its name for `ggn zoo fetch --file`."""
    kind: str
    """`affinity`, `detector`, `pseudo_gt` or `annotations`: how it is converted."""
    model: str | None = None
    """The network of weights: a kind of `ggn.openmmlab.build_model`."""
    url: str | None = None
    """Its address; None if the authors' link is empty."""
    size: int | None = None
    """In bytes, if known."""
    sha256: str | None = None
    """Of the file, if known."""


@dataclass(frozen=True)
class Row:
    """A row of the published zoo: training and validation data, and what its authors released."""

    split: str
    """Its name here, and that of its split in params.yaml."""
    train: str
    evaluate: str
    """The validation data."""
    partition: str
    """The objects whose recall is published: `unseen` or `all`."""
    top_k: int
    """Pseudo masks per image."""
    files: tuple[ReferenceFile, ...] = ()

    def file(self, name: str) -> ReferenceFile:
        """Return the released file of that name. Raises ValueError, naming those there are."""
        for file in self.files:
            if file.name == name:
                return file
        known = ", ".join(file.name for file in self.files) or "none"
        raise ValueError(f"{self.split}: no released file {name!r}; released were: {known}")


def _files(detector: str, **ids: str | None) -> tuple[ReferenceFile, ...]:
    """Return files by name, from their ids on Google Drive."""
    return tuple(
        ReferenceFile(
            name,
            _KINDS.get(name, "annotations"),
            "pa" if name == "affinity" else detector if name.startswith("ggn") else None,
            None if key is None else f"https://drive.google.com/file/d/{key}/view",
        )
        for name, key in ids.items()
    )


_KINDS = {
    "affinity": "affinity",
    "pseudo_gt": "pseudo_gt",
    "ggn": "detector",
    "ggn_pseudo_only": "detector",
}

ROWS: tuple[Row, ...] = (
    Row(
        "coco_person",
        "COCO train2017, person",
        "COCO val2017, the 79 others",
        "unseen",
        3,
        _files(
            "maskrcnn",
            affinity="1bNafmQz8LYzLl5vFKhhsQ8R6HS6rxWtw",
            pseudo_gt="1Tna7r1FJUMvcyKkuQ8_3Nm054j9g4QS9",
            ggn="13aeZFMy658wxkaEQtKpLJ5bEuMOi066P",
        ),
    ),
    Row(
        "coco_voc",
        "COCO train2017, the 20 VOC classes",
        "COCO val2017, the 60 others",
        "unseen",
        3,
        _files(
            "maskrcnn",
            affinity="1gRJVCUgtbn72XiyTfH6TtZt2AXXLGCj_",
            pseudo_gt="14udWTtiANG-lJYSwAqS3hnVZJKYE4xHi",
            ggn_pseudo_only="1jxXB6S9b4jqfhfDwfiXIyQxvmIZ9Q5cm",
            ggn="1IiepMOg89MhSM3PzpE_mycO2XRFw-YfV",
        ),
    ),
    Row(
        "coco_voc_oln",
        "COCO train2017, the 20 VOC classes",
        "COCO val2017, the 60 others",
        "unseen",
        3,
        _files("oln_mask", ggn=None),
    ),
    Row(
        "lvis_coco",
        "LVIS train, the classes that are in COCO",
        "LVIS val, the others",
        "unseen",
        1,
        _files(
            "maskrcnn",
            train_annotations="10HbETuaCEMAUS6E62IzHoR1LoUhRS5O5",
            val_annotations="1k3blgwu76OrI8haQ8Z9PPB2NrPd98_PW",
            affinity="1NjNP6cv1J7lOyl4m_0gZQ2q5yH0ieQZN",
            pseudo_gt="1q7OIp6S87iB2DaolizUkZXeAxzWk_5Oe",
            ggn="1THNSG_b5ymED1yFGa9_XouaIsFrqAnT3",
        ),
    ),
    Row(
        "lvis_noncoco",
        "LVIS train, the classes that are not in COCO",
        "COCO val2017, all 80",
        "all",
        1,
        _files(
            "maskrcnn",
            annotations="11OmQiuv-6FIArnxaxC1BjbE1f5GQ-wt-",
            affinity="1hqPRfP8PJIv712YGRYZ29Ppzai-T8Mae",
            pseudo_gt="1JYmowzwspI59mkOreGt-KUhaH487Xp-V",
            ggn="1VH0ucII1evxplnoX6-46TRVD5-Tm_loR",
        ),
    ),
    Row(
        "coco_uvo",
        "COCO train2017, all 80",
        "UVO dense val",
        "all",
        3,
        _files(
            "maskrcnn",
            affinity="1qbsbDXQ9-vBKJnBhziRk9Ws8ZTOAkjlN",
            pseudo_gt="1vVsuS8Z3KHy4DJMZmKPZkzwBcJEYUqWz",
            ggn="1JNoI6_sPDZPbrBvoouJfEpNSs01G0Alb",
        ),
    ),
    Row(
        "imagenet",
        "affinity from COCO, detector from random weights on ImageNet pseudo-GT alone",
        "COCO val2017, all 80",
        "all",
        10,
        _files(
            "maskrcnn_gn",
            affinity="1o0uzCTQ__6Ju3pIgBWWesUZG-fFzdCuZ",
            pseudo_gt="1CA-f4YSoWKzzPeoBGTdL9zvck01inmh4",
            ggn="1V2pX52BdhzA2GCfx9lMTC0MK9QjHeI2w",
        ),
    ),
    Row(
        "coco_uvo_imagenet",
        "`imagenet` fine-tuned on COCO with pseudo-GT",
        "UVO dense val",
        "all",
        3,
        _files("maskrcnn_gn", ggn="1daSPUOJkThDFLdVW-PhL5b8kIMIerP-3"),
    ),
    Row("coco_ade20k", "COCO train2017, all 80", "ADE20K challenge val", "all", 3),
    Row("coco_lvis", "COCO train2017, all 80", "LVIS v1 val, all classes", "all", 3),
)
"""In the order of the paper's tables, followed by rows that others have added."""


def row(split: str) -> Row:
    """Return the row of that name.

    Raises ValueError, naming the rows there are.
    """
    for candidate in ROWS:
        if candidate.split == split:
            return candidate
    known = ", ".join(candidate.split for candidate in ROWS)
    raise ValueError(f"no published row {split!r}; there are {known}")
