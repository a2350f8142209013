"""Tables of the settings of datasets and pseudo masks, and their names in params.yaml."""

from typing import Any

from ggn.data.splits import PARTITIONS
from ggn.openmmlab.rules import Pairs, Rule, UnsupportedError, anything, nested, one_of, only, to

DATASETS = (
    "CocoSplitDataset",
    "CocoSplitPseudoMasksDataset",
    "CocoSplitOnlineDataset",
    "CocoDataset",
)


def _classes(key: str) -> Rule:
    def rule(value: Any) -> Pairs:
        listed = isinstance(value, list) and value and {type(v) for v in value} <= {str, int}
        if not listed and (isinstance(value, list | dict) or value not in PARTITIONS):
            names = ", ".join(PARTITIONS)
            raise UnsupportedError(f"only {names}, or a list of names and ids")
        return [(key, value)]

    return rule


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnsupportedError("only a number")
    return value


def _limit(value: Any) -> Any:
    return None if value is None else _number(value)


def _area(value: Any) -> Any:
    return max(1, _number(value))


def _weight(value: Any) -> Any:
    return float(value) if isinstance(value, bool) else _number(value)


def _ranker(value: Any) -> Pairs:
    return [] if value is None else [("pseudo_gt.rank", "oln"), ("detector.heads", "oln")]


def _suppression(value: Any) -> Pairs:
    """Set the suppression after the final ranking; extraction must not drop more than that."""
    pairs = [("pseudo_gt.nms_iou", _number(value))]
    return pairs + ([("grouping.nms_iou", value)] if value > 0.5 else [])


_PA_TO_MASKS = {
    "edge_thresh": only(0),
    "join_thresh": only(1),
    "rank_method": one_of(
        "grouping.score",
        {
            0: "outline_affinity",
            1: "interior_affinity",
            2: "interior_minus_twice_outline",
            3: "outline_minus_interior",
            4: "normalized_cut",
        },
    ),
    "nms": _suppression,
    "use_orientation": only(1),
    "use_globalization": to("grouping.globalization_weight", _weight),
    "use_new_affinity": only(False),
    "filter_by_edge_method": only(2),
    "filter_by_edge_thresh": to("grouping.border_fraction", _number),
    "min_component_size": to("grouping.min_area", _area),
    "oln_ranker_path": _ranker,
}
_TRAIN = {
    "seen": _classes("data.seen"),
    "unseen": _classes("data.unseen"),
    "iou_thresh": to("pseudo_gt.max_annotation_iou", _number),
    "score_thresh": to("pseudo_gt.min_score", _limit),
    "top_k": to("pseudo_gt.top_k", _number),
    "random_sample_masks": only(False),
    "additional_ann_file": anything,  # a note says how to import it
    "ann_dir": to("pseudo_gt.per_image", lambda _: True),
}
_OF_EVERY_DATASET = {"type": only(*DATASETS), "is_class_agnostic": only(True)}

METHOD: dict[str, Rule] = {
    **nested("pa_to_masks", _PA_TO_MASKS),
    **nested("data.train", {**_OF_EVERY_DATASET, **_TRAIN}),
    **nested("data.val", _OF_EVERY_DATASET),
    **nested("data.test", _OF_EVERY_DATASET),
    **{
        f"data.{key}": to(f"data.{key}")
        for key in (
            "root",
            "val_root",
            "train_annotations",
            "train_images",
            "val_annotations",
            "val_images",
        )
    },
}
"""Rules with the section in their keys."""
