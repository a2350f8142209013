"""Reads, loads and writes checkpoints of mmdetection 2.x by name, without executing anything."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ggn.engine.weights import WeightsError
from ggn.openmmlab.names import reference_leftovers, reference_names

_SHOWN = 20
"""How many keys of one kind of fault an error lists before it only counts them."""

_BUILDERS = {
    "scalar": np.float64(0).__reduce__()[0],
    "_reconstruct": np.zeros(1).__reduce__()[0],
}
_ALLOWED: list[Any] = [
    *(
        (function, f"numpy.{core}.multiarray.{name}")
        for name, function in _BUILDERS.items()
        for core in ("core", "_core")
    ),
    *(np.ndarray, np.dtype, *(type(np.dtype(code)) for code in "?bhilqBHILQefdFDU")),
    range,
]
"""What a training saves besides the weights: NumPy's numbers, arrays of numbers, the range of its
devices. These are plain data, like a float. Arrays of objects are still refused."""


def load_checkpoint(model: nn.Module, weights: str | Path | Mapping[str, Any]) -> None:
    """Load an mmdetection 2.x checkpoint into a network of `ggn`; all of it or nothing.

    Args:
        model: an AffinityNet or a MaskRCNN, such as `build_model` makes. It keeps its device and
            its dtype.
        weights: a file (safetensors by its suffix, otherwise of `torch.save`) or a state dict,
            either possibly inside `{"state_dict": …}`. It may lack `num_batches_tracked`, have
            the prefix `module.` of a parallel training, and hold the averages of an EMA hook.

    Raises:
        WeightsError: the file is not a checkpoint, is damaged, contains code, has missing,
            unexpected or mis-shaped keys, or values that are not finite; naming file and fault.
    """
    if isinstance(weights, str | Path):
        source, theirs = str(weights), read_state_dict(weights)
    else:
        source, theirs = "state dict", _state_dict(weights, "state dict")
    names = reference_names(model)
    wanted = model.state_dict()
    by_name = {names[key]: value for key, value in wanted.items()}
    _refuse_other_keys(theirs, by_name | _leftovers(model), source)
    for key, name in names.items():
        if name in theirs:
            wanted[key] = theirs[name].to(wanted[key].dtype)
            if not bool(torch.isfinite(wanted[key]).all()):
                raise WeightsError(f"{source}: {name} has values that are not finite")
    model.load_state_dict(wanted)


def mmdet_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the network's weights on the CPU as an mmdetection 2.x state dict.

    Layers that only the reference has, and never uses, are zero.
    """
    names = reference_names(model)
    state = {
        names[key]: value.detach().to("cpu", copy=True).contiguous()
        for key, value in model.state_dict().items()
    }
    return state | _leftovers(model)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in a `.safetensors` file or a file of `torch.save`.

    Raises WeightsError, naming the file, if it is missing, damaged, of another kind, or would
    execute code.
    """
    return _state_dict(_read(Path(path)), str(path))


def _read(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise WeightsError(f"{path}: damaged, or not a safetensors file ({error})") from error
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the parser raise anything
        called = re.search(r"GLOBAL (\S+)|but got <class '(\S+)'>", str(error))
        reason = (
            f"refused: it would call {called[1] or called[2]}; nothing was executed"
            if called
            else "damaged, or not a checkpoint of torch.save"
        )
        raise WeightsError(f"{path}: {reason}") from error


def _state_dict(given: Any, source: str) -> dict[str, Tensor]:
    if isinstance(given, Mapping) and "state_dict" in given:
        given = given["state_dict"]
    if not isinstance(given, Mapping):
        raise WeightsError(f"{source}: must be a state dict, got {type(given).__name__}")
    for key, value in given.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            raise WeightsError(
                f"{source}: is not a state dict: {key!r} must be a dense tensor, "
                f"got {type(value).__name__}"
            )
    return _of_the_network(dict(given))


def _of_the_network(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove what a training adds: the prefix of a parallel module, and moving averages.

    A hook that averages weights stores them as `ema_` and the name with `_` for each dot. When an
    epoch has ended, the plain names hold the averages.
    """
    if state and all(str(key).startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    averages = {f"ema_{key.replace('.', '_')}" for key in map(str, state)}
    return {key: value for key, value in state.items() if key not in averages}


def _leftovers(model: nn.Module) -> dict[str, Tensor]:
    return {name: torch.zeros(shape) for name, shape in reference_leftovers(model).items()}


def _refuse_other_keys(given: dict[str, Tensor], wanted: dict[str, Tensor], source: str) -> None:
    optional = {name for name in wanted if name.endswith(".num_batches_tracked")}
    faults = {
        "missing": [name for name in wanted if name not in given and name not in optional],
        "unexpected": [str(name) for name in given if name not in wanted],
        "mis-shaped": [
            f"{name}: {_form(given[name])}, must be {_form(value)}"
            for name, value in wanted.items()
            if name in given and not _fits(given[name], value)
        ],
    }
    if any(faults.values()):
        lists = [_listed(kind, entries) for kind, entries in faults.items() if entries]
        raise WeightsError(f"{source}: does not fit the model\n" + "\n".join(lists))


def _fits(given: Tensor, wanted: Tensor) -> bool:
    same_kind = given.is_floating_point() == wanted.is_floating_point()
    return given.shape == wanted.shape and same_kind and not given.is_complex()


def _form(value: Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"


def _listed(kind: str, entries: list[str]) -> str:
    more = [f"and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return "\n    ".join([f"  {kind} ({len(entries)}):", *entries[:_SHOWN], *more])
