"""How far a training is: a line in a log file, a bar on a terminal, and nothing twice."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from ggn.engine.progress import ShowProgress


def trainer(step: int, zero: bool = True) -> Any:
    return SimpleNamespace(global_step=step, is_global_zero=zero)


def run(monkeypatch: pytest.MonkeyPatch, *, zero: bool = True) -> None:
    """Ten steps of 12 seconds, resumed at step 100 of 1,000, four images each."""
    clock = iter(12.0 * n for n in range(1000))
    monkeypatch.setattr("ggn.engine.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown = ShowProgress("affinity", 1000, 4)
    shown.on_train_start(trainer(100, zero))
    for step in range(101, 111):
        shown.on_train_batch_end(trainer(step, zero))
    shown.teardown()


def test_a_log_gets_a_line_every_half_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run(monkeypatch)
    assert [record.message for record in caplog.records] == [
        "affinity: step 103 of 1000, 0.3 images/s, 179 min 24 s left",
        "affinity: step 106 of 1000, 0.3 images/s, 178 min 48 s left",
        "affinity: step 109 of 1000, 0.3 images/s, 178 min 12 s left",
    ]


def test_the_other_processes_say_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run(monkeypatch, zero=False)
    assert caplog.records == []


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    run(monkeypatch)
    shown = capsys.readouterr().out
    assert "affinity" in shown
    assert "110/1000" in shown


def test_a_narrow_terminal_gets_the_steps_and_the_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")
    run(monkeypatch)
    shown = capsys.readouterr().out
    assert "110/1000" in shown
    assert "\u2026" not in shown, "cut"
