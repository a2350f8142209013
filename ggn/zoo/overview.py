"""An overview of the zoo: published numbers, our own, what is released, and what of it is here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ggn.core.coco import read_json
from ggn.evaluation.params import RECIPES
from ggn.zoo.fetch import is_there
from ggn.zoo.numbers import published_number
from ggn.zoo.release import CARD
from ggn.zoo.rows import ROWS, Row

_ROWS = {row.split: row for row in ROWS}


@dataclass(frozen=True)
class Overview:
    """One row; a number is the mask AR@100 of its partition in 0..1, or None."""

    split: str
    partition: str
    """The objects that count: `unseen` or `all`."""
    published_baseline: float | None
    published_ggn: float | None
    own_baseline: float | None
    own_ggn: float | None
    protocol: str | None
    """Of our own numbers."""
    released: dict[str, bool]
    """Content of our release in `releases/SPLIT`: name -> whether it has been pulled."""
    fetched: dict[str, bool]
    """The reference's files with a known address: name -> whether it is here."""


def overview(root: Path) -> Iterator[Overview]:
    """Yield the published rows, then the other rows that have results or a release here."""
    own = {path.parent.name for path in root.glob("reports/*/comparison.json")}
    kept = {path.parent.name for path in root.glob("releases/*/*.dvc")}
    for split in [*_ROWS, *sorted((own | kept) - set(_ROWS))]:
        row = _ROWS.get(split)
        protocol, numbers = _own_numbers(root, split)
        yield Overview(
            split,
            partition_of(split),
            published_number(split, ("baseline", "Mask R-CNN")),
            published_number(split, ("GGN",)),
            numbers.get("baseline"),
            numbers.get("ggn"),
            protocol,
            _released(root, split),
            {} if row is None else _fetched(root, row),
        )


def partition_of(split: str) -> str:
    """Return the objects that count: the published choice for a row, `unseen` for other splits."""
    return _ROWS[split].partition if split in _ROWS else "unseen"


def _fetched(root: Path, row: Row) -> dict[str, bool]:
    return {file.name: is_there(root, row, file) for file in row.files if file.url is not None}


def _released(root: Path, split: str) -> dict[str, bool]:
    """Return the names under DVC, without those that `ggn zoo fetch` has added."""
    folder = root / "releases" / split
    names = sorted(path.name.removesuffix(".dvc") for path in folder.glob("*.dvc"))
    return {
        name: (folder / name).exists()
        for name in names
        if not (folder / f"{name.removesuffix('.json')}.source.json").exists()
    }


def _own_numbers(root: Path, split: str) -> tuple[str | None, dict[str, float]]:
    """Return protocol and numbers of the last comparison in reports/, or else of the release."""
    report = root / "reports" / split / "comparison.json"
    card = root / "releases" / split / CARD
    if report.exists():
        path, numbers = report, read_json(report)
    elif card.exists():
        path, numbers = card, read_json(card).get("numbers")
    else:
        return None, {}
    metric = f"{partition_of(split)}/mask_AR_100"
    try:
        return numbers["protocol"], {name: float(numbers[name][metric]) for name in RECIPES}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: is not a comparison of {' and '.join(RECIPES)}: {error}"
        ) from error
