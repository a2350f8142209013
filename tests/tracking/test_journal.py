"""The journal: what is on disk at each moment of a run's life, and of its death."""

from __future__ import annotations

import json
import logging
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ggn.tracking.journal import Journal, claimed, is_live, journals, read_events, read_header


def start(pending: Path, identity: str | None = None) -> Journal:
    return Journal.create(
        pending,
        experiment="shapes",
        name="train_detector-ggn",
        destination="http://tracking:5000",
        tags={"split": "shapes"},
        identity=identity,
    )


def test_a_run_is_a_folder_with_a_line_an_event(tmp_path: Path) -> None:
    (tmp_path / "gallery.png").write_bytes(b"picture")
    journal = start(tmp_path / "pending")
    journal.params({"seed": 0, "detector.lr": 0.02})
    journal.metrics({"train/loss": 1.5}, step=3)
    journal.artifact(tmp_path / "gallery.png")
    journal.write_artifact("report.json", b"{}")
    assert is_live(journal.folder)
    journal.end("FINISHED")
    assert not is_live(journal.folder)
    assert journals(tmp_path / "pending") == [journal.folder]
    header = read_header(journal.folder)
    assert (header.experiment, header.name) == ("shapes", "train_detector-ggn")
    assert header.tags == {"split": "shapes"}
    first, *events = read_events(journal.folder).lines
    assert first["run"]["identity"] == header.identity
    assert events[0] == {"params": {"seed": "0", "detector.lr": "0.02"}}
    assert {**events[1], "time": 0} == {"metrics": {"train/loss": 1.5}, "step": 3, "time": 0}
    assert events[1]["time"] >= header.started_ms
    assert events[2:4] == [{"artifact": "gallery.png"}, {"artifact": "report.json"}]
    assert events[4]["end"] == "FINISHED"
    files = {path.name: path.read_bytes() for path in (journal.folder / "artifacts").iterdir()}
    assert files == {"gallery.png": b"picture", "report.json": b"{}"}


def test_reading_goes_on_from_an_offset_and_leaves_out_half_a_line(tmp_path: Path) -> None:
    journal = start(tmp_path)
    read = read_events(journal.folder)
    journal.metrics({"loss": 1.0})
    with (journal.folder / "events.jsonl").open("a") as file:
        file.write('{"metrics": {"lo')
    more = read_events(journal.folder, read.offset)
    assert [event["metrics"] for event in more.lines] == [{"loss": 1.0}]
    assert read_events(journal.folder, more.offset).lines == []
    journal.end("FINISHED")


def test_a_run_of_the_same_identity_takes_the_place_of_what_waits(tmp_path: Path) -> None:
    for value in (0.1, 0.2):
        journal = start(tmp_path, identity="a" * 32)
        journal.metrics({"AR": value})
        journal.end("FINISHED")
    (folder,) = journals(tmp_path)
    assert read_events(folder).lines[1]["metrics"] == {"AR": 0.2}


KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = [{root!r}]
from ggn.tracking.journal import Journal
journal = Journal.create(Path("pending"), experiment="e", name="n", destination="d", tags={{}})
journal.metrics({{"loss": 1.0}})
print("written", flush=True)
time.sleep(600)
"""


def test_a_killed_run_leaves_what_it_wrote_and_is_seen_to_be_dead(tmp_path: Path) -> None:
    code = KILLED.format(root=str(Path(__file__).parents[2]))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"written\n"
    (folder,) = journals(tmp_path / "pending")
    assert is_live(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_live(folder)
    assert read_events(folder).lines[-1]["metrics"] == {"loss": 1.0}


def test_a_journal_is_delivered_by_one_process_at_a_time(tmp_path: Path) -> None:
    journal = start(tmp_path)
    with claimed(journal.folder) as first, claimed(journal.folder) as second:
        assert (first, second) == (True, False)
    with claimed(journal.folder) as again:
        assert again
    with claimed(tmp_path / "delivered-meanwhile") as gone:
        assert not gone
    journal.end("FINISHED")


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process can grow beyond 2000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_the_tracking_and_not_the_run(
    tmp_path: Path, full_disk: None, caplog: pytest.LogCaptureFixture
) -> None:
    journal = start(tmp_path)
    for step in range(100):
        journal.metrics({"loss": 1.0}, step)
    journal.write_artifact("later.json", b"{}")
    journal.end("FINISHED")
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "tracking stopped" in warning.getMessage()
    assert "File too large" in warning.getMessage()
    steps = [event["step"] for event in read_events(journal.folder).lines[1:]]
    assert steps == list(range(len(steps)))
    assert len(steps) > 5


def test_no_place_to_write_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlruns").write_text("a file where a folder should be")
    journal = start(tmp_path / "mlruns" / "pending")
    journal.metrics({"loss": 1.0})
    journal.end("FINISHED")
    assert "tracking stopped" in caplog.text


def test_a_folder_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(json.dumps({"metrics": {}}) + "\n")
    with pytest.raises(ValueError, match=r"events\.jsonl: is not the journal"):
        read_header(tmp_path)
