"""Google Drive as gdown meets it: its pages, broken transfers, nobody there; by real addresses."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ggn.zoo.download import DownloadError, download

KEY = "1IiepMOg89MhSM3PzpE_mycO2XRFw-YfV"
URL = f"https://drive.google.com/file/d/{KEY}/view"
CONTENT = random.Random(0).randbytes(3_000_000)
CONFIRMED = f"/download?id={KEY}&export=download&confirm=t&uuid=0-1"


@pytest.mark.parametrize(
    "url", [URL, f"{URL}?usp=sharing", f"https://drive.google.com/uc?id={KEY}"]
)
def test_a_small_file_comes_at_once_by_every_form_of_its_address(
    drive: Any, tmp_path: Path, url: str
) -> None:
    drive.files[KEY] = b"small"
    assert download(url, tmp_path).read_bytes() == b"small"
    assert drive.asked == [("drive.google.com", f"/uc?id={KEY}", None)]


def test_a_large_file_comes_after_its_confirmation_page(drive: Any, tmp_path: Path) -> None:
    drive.files[KEY] = CONTENT
    told: list[tuple[int, int | None]] = []
    path = download(URL, tmp_path, lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert drive.asked[1:] == [("drive.usercontent.google.com", CONFIRMED, None)]
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_the_quota_page_and_a_missing_file_are_a_sentence(drive: Any, tmp_path: Path) -> None:
    drive.files[KEY] = "quota"
    message = (
        f"{URL}: Google Drive sent a page instead of the file: Too many users have viewed or "
        "downloaded this file recently. Please try accessing the file again later. If you have "
        "the file from elsewhere, give it with --url FILE"
    )
    with pytest.raises(DownloadError) as quota:
        download(URL, tmp_path)
    assert str(quota.value) == message
    del drive.files[KEY]
    with pytest.raises(DownloadError, match=r"/view: .*the file is gone, or not public"):
        download(URL, tmp_path)
    assert not list(tmp_path.glob("download*"))


def test_a_broken_transfer_goes_on_where_it_stopped(drive: Any, tmp_path: Path) -> None:
    drive.files[KEY], drive.breaks = CONTENT, 1_000_000
    with pytest.raises(DownloadError, match=r"interrupted after 524288 bytes\. The same command"):
        download(URL, tmp_path)
    assert download(URL, tmp_path).read_bytes() == CONTENT
    assert drive.asked[-1] == ("drive.usercontent.google.com", CONFIRMED, "bytes=524288-")
    assert [path.name for path in tmp_path.glob("download*")] == ["download"]


def test_a_part_that_cannot_be_continued_is_dropped(drive: Any, tmp_path: Path) -> None:
    drive.files[KEY], drive.breaks, drive.ranges = CONTENT, 1_000_000, False
    with pytest.raises(DownloadError, match="interrupted"):
        download(URL, tmp_path)
    with pytest.raises(DownloadError, match=r"cannot be continued, .*command starts again"):
        download(URL, tmp_path)
    assert download(URL, tmp_path).read_bytes() == CONTENT


def test_offline_is_a_sentence_and_loses_nothing(
    drive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive.files[KEY], drive.breaks = CONTENT, 1_000_000
    with pytest.raises(DownloadError, match="interrupted"):
        download(URL, tmp_path)
    with monkeypatch.context() as offline:
        offline.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        message = r"cannot be reached \(.*Connection refused\)\. .*online\? The same .* byte 524288"
        with pytest.raises(DownloadError, match=message):
            download(URL, tmp_path)
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(DownloadError, match=r"Is this machine online\? .*--url FILE"):
            download(URL, empty)
        assert not list(empty.iterdir())
    assert download(URL, tmp_path).read_bytes() == CONTENT
