"""The ResNet feature extractor, its normalisation layers and its pretrained weights."""

import lzma
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from ggn.engine.params import BackboneParams

Norm = Literal["batch", "frozen_batch", "group"]

_LAYOUTS: dict[str, tuple[bool, tuple[int, int, int, int]]] = {
    # name: (bottleneck blocks?, blocks per stage); He et al. 2016, table 1, and a shallow one
    "resnet10": (False, (1, 1, 1, 1)),
    "resnet18": (False, (2, 2, 2, 2)),
    "resnet34": (False, (3, 4, 6, 3)),
    "resnet50": (True, (3, 4, 6, 3)),
    "resnet101": (True, (3, 4, 23, 3)),
}


# Mean and standard deviation of ImageNet's RGB values, 0 … 255, that all pretrained weights expect.
IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)


def normalise(images: Tensor) -> Tensor:
    """Return uint8 RGB images (B, 3, H, W) as the float32 that a backbone reads, channels last."""
    mean = torch.tensor(IMAGE_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=images.device).view(1, 3, 1, 1)
    pixels = images.to(torch.float32, memory_format=torch.channels_last)
    return (pixels - mean) * (1 / std)


class FixedStatisticsBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that always uses its stored statistics; scale and shift still learn.

    Same keys as `BatchNorm2d`. Freeze a stage (`ResNetFeatures.freeze_stages`) to stop the rest.
    """

    def train(self, mode: bool = True) -> "FixedStatisticsBatchNorm":  # noqa: ARG002
        """Stay in evaluation mode, whatever `mode` says."""
        super().train(False)
        return self


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups from 64 channels on, else groups of at least 4 channels.

    Groups of one channel would turn a 1×1 map into zeros.
    """
    groups = 32 if channels >= 64 and channels % 32 == 0 else math.gcd(32, max(channels // 4, 1))
    return nn.GroupNorm(groups if channels % groups == 0 else 1, channels)


def norm_layer(norm: Norm) -> Callable[[int], nn.Module]:
    """Return the function that makes a layer of this kind for a number of channels."""
    makers: dict[str, Callable[[int], nn.Module]] = {
        "batch": nn.BatchNorm2d,
        "frozen_batch": FixedStatisticsBatchNorm,
        "group": group_norm,
    }
    if norm not in makers:
        raise ValueError(f"norm must be one of {sorted(makers)}, got {norm!r}")
    return makers[norm]


class _PickingConv(nn.Conv2d):
    """A strided 1×1 convolution that picks its pixels first, and then needs no stride."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return functional.conv2d(x[..., ::rows, ::columns], self.weight)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # On a CPU with AVX-512, oneDNN's gradient of a strided 1×1 convolution of less than 16 channels
    # (channels last; torch 2.14.1, oneDNN 3.12.0) writes to foreign memory: the process dies.
    is_safe = kernel > 1 or stride == 1 or inputs >= 16
    kind = nn.Conv2d if is_safe else _PickingConv
    return kind(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class _BasicBlock(nn.Module):
    expansion = 1

    def __init__(
        self, inputs: int, width: int, stride: int, norm: Callable[[int], nn.Module], _: bool
    ) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = norm(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = norm(width)
        self.downsample = _shortcut(inputs, width, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu_(out + (x if self.downsample is None else self.downsample(x)))


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        norm: Callable[[int], nn.Module],
        stride_in_1x1: bool,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = _conv(inputs, width, 1, first)
        self.bn1 = norm(width)
        self.conv2 = _conv(width, width, 3, second)
        self.bn2 = norm(width)
        self.conv3 = _conv(width, 4 * width, 1)
        self.bn3 = norm(4 * width)
        self.downsample = _shortcut(inputs, 4 * width, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu_(self.bn1(self.conv1(x)))
        out = torch.relu_(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu_(out + (x if self.downsample is None else self.downsample(x)))


def _shortcut(
    inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]
) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), norm(outputs))


class ResNetFeatures(nn.Module):
    """ResNet without its classifier: images in, the features of its first `stages` stages out.

    Submodules and state-dict keys are torchvision's (`conv1`, `bn1`, `layer1.0.conv1`, …), with
    GroupNorm too. `width` is the number of channels of the stem (64 in the original).
    `stride_in_1x1` moves the stride of bottleneck blocks from the 3×3 to the first 1×1 convolution.

    Attributes: `channels`, the channels of (C2, C3, C4, C5); `strides`, (4, 8, 16, 32).
    """

    strides = (4, 8, 16, 32)

    def __init__(
        self,
        name: str,
        width: int = 64,
        norm: Norm = "batch",
        stride_in_1x1: bool = False,
        stages: int = 4,
    ) -> None:
        super().__init__()
        if name not in _LAYOUTS:
            raise ValueError(f"backbone must be one of {sorted(_LAYOUTS)}, got {name!r}")
        if width < 1:
            raise ValueError(f"backbone width must be at least 1, got {width}")
        bottleneck, blocks = _LAYOUTS[name]
        block: type[_BasicBlock] | type[_Bottleneck] = _Bottleneck if bottleneck else _BasicBlock
        make_norm = norm_layer(norm)
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = make_norm(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inputs = width
        for stage, count in enumerate(blocks[:stages]):
            layers: list[nn.Module] = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(block(inputs, width << stage, stride, make_norm, stride_in_1x1))
                inputs = (width << stage) * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.channels = tuple((width << stage) * block.expansion for stage in range(stages))
        self._frozen: tuple[nn.Module, ...] = ()
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def freeze_stages(self, stages: int) -> None:
        """Stop learning in the stem and the first `stages` stages (0 … 4); their statistics too.

        0 freezes nothing, not even the stem: a randomly initialised stem must learn.
        """
        if not 0 <= stages <= 4:
            raise ValueError(f"stages to freeze must be 0 to 4, got {stages}")
        there = min(stages, len(self.channels))
        names = ["conv1", "bn1", *(f"layer{i}" for i in range(1, there + 1))] if stages else []
        self._frozen = tuple(self.get_submodule(name) for name in names)
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ResNetFeatures":
        """Switch the learning stages; frozen ones stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.train(False)
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return [C2, C3, C4, C5], strides 4, 8, 16, 32, of normalised images (B, 3, H, W).

        Only the first of them, where it has fewer stages.
        """
        x = self.maxpool(torch.relu_(self.bn1(self.conv1(images))))
        features = []
        for stage in range(1, len(self.channels) + 1):
            x = self.get_submodule(f"layer{stage}")(x)
            features.append(x)
        return features


def build_backbone(params: BackboneParams, stages: int = 4) -> ResNetFeatures:
    """Return the backbone that `params` describes, its pretrained weights not yet loaded."""
    module = ResNetFeatures(params.name, params.width, params.norm, params.stride_in_1x1, stages)
    module.freeze_stages(params.frozen_stages)
    return module


def load_backbone(module: ResNetFeatures, weights: str | Path) -> list[str]:
    """Load pretrained weights and return the stages that the file lacks (left as they were).

    `weights` is `"imagenet"` (torchvision's own, downloaded) or a `.safetensors` or
    `.safetensors.xz` file with torchvision's key names; its classifier is ignored. A stage is there
    completely or not at all; a key or shape that doesn't fit raises ValueError. A file may leave
    out `num_batches_tracked`. Stages that the module was made without are ignored.
    """
    state = _imagenet(module) if weights == "imagenet" else _read(Path(weights))
    ignored = ("fc.", *_stages_left_out(module))
    state = {key: value for key, value in state.items() if not key.startswith(ignored)}
    wanted = module.state_dict()
    stages = {key.split(".")[0] for key in wanted}
    absent = sorted(stages - {key.split(".")[0] for key in state})
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = {k for k in wanted if k.split(".")[0] not in absent} - state.keys() - optional
    unexpected = state.keys() - wanted.keys()
    if missing or unexpected:
        raise ValueError(
            f"{weights}: does not fit this backbone; missing keys {sorted(missing)[:5]}, "
            f"unexpected keys {sorted(unexpected)[:5]}"
        )
    for key, value in state.items():
        if value.shape != wanted[key].shape:
            raise ValueError(
                f"{weights}: {key} has shape {tuple(value.shape)}, "
                f"this backbone needs {tuple(wanted[key].shape)}"
            )
    module.load_state_dict({**wanted, **state})
    return absent


def _stages_left_out(module: ResNetFeatures) -> tuple[str, ...]:
    return tuple(f"layer{stage}." for stage in range(len(module.channels) + 1, 5))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such backbone weights")
    if path.name.endswith(".safetensors.xz"):
        return safetensors.torch.load(lzma.decompress(path.read_bytes()))
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path}: backbone weights must be 'imagenet', a .safetensors or a .safetensors.xz file"
        )
    return safetensors.torch.load_file(path)


def require_weights(params: BackboneParams) -> None:
    """Fetch or look for the pretrained weights that a training will begin with.

    Raises:
        FileNotFoundError: they are not there and cannot be fetched; with what to do.
    """
    if params.weights == "imagenet":
        _torchvision_weights(params.name)
    elif params.weights is not None and not Path(params.weights).is_file():
        raise FileNotFoundError(f"{params.weights}: no such backbone weights")


def _imagenet(module: ResNetFeatures) -> dict[str, Tensor]:
    import torchvision

    for name in ("resnet18", "resnet34", "resnet50", "resnet101"):
        reference = getattr(torchvision.models, name)
        with torch.device("meta"):
            shapes = {
                key: value.shape
                for key, value in reference().state_dict().items()
                if not key.startswith(("fc.", *_stages_left_out(module)))
            }
        if shapes == {k: v.shape for k, v in module.state_dict().items()}:
            return _torchvision_weights(name)
    raise ValueError(
        "imagenet weights exist for resnet18, 34, 50 and 101 of width 64 with batch normalisation"
    )


def _torchvision_weights(name: str) -> dict[str, Tensor]:
    import torchvision

    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise FileNotFoundError(
            f"{file}: the ImageNet weights of {name} are not there and can't be fetched ({error}); "
            f"put {file.name} there from a machine with a network, or give a .safetensors file as "
            "backbone.weights"
        ) from error
    return state
