"""Corrects the artifact addresses in the local store of a checkout that was moved or copied."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def mend_places(mlruns: Path) -> None:
    """Make the database of a folder `mlruns` point to that folder after a move or copy.

    MLflow stores absolute addresses. Without this, new artifacts would go to the old place after a
    move, and old ones would not be found.

    Args:
        mlruns: absolute path, with `mlflow.db` and `artifacts`; without a database nothing is done.
    """
    file = mlruns / "mlflow.db"
    if not file.is_file():
        return
    with closing(sqlite3.connect(file, timeout=60)) as database:
        try:
            rows = database.execute(
                "SELECT DISTINCT artifact_location FROM experiments "
                "WHERE artifact_location LIKE 'file://%/mlruns/artifacts'"
            ).fetchall()
        except sqlite3.Error:  # no store yet, or a damaged one, which MLflow will report
            return
        here = f"{mlruns.as_uri()}/"
        for (location,) in rows:
            before = location.removesuffix("artifacts")
            if before != here:
                _replace(database, before, here)
        database.commit()


def _replace(database: sqlite3.Connection, before: str, here: str) -> None:
    for table, column in _PLACES:
        if any(row[1] == column for row in database.execute(f"PRAGMA table_info({table})")):
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 (ours)
                f"WHERE substr({column}, 1, ?) = ?",
                (here, len(before) + 1, len(before), before),
            )
