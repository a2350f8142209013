"""`ggn zoo fetch` from a real HTTP server: what arrives, and every way in which it does not."""

from __future__ import annotations

import errno
import hashlib
import http.server
import inspect
import json
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ggn.core.coco import read_coco
from ggn.detector import load_detector
from ggn.zoo import fetch as fetching
from ggn.zoo.download import DownloadError, download
from ggn.zoo.fetch import FetchError, fetch, wanted_files
from ggn.zoo.rows import ReferenceFile, Row, row

CONTENT = bytes(range(256)) * 4000
RLE = {"size": [4, 6], "counts": [0, 8, 16]}  # the two columns on the left
RECORD = {"segmentation": RLE, "image_id": 42, "score": 0.5, "orig_shape": [8, 12], "rank": 0}
ROW = Row("coco_voc", "", "", 3)
PSEUDO_GT = ReferenceFile("pseudo_gt", "pseudo_gt")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; breaks off the first answer after `server.breaks` bytes."""

    def do_GET(self) -> None:
        served: Any = self.server
        served.ranges.append(self.headers.get("Range"))
        content, start = served.content, 0
        same = self.headers.get("If-Range") == served.tag
        if self.headers.get("Range") and same:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        if self.path != "/file":
            self.send_error(404, "Not Found")
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", served.tag)
        self.end_headers()
        sent = content[start:]
        self.wfile.write(sent[: served.breaks] if served.breaks else sent)
        served.breaks = 0

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    served: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.content, served.tag, served.breaks, served.ranges = CONTENT, '"one"', 0, []
    served.url = f"http://127.0.0.1:{served.server_port}/file"
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def test_a_broken_download_goes_on_where_it_stopped(server: Any, tmp_path: Path) -> None:
    server.breaks = 100_000
    with pytest.raises(DownloadError, match=r"100000 of 1024000 bytes.*same command continues"):
        download(server.url, tmp_path)
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["download"]


def test_a_file_that_changed_meanwhile_is_downloaded_anew(server: Any, tmp_path: Path) -> None:
    server.breaks = 100_000
    with pytest.raises(DownloadError):
        download(server.url, tmp_path)
    server.content, server.tag = b"other" * 50_000, '"two"'
    assert download(server.url, tmp_path).read_bytes() == server.content


def test_what_does_not_answer_is_one_sentence(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"the server answered 404 Not Found"):
        download(server.url + "s", tmp_path)
    with pytest.raises(DownloadError, match=r"ftp://x/y: must be http:// or https://"):
        download("ftp://x/y", tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(DownloadError, match=r"cannot be reached.*Is this machine online\?.*FILE"):
        download(f"http://127.0.0.1:{port}/file", tmp_path)


def test_a_full_disk_is_told_and_leaves_what_can_be_continued(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Any, target: Any, length: int) -> None:
        target.write(source.read(1000))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(DownloadError, match=r"the disk of .* is full"):
            download(server.url, tmp_path)
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.ranges[1] == "bytes=1000-"


def test_google_drive_is_asked_by_gdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://drive.google.com/file/d/abc/view"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DownloadError, match=r"pip install 'ggn\[fetch\]'"):
        download(url, tmp_path)
    monkeypatch.undo()
    asked: list[Any] = []

    def answer(*words: Any, **options: Any) -> str | None:
        asked.append((words, options))
        return words[1] if len(asked) == 1 else None

    module = SimpleNamespace(download=answer, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "gdown", module)
    assert download(url, tmp_path) == tmp_path / "download"
    assert asked[0] == (
        (url, str(tmp_path / "download")),
        {"quiet": True, "resume": True},
    )
    with pytest.raises(DownloadError, match="is the link still public"):
        download(url, tmp_path)


def test_gdown_knows_the_options_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A major release of it took an option away; and a link as one shares it must do."""
    gdown = pytest.importorskip("gdown", reason="needs gdown: make remotes")
    url = "https://drive.google.com/file/d/abc/view?usp=sharing"
    assert gdown.parse_url.parse_url(url)[0] == "abc"
    known = inspect.signature(gdown.download)
    monkeypatch.setattr(gdown, "download", lambda *a, **k: known.bind(*a, **k).arguments["output"])
    assert download(url, tmp_path) == tmp_path / "download"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `dvc add` only notes what it is given."""
    monkeypatch.setattr(fetching.versioned, "add", lambda root, paths: list(paths))
    return tmp_path


def test_pseudo_ground_truth_becomes_a_coco_file_and_a_record(server: Any, root: Path) -> None:
    """Extracted at half size: 2 of 6 columns of a 4x6 mask are 4 of 12 columns at 8x12."""
    server.content = json.dumps([[RECORD], []]).encode()
    path = fetch(root, ROW, PSEUDO_GT, server.url)
    assert path == root / "releases/coco_voc/pseudo_gt.json"
    dataset = read_coco(path)
    (image,) = dataset["images"]
    assert image == {"id": 42, "file_name": "000000000042.jpg", "height": 8, "width": 12}
    (mask,) = dataset["annotations"]
    assert (mask["area"], mask["bbox"], mask["score"]) == (32, [0, 0, 4, 8], 0.5)
    record = json.loads((root / "releases/coco_voc/pseudo_gt.source.json").read_text())
    assert record == {
        "source": server.url,
        "size": len(server.content),
        "sha256": hashlib.sha256(server.content).hexdigest(),
    }
    assert not (root / ".scratch/fetch/coco_voc-pseudo_gt").exists()
    server.content = json.dumps([[{**RECORD, "score": 0.6}]]).encode()
    with pytest.raises(FetchError, match=r"size is 124, not 128.*remove pseudo_gt\.source\.json"):
        fetch(root, ROW, PSEUDO_GT, server.url)
    assert read_coco(path) == dataset, "nothing was changed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>quota exceeded</html>", "not JSON"),
        (b'[[{"image_id": 42}]]', r"\[0\]\[0\].*misses segmentation"),
    ],
)
def test_what_is_no_pseudo_ground_truth_leaves_nothing(
    server: Any, root: Path, content: bytes, message: str
) -> None:
    server.content = content
    with pytest.raises(ValueError, match=message):
        fetch(root, ROW, PSEUDO_GT, server.url)
    assert not list((root / "releases" / "coco_voc").iterdir())


def test_a_hash_that_the_row_states_must_hold(server: Any, root: Path) -> None:
    file = ReferenceFile("pseudo_gt", "pseudo_gt", sha256="0" * 64, size=len(CONTENT))
    with pytest.raises(FetchError, match=r"not the file it should be: sha256 is .*, not 0000"):
        fetch(root, ROW, file, server.url)
    assert not (root / "releases").exists()


def test_a_checkpoint_of_the_reference_becomes_our_weights(
    server: Any, root: Path, recorded_weights: Callable[[str], dict[str, Any]]
) -> None:
    state = recorded_weights("maskrcnn")
    torch.save({"meta": {"epoch": 8}, "state_dict": state}, root / "epoch_8.pth")
    server.content = (root / "epoch_8.pth").read_bytes()
    folder = fetch(root, ROW, ReferenceFile("ggn", "detector", "maskrcnn"), server.url)
    assert folder == root / "releases/coco_voc/ggn"
    card = json.loads((folder / "card.json").read_text())
    assert card["converted_from"]["row"] == "coco_voc"
    load_detector(folder)


def test_weights_of_another_network_leave_nothing(root: Path) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1)}}, root / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth: does not fit the model"):
        fetch(root, ROW, ReferenceFile("ggn", "detector", "maskrcnn"), str(root / "x.pth"))
    assert not list((root / "releases" / "coco_voc").iterdir())


def test_without_an_address_the_message_says_what_to_type() -> None:
    with pytest.raises(FetchError, match=r"released were: affinity, pseudo_gt, ggn.*--url ADDRESS"):
        wanted_files(row("coco_person"), None, None)
    with pytest.raises(FetchError, match="--file says what is there"):
        wanted_files(row("coco_person"), None, "http://x/y")
    assert wanted_files(row("coco_person"), "ggn", None) == (row("coco_person").file("ggn"),)


def test_the_command_puts_the_file_under_dvc_and_the_zoo_shows_it(
    checkout: Any, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout.root / "masks.json").write_text(json.dumps([[RECORD]]))
    words = ("zoo", "fetch", "coco_voc", "--file", "pseudo_gt", "--url", "masks.json")
    assert ggn(*words) == 0
    assert (checkout.root / "releases/coco_voc/pseudo_gt.json.dvc").exists()
    assert ggn("zoo") == 0
    (checkout.root / "releases/coco_voc/pseudo_gt.json").unlink()
    assert ggn("zoo", "list") == 0
    shown = capsys.readouterr().out
    assert "19.9 -> 28.7" in shown
    assert "25.0 -> 25.0" in shown, "the own numbers of the row tiny"
    assert "releases/coco_voc: pseudo_gt.json (here)" in shown
    assert "releases/coco_voc: pseudo_gt.json (not here yet: dvc pull -R releases)" in shown
    assert ggn("zoo", "fetch", "coco_voc", "--file", "ggn") == 1
    assert "--url ADDRESS" in capsys.readouterr().err
