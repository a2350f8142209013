"""`ggn zoo convert`: a config and a checkpoint become our weights and a split of params.yaml."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from ggn import cli
from ggn.affinity import load_affinity
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.detector import load_detector
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import WeightsError
from ggn.engine.weights import load_weights as load_folder
from ggn.openmmlab import convert_model, save_weights
from ggn.openmmlab.config import ConfigError
from ggn.openmmlab.recipe import translate
from pipelines.stage import load_params

DETECTOR = {  # what the fixture `config` says and our defaults don't
    "backbone": {"name": "resnet18", "width": 8},
    "fpn_channels": 16,
    "rpn": {"samples": 128, "proposals": 1000},
    "box": {"channels": 32},
    "mask": {"convolutions": 2, "channels": 16},
    "detection": {"max_detections": 300},
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = MaskRCNN(DetectorParams.model_validate(DETECTOR))
    torch.save({"meta": {"epoch": 8}, "state_dict": save_weights(model)}, tmp_path / "epoch_8.pth")
    return tmp_path / "epoch_8.pth"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["ggn", "zoo", "convert", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_the_command_writes_weights_and_a_split_that_params_accepts(
    config: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, config, weights, "-o", out) == 0
    captured = capsys.readouterr()
    assert captured.err == "", "every setting of this config is one that we have"
    text = (out / "split.yaml").read_text("utf-8")
    assert text in captured.out
    document = {"seed": 0, "defaults": {}, **YAML(typ="safe").load(text)}
    assert document["splits"]["maskrcnn"] == {
        "data": {"root": "data/coco", "unseen": "nonvoc"},
        "affinity": {},
        "grouping": {},
        "pseudo_gt": {},
        "detector": DETECTOR,
        "evaluation": {},
    }
    params = load_params("maskrcnn", document)["detector"]
    assert params == DetectorParams.model_validate(DETECTOR)
    state, card = load_folder(out, "detector")
    source = torch.load(weights, weights_only=True)["state_dict"]
    assert torch.equal(state["rpn.conv.weight"], source["rpn_head.rpn_conv.weight"])
    assert card["params"] == params.model_dump()
    assert card["converted_from"] == {"config": "maskrcnn.py", "weights": "epoch_8.pth"}
    load_detector(out)


def test_what_is_not_supported_is_named_with_what_is(config: Path, weights: Path) -> None:
    config.write_text(
        config.read_text()
        + "model = dict(backbone=dict(dcn=dict(type='DCN')), roi_head=dict(bbox_head=dict("
        "loss_bbox=dict(type='SmoothL1Loss', beta=1.0))), train_cfg=dict(rpn=dict("
        "sampler=dict(type='OHEMSampler'))), test_cfg=dict(rpn=dict(max_per_img=500), "
        "rcnn=dict(score_thr=0.05)))\n"
        "optimizer = dict(type='Adam', lr=0.0001)\n"
        "custom_hooks = [dict(type='EMAHook', momentum=0.001)]\n"
        "pa_to_masks = dict(edge_thresh=0.1, use_new_affinity=True)\n"
    )
    conversion = convert_model(config, weights, config.parent / "out")
    assert conversion.unsupported == [
        "model.backbone.dcn.type = 'DCN': nothing of ours corresponds",
        "model.roi_head.bbox_head.loss_bbox.type = 'SmoothL1Loss': only 'L1Loss'",
        "model.roi_head.bbox_head.loss_bbox.beta = 1.0: nothing of ours corresponds",
        "model.train_cfg.rpn.sampler.type = 'OHEMSampler': only 'RandomSampler'",
        "model.test_cfg.rpn.max_per_img = 500: detector.rpn.proposals is 1000 already",
        "model.test_cfg.rcnn.score_thr = 0.05: only 0",
        "optimizer.type = 'Adam': only 'SGD' or 'AdamW'",
        "custom_hooks.EMAHook.type = 'EMAHook': nothing of ours corresponds",
        "custom_hooks.EMAHook.momentum = 0.001: nothing of ours corresponds",
        "pa_to_masks.edge_thresh = 0.1: only 0",
        "pa_to_masks.use_new_affinity = True: only False",
    ]
    assert conversion.split["detector"]["lr"] == 0.0001
    card = json.loads((config.parent / "out" / "card.json").read_text())
    assert card["unsupported"] == conversion.unsupported


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
    from ggn.openmmlab import read_config

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
    from ggn.openmmlab import read_config

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


OLN = (
    "model = dict(type='FasterRCNN', rpn_head=dict(type='OlnRPNHead', bbox_coder=dict("
    "_delete_=True, type='TBLRBBoxCoder', normalizer=1.0), reg_decoded_bbox=True, "
    "loss_bbox=dict(_delete_=True, type='IoULoss', linear=True, loss_weight=5.0), "
    "loss_cls=dict(loss_weight=0.0)), "
    "roi_head=dict(type='OlnRoIHead', mask_head=None, mask_roi_extractor=None, "
    "bbox_head=dict(type='Shared2FCBBoxScoreHead', loss_cls=dict(loss_weight=0.0))), "
    "train_cfg=dict(rpn=dict(allowed_border=0)), "
    "test_cfg=dict(rpn=dict(nms=dict(iou_threshold=0.0))))\n"
)


def test_an_oln(config: Path, tmp_path: Path) -> None:
    params = DetectorParams.model_validate({**DETECTOR, "heads": "oln", "mask": None})
    torch.save(save_weights(MaskRCNN(params)), tmp_path / "oln.pth")
    config.write_text(f"{config.read_text()}\n{OLN}")
    conversion = convert_model(config, tmp_path / "oln.pth", tmp_path / "out")
    detector = conversion.split["detector"]
    assert (detector["heads"], detector["mask"]) == ("oln", None)
    assert detector["oln"] == {"box_weight": 5.0}
    assert conversion.unsupported == []
    load_detector(tmp_path / "out")


def test_heads_of_two_methods_do_not_go_together(config: Path, weights: Path) -> None:
    config.write_text(f"{config.read_text()}\nmodel = dict(rpn_head=dict(type='OlnRPNHead'))\n")
    with pytest.raises(
        ConfigError, match=r"'OlnRPNHead', .*'StandardRoIHead'.* do not go together"
    ):
        convert_model(config, weights, config.parent / "out")


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


def test_an_affinity_network(config: Path, tmp_path: Path) -> None:
    backbone = {"name": "resnet18", "width": 8}
    params = AffinityParams.model_validate(
        {"backbone": backbone, "pool_channels": 8, "head_channels": 12, "head_norm": "group"}
    )
    torch.save(save_weights(AffinityNet(params)), tmp_path / "pa.pth")
    config.write_text(
        "_base_ = ['_base_/dataset.py', '_base_/schedule.py']\n"
        "model = dict(type='PairwiseAffinityPredictor', pretrained='torchvision://resnet18', "
        "backbone=dict(type='ResNet', depth=18, base_channels=8, norm_cfg=dict(type='BN'), "
        "norm_eval=False), classifier=dict(type='PairwiseAffinityHeadUperNet', channels=1, "
        "norm_type='GN'), loss_affinity=dict(type='CrossEntropyLoss', use_sigmoid=True, "
        "class_weight=[0.1], reduction='none'), affinity_reduction='max')\n"
    )
    conversion = convert_model(config, tmp_path / "pa.pth", tmp_path / "out")
    assert conversion.kind == "affinity"
    section = conversion.split["affinity"]
    assert section["backbone"] == backbone
    assert (section["pool_channels"], section["head_channels"]) == (8, 12)
    assert (section["head_norm"], section["pos_weight"]) == ("group", 0.1)
    assert conversion.unsupported == ["model.affinity_reduction = 'max': only 'mean'"]
    assert conversion.notes == [
        "the size in the pipelines is detector.max_size; the affinity network sees an image at "
        "its own size, times affinity.image_scale"
    ]
    load_affinity(tmp_path / "out")


def test_the_command_says_what_is_doubtful_missing_and_left_to_do(
    config: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config.write_text(
        config.read_text()
        + "data = dict(train=dict(train_class='all', additional_ann_file='p.json', times=3))\n"
    )
    assert run(monkeypatch, config, weights, "-o", tmp_path / "out") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(
        "WARNING: data.train.train_class is 'all' .* not supported: data.train.times = 3: .* "
        "note: data.train.additional_ann_file",
        said,
    )
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert len(card["warnings"]) == len(card["unsupported"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model = dict(type='YOLOX')", r"maskrcnn\.py: model\.type must be one of Pai.*'YOLOX'"),
        ("model = 3", r"maskrcnn\.py: "),
        ("optimizer = dict(lr=-1)", r"maskrcnn\.py: .*\n  detector\.lr: .* greater than 0, got -1"),
        ("model = dict(backbone=dict(depth=152))", r"detector\.backbone\.name: .*'resnet152'"),
        ("import os", r"maskrcnn\.py, line \d+: not an assignment"),
        ("_base_ = 'absent.py'", r"absent\.py: no such file"),
    ],
)
def test_a_config_that_cannot_be_converted(
    config: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: str,
    message: str,
) -> None:
    config.write_text(f"{config.read_text()}\n{change}\n")
    out = config.parent / "out"
    with pytest.raises(ConfigError, match=message):
        convert_model(config, weights, out)
    assert run(monkeypatch, config, weights, "-o", out) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert not out.exists()


def test_weights_of_another_network_are_refused(config: Path, weights: Path) -> None:
    config.write_text(f"{config.read_text()}\nmodel = dict(backbone=dict(base_channels=16))\n")
    with pytest.raises(
        WeightsError,
        match=r"maskrcnn\.py does not .*epoch_8\.pth: does not fit the model\n  mis-shaped",
    ):
        convert_model(config, weights, config.parent / "out")
    assert not (config.parent / "out").exists()
