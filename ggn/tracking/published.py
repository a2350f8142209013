"""Imports published numbers as runs, so that MLflow's pages compare them with ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Set
from typing import Protocol

from ggn.tracking.backend import (
    ZOO,
    connect,
    expected_errors,
    experiment_id,
    failure,
    pending,
    tracking_uri,
    zoo_page,
)
from ggn.tracking.delivery import IDENTITY_TAG, sync
from ggn.tracking.rows import row_journal


class Number(Protocol):
    """A number that a source reports for a method on a row of the zoo."""

    @property
    def split(self) -> str:
        """The row."""

    @property
    def method(self) -> str:
        """The method, as its source calls it."""

    @property
    def metric(self) -> str:
        """The metric, named as in our reports, such as `unseen/mask_AR_100`."""

    @property
    def value(self) -> float:
        """In 0..1; the highest if the source has several."""

    @property
    def lowest(self) -> float | None:
        """In 0..1; the lowest if the source has several."""

    @property
    def protocol(self) -> str:
        """The evaluation protocol."""

    @property
    def source(self) -> str:
        """The paper or README."""

    @property
    def measured_on(self) -> str:
        """The data."""

    @property
    def note(self) -> str:
        """A remark for the reader; may be empty."""


def import_published(numbers: Iterable[Number]) -> tuple[int, int, str]:
    """Make the published runs of the model zoo those of `numbers`: one per row, method and source.

    Existing runs stay as they are. Published runs with other numbers, which have been corrected or
    withdrawn, are deleted (MLflow can restore them).

    Returns:
        the number of published runs, the number of deleted ones, and the address of the table.

    Raises:
        TrackingError: the store did not accept everything; importing again continues.
    """
    groups: defaultdict[tuple[str, ...], list[Number]] = defaultdict(list)
    for number in numbers:
        groups[tuple(_tags(number).values())].append(number)
    return settle("published", {_write(group) for group in groups.values()})


def settle(source: str, current: Set[str]) -> tuple[int, int, str]:
    """Deliver what is kept, and delete the zoo's runs of a source except those of these identities.

    Returns:
        the number of runs of the source, the number of deleted ones, and the address of the table.

    Raises:
        TrackingError: the store did not accept everything; the same call continues.
    """
    uri = tracking_uri()
    deliver(uri)
    try:
        client = connect(uri)
        query = f"tags.source = '{source}'"
        runs = client.search_runs([experiment_id(client, ZOO)], query, max_results=1000)
        outdated = [run for run in runs if run.data.tags.get(IDENTITY_TAG) not in current]
        for run in outdated:
            client.delete_run(run.info.run_id)
        return len(runs) - len(outdated), len(outdated), zoo_page(client)
    except expected_errors() as error:
        raise failure(uri, error) from error


def deliver(uri: str) -> None:
    """Deliver what is kept, or raise the first TrackingError."""
    for outcome in sync(pending(), uri):
        if outcome.error is not None:
            raise outcome.error


def _tags(number: Number) -> dict[str, str]:
    return {
        "source": "published",
        "split": number.split,
        "recipe": number.method,
        "protocol": number.protocol,
        "paper": number.source,
        "measured_on": number.measured_on,
        **({"note": number.note} if number.note else {}),
    }


def _write(numbers: list[Number]) -> str:
    """Write the journal of one published run and return the run's identity."""
    tags = _tags(numbers[0])
    metrics = {number.metric: number.value for number in numbers}
    lowest = {f"{n.metric}_lowest": n.lowest for n in numbers if n.lowest is not None}
    name = f"{tags['split']} {tags['recipe']} (published)"
    journal = row_journal(name, [tags, metrics, lowest], tags)
    journal.params({"protocol": tags["protocol"]})
    journal.metrics({**metrics, **lowest})
    journal.end("FINISHED")
    return journal.identity
