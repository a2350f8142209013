"""The rows of the published zoo and the numbers that papers report on them: facts, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

METRICS = ("unseen/mask_AR_100", "unseen/box_AR_100")
"""The published metrics, by the names of our reports."""


@dataclass(frozen=True)
class PublishedNumber:
    """What a paper reports for a method on a row of the zoo."""

    split: str
    """The row: a name in `ROWS`."""
    method: str
    """As its paper calls it; `baseline` is GGN's Mask R-CNN trained on the annotations alone."""
    metric: str
    """One of `METRICS`."""
    value: float
    """In 0..1; the highest where papers differ."""
    protocol: str
    """`budget`, `per_class` or `plain` as in `ggn.evaluation`; `unstated` where we don't know."""
    source: str
    """The method's paper."""
    lowest: float | None = None
    """In 0..1; the lowest where papers differ, otherwise None."""


@dataclass(frozen=True)
class ReferenceFile:
    """A file that the reference's authors released."""

    name: str
    """What `ggn zoo fetch --file` calls it."""
    kind: str
    """`affinity`, `detector`, `pseudo_gt` or `annotations`: how it is converted."""
    model: str | None = None
    """Of weights, the network: a kind of `ggn.openmmlab.build_model`."""
    url: str | None = None
    """Where it is, if we know; otherwise a person says it by `--url`."""
    size: int | None = None
    """In bytes, if known."""
    sha256: str | None = None
    """Of the file, if known."""


@dataclass(frozen=True)
class Row:
    """A row of the published zoo: what is trained on what, and what its authors released."""

    split: str
    """Its name here; a split of params.yaml where we have the recipe."""
    train: str
    evaluate: str
    top_k: int
    """Pseudo masks per image."""
    files: tuple[ReferenceFile, ...] = ()

    def file(self, name: str) -> ReferenceFile:
        """Return the released file of that name; ValueError naming those there are."""
        for file in self.files:
            if file.name == name:
                return file
        known = ", ".join(file.name for file in self.files) or "none"
        raise ValueError(f"{self.split}: no released file {name!r}; released were: {known}")


_AFFINITY = ReferenceFile("affinity", "affinity", "pa")
_PSEUDO_GT = ReferenceFile("pseudo_gt", "pseudo_gt")
_GGN = ReferenceFile("ggn", "detector", "maskrcnn")
_RELEASED = (_AFFINITY, _PSEUDO_GT, _GGN)

ROWS: tuple[Row, ...] = (
    Row("coco_person", "COCO train2017, person", "COCO val2017, the 79 others", 3, _RELEASED),
    Row(
        "coco_voc",
        "COCO train2017, the 20 VOC classes",
        "COCO val2017, the 60 others",
        3,
        (*_RELEASED, ReferenceFile("ggn_pseudo_only", "detector", "maskrcnn")),
    ),
    Row(
        "coco_voc_oln",
        "COCO train2017, the 20 VOC classes",
        "COCO val2017, the 60 others",
        3,
        (ReferenceFile("ggn", "detector", "oln_mask"),),
    ),
    Row(
        "lvis_coco",
        "LVIS, the classes that are in COCO",
        "LVIS, the others",
        1,
        (
            ReferenceFile("train_annotations", "annotations"),
            ReferenceFile("val_annotations", "annotations"),
            *_RELEASED,
        ),
    ),
    Row(
        "lvis_noncoco",
        "LVIS, the classes that are not in COCO",
        "COCO",
        1,
        (ReferenceFile("annotations", "annotations"), *_RELEASED),
    ),
    Row("coco_uvo", "COCO, all 80", "UVO dense and sparse val", 3, _RELEASED),
    Row(
        "imagenet",
        "affinity from COCO, detector from random weights on ImageNet pseudo-GT alone",
        "nothing: it is fine-tuned",
        10,
        (_AFFINITY, _PSEUDO_GT, ReferenceFile("ggn", "detector", "maskrcnn_gn")),
    ),
    Row(
        "coco_uvo_imagenet",
        "`imagenet` fine-tuned on COCO with pseudo-GT",
        "UVO",
        3,
        (ReferenceFile("ggn", "detector", "maskrcnn_gn"),),
    ),
    Row("coco_ade20k", "COCO", "ADE20K, converted to COCO's format", 3),
)
"""In the order of the paper's tables."""

_GGN_PAPER = "Wang et al., CVPR 2022, arXiv:2204.06107"
_PAPERS = {  # each with the protocol of its tables
    "SAM everything": ("Kirillov et al., ICCV 2023, arXiv:2304.02643", "unstated"),
    "SAM": ("Kirillov et al., ICCV 2023, arXiv:2304.02643", "unstated"),
    "SOS": ("Wilms et al., ECCV 2024, arXiv:2409.14627", "per_class"),
    "SWORD": ("Wu et al., ICCV 2023, arXiv:2308.04206", "unstated"),
    "UDOS": ("Kalluri et al., WACV 2024, arXiv:2303.05503", "budget"),
    "v-CLR": ("Zhang et al., CVPR 2025, arXiv:2504.01383", "plain"),
    "OLN": ("Kim et al., RA-L 2022, arXiv:2108.06753", "budget"),
    "OLN-Mask": ("Kim et al., RA-L 2022, arXiv:2108.06753", "budget"),
    "LDET": ("Saito et al., ECCV 2022, arXiv:2112.01698", "per_class"),
    "GOOD": ("Huang et al., ICLR 2023, arXiv:2212.11720", "budget"),
    "OpenInst": ("Wang et al., 2023, arXiv:2303.15859", "unstated"),
}


def _ggn(split: str, baseline: float | None, ggn: float) -> tuple[PublishedNumber, ...]:
    """Mask AR@100 in percent of GGN's own tables."""
    pairs = (("baseline", baseline), ("GGN", ggn))
    return tuple(
        PublishedNumber(split, method, METRICS[0], round(percent / 100, 4), "budget", _GGN_PAPER)
        for method, percent in pairs
        if percent is not None
    )


def _other(
    split: str, method: str, percent: float, lowest: float | None = None, *, box: bool = False
) -> PublishedNumber:
    """AR@100 in percent of another method."""
    source, protocol = _PAPERS[method]
    low = None if lowest is None else round(lowest / 100, 4)
    return PublishedNumber(
        split, method, METRICS[box], round(percent / 100, 4), protocol, source, low
    )


PUBLISHED: tuple[PublishedNumber, ...] = (
    *_ggn("coco_person", 4.9, 20.9),
    _other("coco_person", "GOOD", 26.2, box=True),
    _other("coco_person", "OLN", 16.5, box=True),
    *_ggn("coco_voc", 19.9, 28.7),
    _other("coco_voc", "SAM everything", 48.1),
    _other("coco_voc", "SOS", 39.3),
    _other("coco_voc", "SWORD", 34.9),
    _other("coco_voc", "UDOS", 34.3, 31.6),
    _other("coco_voc", "v-CLR", 34.1, 33.7),
    _other("coco_voc", "OLN-Mask", 28.6, 27.8),
    _other("coco_voc", "LDET", 27.4, 24.8),
    _other("coco_voc", "v-CLR", 40.9, box=True),
    _other("coco_voc", "SWORD", 40.0, box=True),
    _other("coco_voc", "GOOD", 39.3, box=True),
    _other("coco_voc", "OLN", 33.6, 33.2, box=True),
    *_ggn("coco_voc_oln", None, 33.7),
    *_ggn("lvis_coco", 16.5, 20.4),
    *_ggn("lvis_noncoco", 21.7, 23.6),
    *_ggn("coco_uvo", 40.1, 43.4),
    _other("coco_uvo", "OpenInst", 53.3),
    _other("coco_uvo", "SAM", 50.1),
    *_ggn("coco_uvo_imagenet", 40.1, 45.3),
    *_ggn("coco_ade20k", 11.9, 21.0),
    _other("coco_ade20k", "SOS", 26.5),
    _other("coco_ade20k", "UDOS", 22.9),
)
"""Every published AR@100 we know of, by row; `imagenet` has none, since it is evaluated nowhere."""


def row(split: str) -> Row:
    """Return the row of that name.

    Raises ValueError, naming the rows there are.
    """
    for candidate in ROWS:
        if candidate.split == split:
            return candidate
    known = ", ".join(candidate.split for candidate in ROWS)
    raise ValueError(f"no published row {split!r}; there are {known}")


def published(split: str, method: str, metric: str = METRICS[0]) -> float | None:
    """Return a published number in 0..1, or None where there is none."""
    for number in PUBLISHED:
        if (number.split, number.method, number.metric) == (split, method, metric):
            return number.value
    return None
