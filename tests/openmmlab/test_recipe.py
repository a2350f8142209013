"""Each setting of a config to its key in params.yaml, or to a line that says what is missing."""

import re
from pathlib import Path
from typing import Any

import pytest

from ggn.openmmlab import read_config
from ggn.openmmlab.recipe import translate


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("backbone=dict(style='caffe')", {"backbone.stride_in_1x1": True}),
        ("backbone=dict(norm_eval=False)", {"backbone.norm": "batch"}),
        ("backbone=dict(frozen_stages=-1)", {"backbone.frozen_stages": 0}),
        (
            "pretrained=None, backbone=dict(frozen_stages=-1, norm_cfg=dict(type='GN'))",
            {"backbone.norm": "group", "backbone.weights": None},
        ),
        ("rpn_head=dict(anchor_generator=dict(scales=[4]))", {"rpn.anchor_scale": 4}),
        ("train_cfg=dict(rcnn=dict(mask_size=14))", {"mask.pool_size": 14}),
    ],
)
def test_settings_of_the_model(config: Path, given: str, expected: dict[str, Any]) -> None:
    config.write_text(f"{config.read_text()}\nmodel = dict({given})\n")
    values = translate(read_config(config), "detector").values
    assert {key: values[f"detector.{key}"] for key in expected} == expected


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        ("lr_config = dict(warmup=None)", "warmup_steps", 0),
        ("lr_config = dict(_delete_=True, policy='step', step=3)", "milestones", [3, 6]),
        (
            "lr_config = dict(_delete_=True, policy='CosineAnnealing', min_lr=0)",
            "schedule",
            "cosine",
        ),
        (
            "optimizer_config = dict(_delete_=True, grad_clip=dict(max_norm=35, norm_type=2))",
            "gradient_clip",
            35,
        ),
        ("data = dict(samples_per_gpu=1)", "batch_size", 8),
        ("gpu_ids = range(0, 4)", "batch_size", 8),
        ("gpu_ids = [0]", "batch_size", 2),
        ("gpu_ids = range(1)", "lr_batch_size", 2),
        ("optimizer = dict(_delete_=True, type='AdamW', lr=1e-4)", "weight_decay", 0.01),
        ("optimizer = dict(_delete_=True, type='AdamW', lr=1e-4)", "optimizer", "adamw"),
        (
            "optimizer = dict(paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))",
            "decay_norm_and_bias",
            False,
        ),
        (
            "optimizer = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))",
            "backbone_lr_share",
            0.1,
        ),
        ("fp16 = dict(loss_scale='dynamic')", "precision", "16-mixed"),
        (
            "lr_config = dict(_delete_=True, policy='CosineAnnealing', min_lr_ratio=1e-5)",
            "schedule",
            "cosine",
        ),
        ("data = dict(train=dict(pipeline=[dict(type='LoadImageFromFile')]))", "flip", False),
        ("total_epochs = 3\nrunner = dict(_delete_=True)", "epochs", 3),
    ],
)
def test_settings_of_the_training(config: Path, given: str, key: str, value: Any) -> None:
    config.write_text(f"{config.read_text()}\n{given}\n")
    assert translate(read_config(config), "detector").values[f"detector.{key}"] == value


@pytest.mark.parametrize("value", [0, None, [1], "1"])
def test_the_stem_alone_cannot_be_frozen(value: Any) -> None:
    recipe = translate({"model": {"backbone": {"frozen_stages": value}}}, "detector")
    assert f"model.backbone.frozen_stages = {value!r}: only -1 or 1 to 4" in recipe.unsupported


def test_what_mmdetection_takes_where_a_config_is_silent() -> None:
    config = {"model": {"roi_head": {"bbox_head": {"fc_out_channels": 8}}}, "data": {}}
    recipe = translate(config, "detector")
    assert recipe.values["detector.box.channels"] == 8
    name = "model.roi_head.bbox_head.num_classes (not given) = 80: only 1"
    assert name in recipe.unsupported
    assert "data.train.train_class is not given: data.seen stays 'voc'" in recipe.unsupported


def dataset(ann_file: object, img_prefix: str, **more: Any) -> dict[str, Any]:
    return {"ann_file": ann_file, "img_prefix": img_prefix, **more}


COCO = dataset("coco/train.json", "coco/train/")


@pytest.mark.parametrize(
    ("root", "train", "val", "expected"),
    [
        ("coco/", COCO, dataset("./coco//val.json", "coco/val"),
         ["coco", "train.json", "train", None, "val.json", "val"]),
        ("coco/", COCO, dataset("/uvo/val.json", "/uvo/val/"),
         ["coco", "train.json", "train", "/uvo", "val.json", "val"]),
        ("coco/", dataset("inet/a/x.json", "inet/train/"), dataset("coco/val.json", "coco/val/"),
         ["inet", "a/x.json", "train", "coco", "val.json", "val"]),
        (None, dataset("x.json", "x/", data_root="/mine"), dataset("y.json", "", data_root="/mine"),
         ["/mine", "x.json", "x", None, "y.json", "."]),
        (None, COCO, dataset("/elsewhere/val.json", "val"),
         ["coco", "train.json", "train", ".", "/elsewhere/val.json", "val"]),
    ],
)  # fmt: skip
def test_paths_are_relative_to_their_root(
    root: str | None, train: Any, val: Any, expected: list[str | None]
) -> None:
    config = {"data": {"train": train, "val": val}} | ({"data_root": root} if root else {})
    section = translate(config, "detector").section("data")
    keys = ("root", "train_annotations", "train_images")
    keys += ("val_root", "val_annotations", "val_images")
    assert [section.get(key) for key in keys] == expected


def test_several_annotation_files_are_not_supported() -> None:
    config = {"data": {"train": dataset(["a.json", "b.json"], "train")}}
    line = "data.train.ann_file = ['a.json', 'b.json']: only one path"
    assert line in translate(config, "detector").unsupported


@pytest.mark.parametrize(
    ("train", "val", "seen", "unseen", "warned"),
    [
        (("voc", "nonvoc"), ("voc", "nonvoc"), "voc", "nonvoc", False),
        (("person", "nonperson"), (), "person", "nonperson", False),
        (("coco", "noncoco"), ("coco", "noncoco"), "coco", "noncoco", False),
        (("voc", "voc"), ("voc", "all"), "voc", None, False),
        (("all", "all"), ("all", "all"), "all", None, False),
        (("all", "nonvoc"), ("all", "all"), "all", None, True),
        (("all", "all"), ("voc", "nonperson"), "all", None, True),
        ((("cat", 3), ("dog",)), (), ["cat", 3], ["dog"], False),
    ],
)
def test_classes(train: Any, val: Any, seen: Any, unseen: Any, warned: bool) -> None:
    def part(classes: Any) -> dict[str, Any]:
        keys = ("train_class", "eval_class")
        return dataset("a.json", "a") | dict(zip(keys, classes, strict=False))

    recipe = translate({"data": {"train": part(train), "val": part(val)}}, "detector")
    assert (recipe.values["data.seen"], recipe.values.get("data.unseen")) == (seen, unseen)
    assert len(recipe.warnings) == warned
    if warned:
        assert re.search(
            r"train_class is 'all' beside data\.(train|val)\.eval_class 'non(voc|person)': the "
            r"training sees .*write `seen: (voc|person)`, `unseen: non(voc|person)`$",
            recipe.warnings[0],
        )


def test_other_groups_of_classes_are_named() -> None:
    config = {"data": {"train": dataset("a", "a", train_class="rare", type="LVISDataset")}}
    unsupported = translate(config, "detector").unsupported
    assert (
        "data.train.train_class = 'rare': only all, voc, nonvoc, person, nonperson, coco, "
        in (unsupported[1])
    )
    assert unsupported[0].startswith("data.train.type = 'LVISDataset': only 'CocoSplitDataset' or ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rank_method": 0}, {"grouping.score": "outline_affinity"}),
        ({"rank_method": 4}, {"grouping.score": "normalized_cut"}),
        ({"use_globalization": 0}, {"grouping.globalization_weight": 0}),
        ({"nms": 0.3}, {"pseudo_gt.nms_iou": 0.3}),
        ({"nms": 0.7}, {"pseudo_gt.nms_iou": 0.7, "grouping.nms_iou": 0.7}),
        ({"min_component_size": 0}, {"grouping.min_area": 1}),
        ({"min_component_size": 50}, {"grouping.min_area": 50}),
        ({"oln_ranker_path": "o.pth"}, {"pseudo_gt.rank": "oln", "detector.heads": "oln"}),
        ({"oln_ranker_path": None, "use_orientation": True, "join_thresh": 1.0}, {}),
    ],
)
def test_pa_to_masks(given: dict[str, Any], expected: dict[str, Any]) -> None:
    recipe = translate({"pa_to_masks": given}, "affinity")
    values = {k: v for k, v in recipe.values.items() if not k.startswith(("data.", "affinity."))}
    assert values == expected
    assert [line for line in recipe.unsupported if "pa_to_masks" in line] == []


def test_pseudo_masks_of_a_dataset() -> None:
    keys = {"iou_thresh": 0.4, "score_thresh": 0.9, "top_k": 1, "random_sample_masks": True}
    train = dataset("a.json", "a", additional_ann_file="pseudo.json", **keys)
    recipe = translate({"data": {"train": train}}, "detector")
    assert recipe.section("pseudo_gt") == {
        "max_annotation_iou": 0.4,
        "min_score": 0.9,
        "top_k": 1,
    }
    assert "data.train.random_sample_masks = True: only False" in recipe.unsupported
    assert recipe.notes == [
        "data.train.additional_ann_file = 'pseudo.json': `ggn pseudo-gt import` brings these "
        "pseudo masks"
    ]


def test_what_is_said_of_a_long_value_is_short() -> None:
    config = {"model": {"classes": tuple(f"class {i}" for i in range(1203))}}
    (line,) = (line for line in translate(config, "detector").unsupported if "classes" in line)
    assert len(line) < 160
