"""The residual networks equal torchvision's where those exist."""

import lzma
import os
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from ggn.engine.backbone import (
    FixedStatisticsBatchNorm,
    ResNetFeatures,
    build_backbone,
    group_norm,
    load_backbone,
    norm_layer,
    normalise,
    require_weights,
)
from ggn.engine.params import BackboneParams


def tiny(**options: object) -> ResNetFeatures:
    torch.manual_seed(0)
    return ResNetFeatures("resnet10", width=4, **options)  # type: ignore[arg-type]


def save(state: dict[str, Tensor], path: Path) -> Path:
    blob = safetensors.torch.save({k: v.contiguous() for k, v in state.items()})
    path.write_bytes(lzma.compress(blob) if path.suffix == ".xz" else blob)
    return path


def test_normalise_by_hand() -> None:
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).expand(1, 3, 1, 2)
    expected = torch.tensor(
        [[-2.117904, 2.248908], [-2.035714, 2.428571], [-1.804444, 2.640000]]
    ).view(1, 3, 1, 2)
    torch.testing.assert_close(normalise(black_and_white), expected)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_equals_torchvision_with_its_state_dict(name: str) -> None:
    torch.manual_seed(0)
    reference = getattr(torchvision.models, name)().eval()
    ours = ResNetFeatures(name).eval()
    state = {k: v for k, v in reference.state_dict().items() if not k.startswith("fc.")}
    assert list(ours.state_dict()) == list(state)  # same keys in the same order
    ours.load_state_dict(state, strict=True)
    images = torch.randn(1, 3, 65, 48)
    with torch.inference_mode():
        x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(images))))
        for stage, ours_c in enumerate(ours(images), start=1):
            x = getattr(reference, f"layer{stage}")(x)
            torch.testing.assert_close(ours_c, x)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet10", (8, 16, 32, 64)),
        ("resnet34", (8, 16, 32, 64)),
        ("resnet101", (32, 64, 128, 256)),
    ],
)
def test_channels_and_strides(name: str, channels: tuple[int, ...]) -> None:
    module = ResNetFeatures(name, width=8).eval()
    assert module.channels == channels
    with torch.inference_mode():
        sizes = [tuple(c.shape) for c in module(torch.zeros(1, 3, 64, 33))]
    expected = [(16, 9), (8, 5), (4, 3), (2, 2)]
    assert sizes == [(1, c, *hw) for c, hw in zip(channels, expected, strict=True)]


def test_stride_in_1x1_moves_the_stride_and_nothing_else() -> None:
    plain, moved = (
        ResNetFeatures("resnet50", width=4, stride_in_1x1=flag) for flag in (False, True)
    )
    strides = {
        name: tuple(m.stride[0] for m in (block.conv1, block.conv2))  # type: ignore[index, union-attr]
        for name, block in (
            ("plain", plain.get_submodule("layer2.0")),
            ("moved", moved.get_submodule("layer2.0")),
        )
    }
    assert strides == {"plain": (1, 2), "moved": (2, 1)}
    assert {k: v.shape for k, v in plain.state_dict().items()} == {
        k: v.shape for k, v in moved.state_dict().items()
    }


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(4, 1), (8, 2), (16, 4), (24, 2), (32, 8), (48, 4), (64, 32), (96, 32), (256, 32), (3, 1)],
)
def test_groups(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


@pytest.mark.parametrize("channels", [4, 8, 12, 16, 20, 32, 44, 64, 512])
def test_group_norm_of_one_pixel_is_not_zero(channels: int) -> None:
    assert group_norm(channels)(torch.randn(1, channels, 1, 1)).abs().max() > 0.1


def test_frozen_batch_norm_learns_scale_and_shift_but_keeps_its_statistics() -> None:
    module = tiny(norm="frozen_batch").train()
    before = {k: v.clone() for k, v in module.state_dict().items() if "running" in k}
    module(torch.randn(2, 3, 32, 32))[-1].sum().backward()
    assert all(torch.equal(module.state_dict()[k], v) for k, v in before.items())
    assert all(p.grad is not None for p in module.parameters())
    assert not any(m.training for m in module.modules() if isinstance(m, FixedStatisticsBatchNorm))


def test_freezing_stops_parameters_and_statistics() -> None:
    module = tiny()
    module.freeze_stages(1)
    module.train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    module(torch.randn(2, 3, 32, 32))[-1].sum().backward()
    frozen = {n for n, p in module.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in module.named_parameters() if n[:6] in ("conv1.", "layer1")} | {
        "bn1.weight",
        "bn1.bias",
    }
    moved = {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert not any(k.startswith(("bn1", "layer1")) for k in moved)


def test_freezing_nothing_leaves_the_stem_learning() -> None:
    module = tiny()
    module.freeze_stages(0)
    assert all(p.requires_grad for p in module.parameters())


def test_build_backbone_follows_the_params() -> None:
    params = BackboneParams(name="resnet10", width=8, norm="group", weights=None)
    module = build_backbone(params)
    assert module.channels == (8, 16, 32, 64)
    assert isinstance(module.bn1, nn.GroupNorm)
    frozen = build_backbone(BackboneParams(name="resnet10", width=8, frozen_stages=2))
    assert not next(frozen.get_submodule("layer2").parameters()).requires_grad


@pytest.mark.parametrize("suffix", [".safetensors", ".safetensors.xz"])
def test_loads_what_was_saved(tmp_path: Path, suffix: str) -> None:
    source = tiny()
    state = {**source.state_dict(), "fc.weight": torch.zeros(2, 32), "fc.bias": torch.zeros(2)}
    path = save({k: v.half() for k, v in state.items()}, tmp_path / f"w{suffix}")
    target = ResNetFeatures("resnet10", width=4)
    assert load_backbone(target, path) == []
    for key, value in target.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=1e-3, atol=1e-3)
    assert target.conv1.weight.dtype == torch.float32


def test_a_stage_may_be_absent_and_is_named(tmp_path: Path) -> None:
    state = {k: v for k, v in tiny().state_dict().items() if not k.startswith("layer4.")}
    target = ResNetFeatures("resnet10", width=4)
    untouched = target.get_submodule("layer4.0.conv1").weight.clone()  # type: ignore[operator, union-attr]
    assert load_backbone(target, save(state, tmp_path / "w.safetensors")) == ["layer4"]
    assert torch.equal(target.conv1.weight, state["conv1.weight"])
    assert torch.equal(target.get_submodule("layer4.0.conv1").weight, untouched)  # type: ignore[arg-type]


def test_fewer_stages_give_fewer_features_and_ignore_the_rest_of_a_file(tmp_path: Path) -> None:
    whole, short = tiny().eval(), ResNetFeatures("resnet10", width=4, stages=3).eval()
    assert short.channels == whole.channels[:3]
    assert load_backbone(short, save(whole.state_dict(), tmp_path / "w.safetensors")) == []
    image = torch.randn(1, 3, 64, 48)
    for ours, theirs in zip(short(image), whole(image)[:3], strict=True):
        assert torch.equal(ours, theirs)
    short.freeze_stages(4)
    assert not any(parameter.requires_grad for parameter in short.parameters())


def without(key: str) -> dict[str, Tensor]:
    return {k: v for k, v in tiny().state_dict().items() if k != key}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (without("layer4.0.bn1.weight"), "missing keys \\['layer4.0.bn1.weight'\\]"),
        ({**tiny().state_dict(), "layer9.0": torch.zeros(1)}, "unexpected keys \\['layer9.0'\\]"),
        (
            {**tiny().state_dict(), "conv1.weight": torch.zeros(8, 3, 7, 7)},
            r"conv1.weight has shape \(8, 3, 7, 7\), this backbone needs \(4, 3, 7, 7\)",
        ),
    ],
)
def test_refuses_weights_that_do_not_fit(
    tmp_path: Path, state: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_backbone(tiny(), save(state, tmp_path / "w.safetensors"))


def test_refuses_what_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors: no such backbone weights"):
        load_backbone(tiny(), tmp_path / "gone.safetensors")
    (tmp_path / "w.pth").write_bytes(b"pickle")
    with pytest.raises(ValueError, match=r"w\.pth: backbone weights must be 'imagenet'"):
        load_backbone(tiny(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="imagenet weights exist for"):
        load_backbone(tiny(), "imagenet")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResNetFeatures("resnet9"), "backbone must be one of"),
        (lambda: ResNetFeatures("resnet18", width=0), "width must be at least 1, got 0"),
        (lambda: norm_layer("layer"), "norm must be one of"),
        (lambda: tiny().freeze_stages(5), "must be 0 to 4, got 5"),
    ],
)
def test_refuses(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "file", "absent"),
    [
        ("resnet18", "resnet18_imagenet_c4_fp16.safetensors", ["layer4"]),
        ("resnet50", "resnet50_imagenet_pruned_fp16.safetensors.xz", []),
    ],
)
def test_loads_real_weights(shared: Path, name: str, file: str, absent: list[str]) -> None:
    path = shared / "weights" / file
    if not path.is_file():
        pytest.skip("needs ../shared/weights")
    module = ResNetFeatures(name)
    assert load_backbone(module, path) == absent
    assert all(torch.isfinite(p).all() for p in module.parameters())


def test_weights_that_cannot_be_fetched_are_one_sentence_with_the_file_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, before a training and in it."""

    def no_network(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    wanted = tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    sentence = f"^{wanted}: the ImageNet weights of resnet18 .* put {wanted.name} there .* or give"
    for call in (
        lambda: require_weights(BackboneParams(name="resnet18")),
        lambda: load_backbone(build_backbone(BackboneParams(name="resnet18")), "imagenet"),
    ):
        with pytest.raises(FileNotFoundError, match=sentence):
            call()
    require_weights(BackboneParams(weights=None))
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors: no such backbone weights"):
        require_weights(BackboneParams(weights=str(tmp_path / "absent.safetensors")))


def test_a_narrow_shortcut_is_the_strided_convolution_that_it_stands_for() -> None:
    shortcut = tiny(norm="group").layer2[0].downsample[0]
    x = torch.rand(2, 4, 9, 8)
    expected = nn.functional.conv2d(x, shortcut.weight, stride=2)
    torch.testing.assert_close(shortcut(x), expected)
    assert shortcut.stride == (2, 2)


LEARN = """
import torch
from ggn.engine.backbone import ResNetFeatures
for width in (4, 8, 12):
    network = ResNetFeatures("resnet10", width=width, norm="group")
    network = network.to(memory_format=torch.channels_last)
    for _ in range(20):
        images = torch.rand(4, 3, 192, 192).to(memory_format=torch.channels_last)
        sum(features.mean() for features in network(images)).backward()
"""


def test_a_narrow_network_learns_without_writing_to_foreign_memory() -> None:
    """oneDNN's gradients did, on a CPU with AVX-512; glibc, when asked to, ends such a process."""
    checked = os.environ | {"GLIBC_TUNABLES": "glibc.malloc.check=3", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", LEARN], env=checked, check=True, timeout=300)
