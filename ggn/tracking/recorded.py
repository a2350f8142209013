"""Imports the tables of `reports/`, which are in git, as runs of the model zoo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ggn.evaluation.comparison import Comparison
from ggn.tracking.backend import ZOO, connect, expected_errors, experiment_id, failure, tracking_uri
from ggn.tracking.published import deliver, settle
from ggn.tracking.rows import log_table, row_journal

SOURCE = "recorded"
TABLE = "comparison.json"
PICTURE = "gallery.png"


def import_recorded(reports: Path) -> tuple[int, int, str]:
    """Make the recorded runs of the model zoo those of the tables in a folder of reports.

    If a run of this checkout has a table, it is not recorded again. Recorded runs that are no
    longer in the reports are deleted (MLflow can restore them).

    Args:
        reports: folder with `SPLIT/comparison.json`, as the stage `compare` writes it.

    Returns:
        the number of recorded runs, the number of deleted ones, and the address of the table.

    Raises:
        TrackingError: the store did not accept everything; importing again continues.
    """
    own = _own_tables()
    current = {
        _write(path, recipe, protocol, table)
        for path, recipe, protocol, table in _tables(reports)
        if not any(
            (path.parent.name, recipe) == row and table.items() <= metrics.items()
            for row, metrics in own
        )
    }
    return settle(SOURCE, current)


def _tables(reports: Path) -> Iterator[tuple[Path, str, str, dict[str, float]]]:
    """Yield the file, the recipe, the protocol and the defined metrics of each recorded table."""
    for path in sorted(reports.glob(f"*/{TABLE}")):
        comparison = Comparison.of_report(json.loads(path.read_text(encoding="utf-8")))
        for recipe in comparison.metrics:
            yield path, recipe, comparison.protocol, comparison.tracked(recipe)


def _own_tables() -> list[tuple[tuple[str, str], dict[str, float]]]:
    """Return row and recipe, and the metrics, of each run that a checkout has made."""
    uri = tracking_uri()
    deliver(uri)
    try:
        client = connect(uri)
        query = "tags.source = 'ours'"
        runs = client.search_runs([experiment_id(client, ZOO)], query, max_results=1000)
    except expected_errors() as error:
        raise failure(uri, error) from error
    return [((r.data.tags["split"], r.data.tags["recipe"]), r.data.metrics) for r in runs]


def _write(path: Path, recipe: str, protocol: str, table: dict[str, float]) -> str:
    """Write the journal of one recorded run and return the run's identity."""
    split = path.parent.name
    tags = {"source": SOURCE, "split": split, "recipe": recipe, "protocol": protocol}
    journal = row_journal(f"{split} {recipe} (recorded)", [tags, table], tags)
    journal.params({"protocol": protocol})
    log_table(journal, table, f"{split} {recipe} (protocol: {protocol})")
    picture = path.with_name(PICTURE)
    if picture.exists():
        journal.artifact(picture)
    journal.end("FINISHED")
    return journal.identity
