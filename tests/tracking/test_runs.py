"""An open run: what its journal says of its end, and what Lightning writes into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ggn.tracking import open_run, runs
from ggn.tracking.backend import PENDING
from ggn.tracking.journal import Journal, journals, read_events
from ggn.tracking.runs import flat


@pytest.fixture
def undelivered(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow counts as installed, and nothing is delivered."""
    monkeypatch.setattr(runs, "is_tracking", lambda: True)
    monkeypatch.setattr(runs, "_start_delivery", lambda folder: None)


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")],
)
def test_a_run_ends_as_its_body_does(
    undelivered: None, error: type[BaseException] | None, status: str
) -> None:
    def body() -> None:
        with open_run("shapes", "prepare", tags={}, params={"data": {"seed": 0}}):
            if error is not None:
                raise error

    if error is None:
        body()
    else:
        with pytest.raises(error):
            body()
    (folder,) = journals(PENDING)
    _, params, end = read_events(folder).lines
    assert params == {"params": {"data.seed": "0"}}
    assert end["end"] == status


def test_no_password_is_written_down(undelivered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@host:5000")
    with open_run("shapes", "prepare", tags={}, params={}):
        pass
    (folder,) = journals(PENDING)
    assert "http://host:5000" in (folder / "events.jsonl").read_text()
    assert "secret" not in (folder / "events.jsonl").read_text()


def test_without_mlflow_nothing_is_written(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "is_tracking", lambda: False)
    with open_run("shapes", "prepare", tags={}, params={}) as journal:
        assert journal is None
    assert list(checkout.iterdir()) == []


def test_nested_params_are_named_by_their_path() -> None:
    assert flat({"seed": 0, "detector": {"rpn": {"samples": 64}, "lr": 0.1}}) == {
        "seed": 0,
        "detector.rpn.samples": 64,
        "detector.lr": 0.1,
    }


def test_what_a_training_logs_is_in_the_journal(tmp_path: Path) -> None:
    from ggn.tracking.training_logger import JournalLogger

    journal = Journal.create(tmp_path, experiment="e", name="n", destination="d", tags={})
    logger = JournalLogger(journal)
    logger.log_hyperparams({"lr_scaled": 0.04, "processes": 2})
    logger.log_metrics({"train/loss": 1.5}, step=7)
    logger.finalize("success")  # which is the training's end, not the run's
    journal.end("FINISHED")
    _, params, metrics, end = (json.dumps(event) for event in read_events(journal.folder).lines)
    assert params == '{"params": {"lr_scaled": "0.04", "processes": "2"}}'
    assert metrics.startswith('{"metrics": {"train/loss": 1.5}, "step": 7, "time": ')
    assert end.startswith('{"end": "FINISHED"')
    assert (logger.name, logger.version) == ("journal", journal.folder.name)
