"""The zoo at a glance: published numbers, our own, what is released and what of it is here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ggn.core.coco import read_json
from ggn.zoo.release import CARD
from ggn.zoo.rows import METRICS, ROWS, published
from ggn.zoo.versioned import RECIPES


@dataclass(frozen=True)
class Overview:
    """One row; a number is a mask AR@100 on the unseen categories in 0..1, or None."""

    split: str
    published_baseline: float | None
    published_ggn: float | None
    own_baseline: float | None
    own_ggn: float | None
    protocol: str | None
    """Of our own numbers."""
    released: dict[str, bool]
    """By name, what `releases/SPLIT` holds, and whether it has been pulled."""


def overview(root: Path) -> Iterator[Overview]:
    """Yield the published rows, then the other rows that have results or a release here."""
    names = [row.split for row in ROWS]
    own = {path.parent.name for path in root.glob("reports/*/comparison.json")}
    kept = {path.parent.name for path in root.glob("releases/*/*.dvc")}
    for split in [*names, *sorted((own | kept) - set(names))]:
        protocol, numbers = _own_numbers(root, split)
        folder = root / "releases" / split
        pointers = sorted(path.name.removesuffix(".dvc") for path in folder.glob("*.dvc"))
        yield Overview(
            split,
            published(split, "baseline"),
            published(split, "GGN"),
            numbers.get("baseline"),
            numbers.get("ggn"),
            protocol,
            {name: (folder / name).exists() for name in pointers},
        )


def _own_numbers(root: Path, split: str) -> tuple[str | None, dict[str, float]]:
    """Protocol and numbers of the last comparison in reports/, otherwise of the release."""
    report, card = root / "reports" / split / "comparison.json", root / "releases" / split / CARD
    if report.exists():
        path, numbers = report, read_json(report)
    elif card.exists():
        path, numbers = card, read_json(card).get("numbers")
    else:
        return None, {}
    try:
        return numbers["protocol"], {name: float(numbers[name][METRICS[0]]) for name in RECIPES}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: no comparison of {' and '.join(RECIPES)}: {error}") from error
