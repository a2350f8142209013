"""Loads trained networks by address: a folder, the model registry, or a row of the zoo."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ggn.engine.weights import WEIGHTS_FILES, WeightsError
from ggn.tracking.registry import fetched_weights, is_registered

if TYPE_CHECKING:
    from ggn.affinity.predict import AffinityPredictor
    from ggn.detector.predict import Detector

_ROOTS: Final = ("releases", "models")
_USUAL: Final = {"detector": "ggn", "affinity": "affinity"}


def load_detector(address: str | Path, device: str = "auto", precision: str = "auto") -> Detector:
    """Return a trained detector.

    Args:
        address: a folder such as `releases/shapes/ggn`; a registered model, `models:/shapes@ggn`;
            or a row of the zoo that is on disk, `coco_voc` or `coco_voc/NAME`: looked for in
            `releases/` and then `models/` of the working directory, by default the recipe `ggn`.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        precision: as in `ggn.detector.params`.

    Raises:
        WeightsError: there is nothing, or weights of another kind.
        ValueError: there is no such device.
        TrackingError: the registry has no such model, or does not answer.
    """
    from ggn.detector.predict import load_detector

    with weights_folder(address, "detector") as folder:
        return load_detector(folder, device, precision)


def load_affinity(
    address: str | Path, device: str = "auto", precision: str = "auto"
) -> AffinityPredictor:
    """Return a trained affinity network; arguments and errors are as in `load_detector`.

    A row of the zoo without a name means its `affinity`.
    """
    from ggn.affinity.predict import load_affinity

    with weights_folder(address, "affinity") as folder:
        return load_affinity(folder, device, precision)


@contextmanager
def weights_folder(address: str | Path, kind: Literal["detector", "affinity"]) -> Iterator[Path]:
    """Provide the folder of weights that an address names. One from the registry is temporary.

    Raises:
        WeightsError: there is none; the message lists what is there instead.
    """
    if is_registered(str(address)):
        with fetched_weights(str(address)) as folder:
            yield folder
        return
    yield _on_disk(address, kind)


def _on_disk(address: str | Path, kind: str) -> Path:
    if not str(address):
        raise WeightsError("an empty address names no weights")
    path = Path(address)
    if _is_weights(path):
        return path
    if path.is_dir():
        inside = [str(child) for child in sorted(path.iterdir()) if _is_weights(child)]
        there = f"; these folders have them: {', '.join(inside)}" if inside else ""
        raise WeightsError(f"{path}: has no {' and '.join(WEIGHTS_FILES)}{there}")
    if not re.fullmatch(r"\w+(/\w+)?", str(address)):
        raise WeightsError(f"{path}: no such folder")
    row, _, name = str(address).partition("/")
    places = [Path(root) / row / (name or _USUAL[kind]) for root in _ROOTS]
    for place in places:
        if _is_weights(place):
            return place
    raise WeightsError(
        f"{address}: no such folder, and no such row of the zoo on disk: {_rows_here()}; "
        f"`dvc pull -R releases` brings our rows, `ggn zoo fetch {row}` a row of GGN's authors"
    )


def _rows_here() -> str:
    found = (folder for root in _ROOTS for folder in Path(root).glob("*/*") if _is_weights(folder))
    rows = sorted({"/".join(folder.parts[-2:]) for folder in found})
    return f"there are {', '.join(rows)}" if rows else "there are none"


def _is_weights(folder: Path) -> bool:
    return all((folder / name).is_file() for name in WEIGHTS_FILES)
