"""Checkpoints in mmdetection's names: both directions, and what is refused."""

import json
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import WeightsError
from ggn.openmmlab import build_model, load_checkpoint, mmdet_state_dict
from ggn.openmmlab.models import MODEL_KINDS
from ggn.openmmlab.names import reference_leftovers, reference_names

BACKBONE = {"name": "resnet10", "width": 8, "weights": None, "frozen_stages": 0}


def tiny_detector(norm: str = "group", **changes: Any) -> MaskRCNN:
    return MaskRCNN(
        DetectorParams.model_validate(
            {
                "backbone": {**BACKBONE, "norm": norm},
                "fpn_channels": 8,
                "box": {"channels": 8},
                "mask": {"convolutions": 2, "channels": 8, "norm": "group"},
                **changes,
            }
        )
    )


def tiny_affinity() -> AffinityNet:
    sizes = {"pool_channels": 8, "head_channels": 8}
    return AffinityNet(AffinityParams.model_validate({"backbone": BACKBONE, **sizes}))


# --- names ---


def test_the_names_of_a_detector() -> None:
    names = reference_names(tiny_detector())
    chosen = {
        "backbone.bn1.weight": "backbone.gn1.weight",
        "backbone.layer2.0.downsample.1.bias": "backbone.layer2.0.downsample.1.bias",
        "backbone.layer1.0.bn2.bias": "backbone.layer1.0.gn2.bias",
        "pyramid.inner_blocks.3.0.bias": "neck.lateral_convs.3.conv.bias",
        "pyramid.layer_blocks.0.0.weight": "neck.fpn_convs.0.conv.weight",
        "rpn.deltas.bias": "rpn_head.rpn_reg.bias",
        "box_head.hidden.1.weight": "roi_head.bbox_head.shared_fcs.1.weight",
        "mask_head.convolutions.3.weight": "roi_head.mask_head.convs.1.conv.weight",
        "mask_head.convolutions.4.bias": "roi_head.mask_head.convs.1.gn.bias",
    }
    assert {key: names[key] for key in chosen} == chosen


def test_the_names_of_an_oln() -> None:
    names = reference_names(tiny_detector(heads="oln", mask=None))
    assert names["rpn.objectness.weight"] == "rpn_head.rpn_obj.weight"
    assert names["box_head.logits.bias"] == "roi_head.bbox_head.fc_bbox_score.bias"
    assert not [name for name in names.values() if "mask" in name]


@pytest.mark.parametrize(
    "make",
    [
        tiny_affinity,
        tiny_detector,
        lambda: tiny_detector("batch"),
        lambda: tiny_detector(heads="oln"),
        lambda: tiny_detector(heads="oln", mask=None),
    ],
)
def test_a_round_trip_keeps_every_bit(make: Callable[[], nn.Module]) -> None:
    model = make()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    theirs = mmdet_state_dict(model)
    for value in model.state_dict().values():
        value.zero_()
    assert all(theirs[name].any() for name in theirs if name.endswith("conv1.weight")), "a copy"
    load_checkpoint(model, theirs)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_another_network_has_no_names() -> None:
    with pytest.raises(TypeError, match="known for a Linear, only for AffinityNet and MaskRCNN"):
        mmdet_state_dict(nn.Linear(1, 1))


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_the_reference_s_weights_fit_and_come_back(
    recorded_file: Callable[[str], Path],
    recorded_weights: Callable[[str], dict[str, Tensor]],
    kind: str,
) -> None:
    """Golden, section A: every key, shape, dtype and bit."""
    manifest = json.loads((recorded_file(f"A_manifest_{kind}.json")).read_text())["keys"]
    model = build_model(kind)
    load_checkpoint(model, recorded_weights(kind))
    theirs = mmdet_state_dict(model)
    assert theirs.keys() == manifest.keys()
    leftovers = reference_leftovers(model)
    assert bool(leftovers) == kind.startswith("oln"), "layers that OLN never asks"
    for key, entry in manifest.items():
        assert list(theirs[key].shape) == entry["shape"], key
        if key in leftovers:
            assert not theirs[key].any()
            continue
        assert sha256(theirs[key].numpy().tobytes()).hexdigest()[:16] == entry["sha256"], key
    again = build_model(kind)
    load_checkpoint(again, theirs)
    ours = model.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in again.state_dict().items())


# --- files ---


def saved(folder: Path, content: Any, **options: Any) -> Path:
    torch.save(content, folder / "reference.pth", **options)
    return folder / "reference.pth"


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("new_format", [True, False])
def test_reads_what_mmdetection_writes(tmp_path: Path, new_format: bool, as_text: bool) -> None:
    best = {"bbox_mAP": np.float64(0.5), "epoch": np.int64(7)}
    meta = {"epoch": 8, "config": "model = dict()", "CLASSES": ("object",), "hook_msgs": best}
    source = tiny_detector()
    content = {"meta": meta, "state_dict": mmdet_state_dict(source), "optimizer": {"state": {}}}
    path = saved(tmp_path, content, _use_new_zipfile_serialization=new_format)
    target = tiny_detector()
    load_checkpoint(target, str(path) if as_text else path)
    assert torch.equal(target.rpn.conv.weight, source.rpn.conv.weight)


def test_reads_safetensors_half_precision_and_checkpoints_without_batch_counts(
    tmp_path: Path,
) -> None:
    source, target = tiny_affinity(), tiny_affinity()
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in mmdet_state_dict(source).items()
        if not key.endswith("num_batches_tracked")
    }
    safetensors.torch.save_file(state, tmp_path / "reference.safetensors")
    load_checkpoint(target, tmp_path / "reference.safetensors")
    weight = target.head.logits.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, source.head.logits.weight.half().float())


@pytest.mark.parametrize(
    "value",
    [
        *(np.dtype(code).type(1) for code in "?bhilqBHILQefdFD"),
        np.str_("AR@100"),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(["voc", "nonvoc"]),
        range(8),
    ],
)
def test_reads_numbers_beside_the_weights(tmp_path: Path, value: Any) -> None:
    source, target = tiny_detector(), tiny_detector()
    content = {"meta": {"hook_msgs": {"best": value}}, "state_dict": mmdet_state_dict(source)}
    load_checkpoint(target, saved(tmp_path, content))
    assert torch.equal(target.rpn.conv.weight, source.rpn.conv.weight)


def test_the_older_numpy_had_another_name_for_the_same(tmp_path: Path) -> None:
    """Files of NumPy 1, which wrote `numpy.core`; both names are as long, by one letter."""
    source, target = tiny_detector(), tiny_detector()
    content = {"meta": np.float64(0.5), "state_dict": mmdet_state_dict(source)}
    path = saved(tmp_path, content, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    load_checkpoint(target, path)
    assert torch.equal(target.rpn.conv.weight, source.rpn.conv.weight)


def test_what_a_training_wraps_around_the_weights_is_taken_off() -> None:
    source, target = tiny_detector(), tiny_detector()
    state = mmdet_state_dict(source)
    averages = {f"ema_{key.replace('.', '_')}": value + 1 for key, value in state.items()}
    load_checkpoint(target, {f"module.{k}": v for k, v in (state | averages).items()})
    assert torch.equal(target.rpn.conv.weight, source.rpn.conv.weight)
    with pytest.raises(WeightsError, match=r"unexpected \(1\):\n    ema_of_something_else"):
        load_checkpoint(target, {**state, "ema_of_something_else": torch.zeros(1)})


class LeavesAFile:
    """Pickled, it is an order to call os.system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    """Their elements could be anything."""
    objects = np.array([LeavesAFile(tmp_path / "pwned")], dtype=object)
    path = saved(tmp_path, {"meta": objects, "state_dict": mmdet_state_dict(tiny_affinity())})
    with pytest.raises(WeightsError, match=r"refused: it would call numpy\.dtypes\.ObjectDType;"):
        load_checkpoint(tiny_affinity(), path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("place", ["meta", "state_dict"])
def test_executes_nothing(tmp_path: Path, place: str, new_format: bool) -> None:
    content = {"state_dict": mmdet_state_dict(tiny_affinity()), "meta": {}}
    content[place]["x"] = LeavesAFile(tmp_path / "pwned")  # type: ignore[assignment]
    path = saved(tmp_path, content, _use_new_zipfile_serialization=new_format)
    with pytest.raises(WeightsError, match=r"reference\.pth: refused: it would call \w+\.system"):
        load_checkpoint(tiny_affinity(), path)
    assert not (tmp_path / "pwned").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def a_picture(path: Path) -> None:
    path.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" * 100)


@pytest.mark.parametrize("damage", [cut, a_picture, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_refuses_files_of_another_kind(
    tmp_path: Path, suffix: str, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / f"reference{suffix}"
    state = mmdet_state_dict(tiny_affinity())
    safetensors.torch.save_file(state, path) if suffix == ".safetensors" else torch.save(
        state, path
    )
    damage(path)
    with pytest.raises(WeightsError, match=rf"^{re.escape(str(path))}: damaged, or not a "):
        load_checkpoint(tiny_affinity(), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "must be a state dict, got list"),
        ({"state_dict": "weights"}, "must be a state dict, got str"),
        ({"epoch": 3}, "'epoch' must be a dense tensor, got int"),
    ],
)
def test_refuses_what_is_no_state_dict(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=rf"reference\.pth: .*{message}"):
        load_checkpoint(tiny_affinity(), saved(tmp_path, content))


def test_refuses_tensors_that_are_not_dense() -> None:
    with pytest.raises(WeightsError, match="'a' must be a dense tensor, got Tensor"):
        load_checkpoint(tiny_affinity(), {"a": torch.eye(2).to_sparse()})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pth: no such file"):
        load_checkpoint(tiny_affinity(), tmp_path / "absent.pth")


# --- keys and values ---


def test_one_error_lists_missing_unexpected_and_mis_shaped_keys() -> None:
    state = mmdet_state_dict(tiny_detector())
    del state["rpn_head.rpn_cls.bias"]
    state["roi_head.bbox_head.fc_cls.weight"] = torch.zeros(81, 8)
    state["roi_head.bbox_head.fc_cls.bias"] = torch.zeros(2, dtype=torch.int64)
    state["rpn_head.rpn_obj.weight"] = torch.zeros(1)
    model = tiny_detector()
    before = model.rpn.conv.weight.clone()
    with pytest.raises(WeightsError) as refusal:
        load_checkpoint(model, state)
    assert str(refusal.value) == (
        "state dict: does not fit the model\n"
        "  missing (1):\n"
        "    rpn_head.rpn_cls.bias\n"
        "  unexpected (1):\n"
        "    rpn_head.rpn_obj.weight\n"
        "  mis-shaped (2):\n"
        "    roi_head.bbox_head.fc_cls.weight: (81, 8) float32, must be (2, 8) float32\n"
        "    roi_head.bbox_head.fc_cls.bias: (2,) int64, must be (2,) float32"
    )
    assert torch.equal(model.rpn.conv.weight, before)


def test_another_architecture_gives_a_list_of_bearable_length() -> None:
    with pytest.raises(WeightsError) as refusal:
        load_checkpoint(tiny_affinity(), mmdet_state_dict(tiny_detector()))
    text = str(refusal.value)
    assert text.count("\n") < 60
    assert re.search(r"missing \(\d+\):\n.*and \d+ more\n.*unexpected \(", text, re.DOTALL)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_that_are_not_finite_in_our_precision_are_refused(value: float) -> None:
    state = mmdet_state_dict(tiny_affinity())
    name = "classifier.conv_last.1.bias"
    state[name] = torch.full_like(state[name], value, dtype=torch.float64)
    model = tiny_affinity()
    before = model.head.logits.weight.clone()
    with pytest.raises(WeightsError, match=f"state dict: {name} has values that are not finite"):
        load_checkpoint(model, state)
    assert torch.equal(model.head.logits.weight, before)
