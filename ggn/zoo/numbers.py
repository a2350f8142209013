"""Published numbers on the rows of the zoo, each with protocol, source and data."""

from __future__ import annotations

from dataclasses import dataclass

from ggn.zoo.rows import row


@dataclass(frozen=True)
class PublishedNumber:
    """A number that a source reports for a method on a row of the zoo.

    If sources contradict each other, each has its own number.
    """

    split: str
    """The row: a name in `ROWS`."""
    method: str
    """As its source calls it; `baseline` is GGN's Mask R-CNN trained on the annotations alone."""
    metric: str
    """Named as in our reports, such as `unseen/mask_AR_100`; F1 is that of AP and AR@100."""
    value: float
    """In 0..1; the highest if the source has several."""
    protocol: str
    """`budget`, `per_class` or `plain` as in `ggn.evaluation`; `unstated` if unknown."""
    source: str
    """A paper or a README."""
    measured_on: str
    """The data, as far as the source states it."""
    lowest: float | None = None
    """In 0..1; the lowest where a source has several, otherwise None."""
    note: str = ""
    """A remark for the reader."""


@dataclass(frozen=True)
class _Source:
    name: str
    protocol: str
    note: str = ""


_GGN = _Source("Wang et al., CVPR 2022, arXiv:2204.06107", "budget")
_UDOS = _Source("Kalluri et al., WACV 2024, arXiv:2303.05503", "budget")
_SWORD = _Source("Wu et al., ICCV 2023, arXiv:2308.04206", "unstated")
_VCLR = _Source("Zhang et al., CVPR 2025, arXiv:2504.01383, and README of Visual-AI/vCLR", "plain")
_OLN = _Source("Kim et al., RA-L 2022, arXiv:2108.06753", "budget")
_GOOD = _Source("Huang et al., ICLR 2023, arXiv:2212.11720", "budget")
_OPENINST = _Source("Wang et al., 2023, arXiv:2303.15859", "unstated")
_CUTLER = _Source("README of facebookresearch/CutLER", "unstated", "no annotations, zero-shot")
_LDET = _Source(
    "Saito et al., ECCV 2022, arXiv:2112.01698",
    "per_class",
    "before its evaluation was corrected",
)
_LDET_README = _Source(
    "README of the LDET repository", "per_class", "after its evaluation was corrected"
)
_SOS_README = "README of chwilms/SOS (Wilms et al., ECCV 2024, arXiv:2409.14627)"
_SOS = _Source(_SOS_README, "per_class", "LDET's code")
_SOS_ELSEWHERE = _Source(_SOS_README, "unstated")
_SOS_OWN = _Source(
    _SOS_README,
    "per_class",
    "LDET's code; the README prints an AR of 29.3, which its own AP 8.9 and F1 14.5 contradict",
)
_SOS_PRIOR = _Source(_SOS_README, "per_class", "LDET's code; trained for a quarter of the schedule")

_UVO = "UVO val, set not stated"
_UVO_SPARSE = "UVO sparse val"
_ADE20K = "ADE20K, set not stated"

Percents = float | tuple[float, float]
"""A value, or the lowest and the highest."""


def _numbers(
    split: str,
    source: _Source,
    values: dict[str, Percents],
    metric: str = "mask_AR_100",
    on: str | None = None,
) -> tuple[PublishedNumber, ...]:
    """Return the numbers of one source on one row, given by method in percent."""
    entry = row(split)
    ranges = {name: v if isinstance(v, tuple) else (None, v) for name, v in values.items()}
    return tuple(
        PublishedNumber(
            split,
            method,
            f"{entry.partition}/{metric}",
            round(high / 100, 4),
            source.protocol,
            source.name,
            on or entry.evaluate,
            None if low is None else round(low / 100, 4),
            source.note,
        )
        for method, (low, high) in ranges.items()
    )


_PRIORS = {
    "SOS, prior: contours": (5.6, 36.6, 9.7),
    "SOS, prior: superpixels": (5.6, 34.8, 9.6),
    "SOS, prior: grid of SAM": (3.8, 36.5, 6.9),
    "SOS, prior: DINO": (8.9, 38.1, 14.4),
}


def _with_precision(
    source: _Source, values: dict[str, tuple[float, float, float]]
) -> tuple[PublishedNumber, ...]:
    """Return AP, AR@100 and F1 on VOC -> non-VOC."""
    metrics = ("mask_AP", "mask_AR_100", "mask_F1_100")
    return tuple(
        number
        for place, metric in enumerate(metrics)
        for number in _numbers(
            "coco_voc", source, {name: three[place] for name, three in values.items()}, metric
        )
    )


PUBLISHED: tuple[PublishedNumber, ...] = (
    *_numbers("coco_person", _GGN, {"baseline": 4.9, "GGN": 20.9}),
    *_numbers("coco_person", _GOOD, {"GOOD": 26.2}, "box_AR_100"),
    *_numbers("coco_person", _OLN, {"OLN": 16.5}, "box_AR_100"),
    *_numbers("coco_voc", _GGN, {"baseline": 19.9, "GGN": 28.7}),
    *_numbers(
        "coco_voc",
        _SOS,
        {
            "Mask R-CNN": 8.2,
            "SAM": 23.7,
            "LDET": 24.8,
            "GGN": 28.3,
            "OLN": 28.4,
            "SWORD": 30.2,
            "UDOS": 34.3,
        },
    ),
    *_with_precision(_SOS_OWN, {"SOS": (8.9, 39.3, 14.5)}),
    *_with_precision(_SOS_PRIOR, _PRIORS),
    *_numbers("coco_voc", _LDET, {"LDET": (24.8, 27.4)}),
    *_numbers("coco_voc", _LDET_README, {"Mask R-CNN": 17.7, "Sampling": 23.7, "LDET": 31.0}),
    *_numbers("coco_voc", _VCLR, {"v-CLR": (33.7, 34.1)}),
    *_numbers("coco_voc", _VCLR, {"v-CLR": (40.3, 40.9)}, "box_AR_100"),
    *_numbers("coco_voc", _UDOS, {"UDOS": (31.6, 34.3)}),
    *_numbers("coco_voc", _SWORD, {"SWORD": 34.9}),
    *_numbers("coco_voc", _SWORD, {"SWORD": 40.0}, "box_AR_100"),
    *_numbers("coco_voc", _OLN, {"OLN-Mask": (27.8, 28.6)}),
    *_numbers("coco_voc", _OLN, {"OLN": (33.2, 33.6)}, "box_AR_100"),
    *_numbers("coco_voc", _GOOD, {"GOOD": 39.3}, "box_AR_100"),
    *_numbers("coco_voc_oln", _GGN, {"GGN": 33.7}),
    *_numbers("lvis_coco", _GGN, {"baseline": 16.5, "GGN": 20.4}),
    *_numbers("lvis_noncoco", _GGN, {"baseline": 21.7, "GGN": 23.6}),
    *_numbers("coco_uvo", _GGN, {"baseline": 40.1, "GGN": 43.4}, on=_UVO),
    *_numbers("coco_uvo", _OPENINST, {"OpenInst": 53.3}, on=_UVO),
    *_numbers(
        "coco_uvo",
        _SOS_ELSEWHERE,
        {
            "Mask R-CNN": 36.7,
            "LDET": 40.4,
            "OLN": 41.4,
            "SOS": 42.3,
            "UDOS": 43.1,
            "GGN": 43.4,
            "SAM": 50.1,
        },
        on=_UVO_SPARSE,
    ),
    *_numbers("imagenet", _CUTLER, {"CutLER": 32.7}, "box_AR_100"),
    *_numbers("coco_uvo_imagenet", _GGN, {"baseline": 40.1, "GGN": 45.3}, on=_UVO),
    *_numbers("coco_ade20k", _GGN, {"baseline": 11.9, "GGN": 21.0}, on=_ADE20K),
    *_numbers(
        "coco_ade20k",
        _SOS_ELSEWHERE,
        {"Mask R-CNN": 11.9, "LDET": 18.5, "OLN": 20.4, "GGN": 21.0, "UDOS": 22.9, "SOS": 26.5},
        on=_ADE20K,
    ),
    *_numbers(
        "coco_lvis",
        _SOS_ELSEWHERE,
        {
            "Mask R-CNN": 23.6,
            "LDET": 24.8,
            "UDOS": 24.9,
            "SOIS": 25.2,
            "GGN": 27.0,
            "OpenInst": 29.3,
            "SOS": 33.3,
            "SAM": 45.1,
        },
    ),
)
"""Every published number that we know of, by row."""


def published_number(split: str, methods: tuple[str, ...]) -> float | None:
    """Return the first mask AR@100 in 0..1 of one of the methods on a row, GGN's paper first."""
    found = (
        number.value
        for number in PUBLISHED
        if number.split == split
        and number.method in methods
        and number.metric.endswith("/mask_AR_100")
    )
    return next(found, None)
