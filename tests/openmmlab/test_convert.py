"""`ggn zoo convert`: a config and a checkpoint become our weights and a split of params.yaml."""

import json
import re
from pathlib import Path

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
from ggn.engine.weights import WeightsError, load_weights
from ggn.openmmlab import convert_model, mmdet_state_dict
from ggn.openmmlab.config import ConfigError
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
    torch.save(
        {"meta": {"epoch": 8}, "state_dict": mmdet_state_dict(model)}, tmp_path / "epoch_8.pth"
    )
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
    state, card = load_weights(out, "detector")
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
        "model.backbone.dcn.type = 'DCN': has no counterpart",
        "model.roi_head.bbox_head.loss_bbox.type = 'SmoothL1Loss': only 'L1Loss'",
        "model.roi_head.bbox_head.loss_bbox.beta = 1.0: has no counterpart",
        "model.train_cfg.rpn.sampler.type = 'OHEMSampler': only 'RandomSampler'",
        "model.test_cfg.rpn.max_per_img = 500: detector.rpn.proposals is already 1000",
        "model.test_cfg.rcnn.score_thr = 0.05: only 0",
        "optimizer.type = 'Adam': only 'SGD' or 'AdamW'",
        "custom_hooks.EMAHook.type = 'EMAHook': has no counterpart",
        "custom_hooks.EMAHook.momentum = 0.001: has no counterpart",
        "pa_to_masks.edge_thresh = 0.1: only 0",
        "pa_to_masks.use_new_affinity = True: only False",
    ]
    assert conversion.split["detector"]["lr"] == 0.0001
    card = json.loads((config.parent / "out" / "card.json").read_text())
    assert card["unsupported"] == conversion.unsupported


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
    torch.save(mmdet_state_dict(MaskRCNN(params)), tmp_path / "oln.pth")
    config.write_text(f"{config.read_text()}\n{OLN}")
    conversion = convert_model(config, tmp_path / "oln.pth", tmp_path / "out")
    detector = conversion.split["detector"]
    assert (detector["heads"], detector["mask"]) == ("oln", None)
    assert detector["oln"] == {"box_weight": 5.0}
    assert conversion.unsupported == []
    load_detector(tmp_path / "out")


def test_heads_of_two_methods_do_not_go_together(config: Path, weights: Path) -> None:
    config.write_text(f"{config.read_text()}\nmodel = dict(rpn_head=dict(type='OlnRPNHead'))\n")
    with pytest.raises(ConfigError, match=r"'OlnRPNHead', .*'StandardRoIHead'.* can't be combined"):
        convert_model(config, weights, config.parent / "out")


def test_an_affinity_network(config: Path, tmp_path: Path) -> None:
    backbone = {"name": "resnet18", "width": 8}
    params = AffinityParams.model_validate(
        {"backbone": backbone, "pool_channels": 8, "head_channels": 12, "head_norm": "group"}
    )
    torch.save(mmdet_state_dict(AffinityNet(params)), tmp_path / "pa.pth")
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
        ("import os", r"maskrcnn\.py, line \d+: is not an assignment"),
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
