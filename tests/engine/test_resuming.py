"""What a killed training leaves behind, and when the next one goes on from it."""

from pathlib import Path

import pytest
import torch

from ggn.engine.resuming import clear_scratch, resume_path


def test_only_the_same_run_resumes(tmp_path: Path) -> None:
    other_file = tmp_path / "notes.txt"
    other_file.write_text("keep me")
    assert resume_path(tmp_path, {"lr": 0.1}) is None
    checkpoint = tmp_path / "last.ckpt"
    torch.save({"state": 1}, checkpoint)
    assert resume_path(tmp_path, {"lr": 0.1}) == checkpoint
    assert resume_path(tmp_path, {"lr": 0.2}) is None
    assert not checkpoint.exists()
    clear_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == [other_file]


@pytest.mark.parametrize("content", [b"", b"half a file", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_named_and_put_aside(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert resume_path(tmp_path, {"lr": 0.1}) is None
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(content)
    assert resume_path(tmp_path, {"lr": 0.1}) is None
    assert f"{checkpoint}: damaged" in caplog.text
    assert not checkpoint.exists()
    assert (tmp_path / "last.damaged.ckpt").read_bytes() == content
    clear_scratch(tmp_path)
    assert not (tmp_path / "last.damaged.ckpt").exists()


@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(5, "Input/output error")])
def test_a_checkpoint_that_the_machine_does_not_give_is_kept_where_it_is(
    tmp_path: Path, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be whole: days of training."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    assert resume_path(tmp_path, {"lr": 0.1}) is None
    torch.save({"state": 1}, tmp_path / "last.ckpt")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", refuse)
        with pytest.raises(OSError, match=error.strerror):
            resume_path(tmp_path, {"lr": 0.1})
    assert resume_path(tmp_path, {"lr": 0.1}) == tmp_path / "last.ckpt"
