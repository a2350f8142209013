"""`ggn zoo convert`: a config and a checkpoint become our weights and a split of params.yaml."""

import json
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
        "optimizer = dict(type='AdamW', lr=0.0001)\n"
        "fp16 = dict(loss_scale=512.)\n"
    )
    conversion = convert_model(config, weights, config.parent / "out")
    assert conversion.unsupported == [
        "model.backbone.dcn.type = 'DCN': nothing of ours corresponds",
        "model.roi_head.bbox_head.loss_bbox.type = 'SmoothL1Loss': only 'L1Loss'",
        "model.roi_head.bbox_head.loss_bbox.beta = 1.0: nothing of ours corresponds",
        "model.train_cfg.rpn.sampler.type = 'OHEMSampler': only 'RandomSampler'",
        "model.test_cfg.rpn.max_per_img = 500: detector.rpn.proposals is 1000 already",
        "model.test_cfg.rcnn.score_thr = 0.05: only 0",
        "optimizer.type = 'AdamW': only 'SGD'",
        "fp16.loss_scale = 512.0: nothing of ours corresponds",
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
        ("lr_config = dict(_delete_=True, policy='step', step=9)", "milestones", [9]),
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


def test_an_oln_is_told_by_its_weights(config: Path, tmp_path: Path) -> None:
    """Its config has the coder and the loss of mmdetection, and types that only OLN has."""
    params = DetectorParams.model_validate({**DETECTOR, "heads": "oln", "mask": None})
    torch.save(save_weights(MaskRCNN(params)), tmp_path / "oln.pth")
    config.write_text(
        f"{config.read_text()}\n"
        "model = dict(type='FasterRCNN', rpn_head=dict(type='CentralRPN', bbox_coder=dict("
        "_delete_=True, type='TBLRBBoxCoder', normalizer=1.0), loss_bbox=dict(type='IoULoss', "
        "loss_weight=5.0)), roi_head=dict(mask_head=dict(_delete_=True)), "
        "train_cfg=dict(rpn=dict(allowed_border=0)))\n"
    )
    conversion = convert_model(config, tmp_path / "oln.pth", tmp_path / "out")
    detector = conversion.split["detector"]
    assert (detector["heads"], detector["mask"]) == ("oln", None)
    assert detector["oln"] == {"box_weight": 5.0}
    assert conversion.unsupported == ["model.rpn_head.type = 'CentralRPN': only 'RPNHead'"]
    load_detector(tmp_path / "out")


def test_paths_are_relative_to_the_root() -> None:
    val = {"ann_file": ["a.json", "b.json"], "img_prefix": "elsewhere/val/"}
    data = {"train": {"ann_file": "coco/train.json", "img_prefix": "coco/train/"}, "val": val}
    recipe = translate({"data_root": "coco/", "data": data}, "detector")
    assert recipe.section("data") == {
        "root": "coco",
        "train_annotations": "train.json",
        "train_images": "train",
        "val_images": "elsewhere/val",
    }
    assert "data.val.ann_file = ['a.json', 'b.json']: only one path" in recipe.unsupported


def test_an_affinity_network_is_told_by_its_weights(config: Path, tmp_path: Path) -> None:
    backbone = {"name": "resnet18", "width": 8}
    params = AffinityParams.model_validate(
        {"backbone": backbone, "pool_channels": 8, "head_channels": 12, "pool_norm": "batch"}
    )
    torch.save(save_weights(AffinityNet(params)), tmp_path / "pa.pth")
    config.write_text(
        "_base_ = ['_base_/dataset.py', '_base_/schedule.py']\n"
        "model = dict(type='Pairwise', pretrained='torchvision://resnet18', backbone=dict("
        "type='ResNet', depth=18, base_channels=8, norm_cfg=dict(type='BN'), norm_eval=False))\n"
    )
    conversion = convert_model(config, tmp_path / "pa.pth", tmp_path / "out")
    assert conversion.kind == "affinity"
    assert conversion.split["affinity"]["backbone"] == backbone
    assert conversion.split["affinity"]["pool_norm"] == "batch"
    assert "data.train.pipeline.Resize.img_scale = [1333, 800]: nothing of ours corresponds" in (
        conversion.unsupported
    )
    load_affinity(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model = dict(type='YOLOX')", r"maskrcnn\.py: model\.type must be MaskRCNN.*'YOLOX'"),
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
    with pytest.raises(WeightsError, match=r"epoch_8\.pth: does not fit the model\n  mis-shaped"):
        convert_model(config, weights, config.parent / "out")
    assert not (config.parent / "out").exists()
