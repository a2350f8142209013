"""`ggn zoo fetch` from a real HTTP server: what arrives, and every way in which it does not."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ggn.affinity import load_affinity
from ggn.core.coco import read_coco
from ggn.data.mask_store import MaskStore
from ggn.detector import load_detector
from ggn.zoo import fetch as fetching
from ggn.zoo.download import DownloadError, download
from ggn.zoo.fetch import FetchError, fetch, wanted_files
from ggn.zoo.rows import ReferenceFile, Row, row

CONTENT = bytes(range(256)) * 4000
RLE = {"size": [4, 6], "counts": [0, 8, 16]}  # the two columns on the left
RECORD = {"segmentation": RLE, "image_id": 42, "score": 0.5, "orig_shape": [8, 12], "rank": 0}
ROW = Row("coco_voc", "", "", "unseen", 3)
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


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `dvc add` only notes what it is given."""
    monkeypatch.setattr(fetching.versioned, "add", lambda root, paths: list(paths))
    return tmp_path


def test_pseudo_ground_truth_becomes_a_store_and_a_record(server: Any, root: Path) -> None:
    """Extracted at half size: 2 of 6 columns of a 4x6 mask are 4 of 12 columns at 8x12."""
    server.content = json.dumps([[RECORD], []]).encode()
    path = fetch(root, ROW, PSEUDO_GT, server.url)
    assert path == root / "releases/coco_voc/pseudo_gt"
    ((image_id, masks, overlap),) = MaskStore(path)
    assert (image_id, masks.image_size_hw, overlap) == (42, (8, 12), [0.0])
    assert (masks.areas.tolist(), masks.scores.tolist()) == ([32], [0.5])
    assert masks.boxes_xyxy.tolist() == [[0, 0, 4, 8]]
    record = json.loads((root / "releases/coco_voc/pseudo_gt.source.json").read_text())
    assert record == {
        "source": server.url,
        "size": len(server.content),
        "sha256": hashlib.sha256(server.content).hexdigest(),
        "licence": "CC BY-NC 4.0",
    }
    assert not (root / ".scratch/fetch/coco_voc-pseudo_gt").exists()


def test_what_is_there_is_not_fetched_again_and_must_stay_the_same(server: Any, root: Path) -> None:
    server.content = json.dumps([[RECORD]]).encode()
    path = fetch(root, ROW, PSEUDO_GT, server.url)
    digest = MaskStore(path).digest
    server.content = json.dumps([[{**RECORD, "score": 0.25}]]).encode()
    fetch(root, ROW, PSEUDO_GT, server.url)
    assert len(server.ranges) == 1
    shutil.rmtree(path)
    message = r"coco_voc: pseudo_gt: http.* size is 125, not 124.*remove pseudo_gt\.source\.json"
    with pytest.raises(FetchError, match=message):
        fetch(root, ROW, PSEUDO_GT, server.url)
    (root / "releases/coco_voc/pseudo_gt.source.json").unlink()
    assert MaskStore(fetch(root, ROW, PSEUDO_GT, server.url)).digest != digest


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_pseudo_ground_truth_may_be_an_archive_of_a_file_per_image(
    root: Path, tmp_path: Path, form: str
) -> None:
    folder = tmp_path / "lists"
    for key in (42, 7):
        path = folder / "masks" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([{**RECORD, "image_id": key}]))
    archive = shutil.make_archive(str(tmp_path / "masks"), form, folder)
    path = fetch(root, ROW, PSEUDO_GT, archive)
    assert [image_id for image_id, _, _ in MaskStore(path)] == [7, 42]


def test_annotations_become_a_coco_file_without_the_faulty_ones(server: Any, root: Path) -> None:
    """In LVIS's form: no file_name, no iscrowd."""
    image = {"id": 1, "coco_url": "http://x/val2017/000000000001.jpg", "height": 48, "width": 64}
    good = {
        "id": 1,
        "image_id": 1,
        "category_id": 3,
        "bbox": [8, 8, 16, 12],
        "area": 192.0,
        "segmentation": [[8, 8, 24, 8, 24, 20, 8, 20]],
    }
    faulty = {**good, "id": 2, "bbox": [8, 8, 0, 12]}
    dataset = {
        "images": [image],
        "annotations": [good, faulty],
        "categories": [{"id": 3, "name": "ox"}],
    }
    server.content = json.dumps(dataset).encode()
    file = row("lvis_coco").file("val_annotations")
    path = fetch(root, row("lvis_coco"), file, server.url)
    assert path == root / "releases/lvis_coco/val_annotations.json"
    converted = read_coco(path)
    assert converted["images"][0]["file_name"] == "val2017/000000000001.jpg"
    assert [annotation["id"] for annotation in converted["annotations"]] == [1]
    assert converted["info"]["dropped"] == {"bbox": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>quota</html>", "sent a web page instead of the file"),
        (b"[[{", "is not pseudo_gt, or damaged: .*not JSON"),
        (b'[[{"image_id": 42}]]', r"\[0\]\[0\].*lacks segmentation"),
    ],
)
def test_what_is_no_pseudo_ground_truth_leaves_nothing(
    server: Any, root: Path, content: bytes, message: str
) -> None:
    server.content = content
    with pytest.raises(FetchError, match=f"coco_voc: pseudo_gt: {server.url}.*{message}"):
        fetch(root, ROW, PSEUDO_GT, server.url)
    assert not list((root / "releases").rglob("*.*"))


def test_a_hash_that_the_row_states_must_hold(server: Any, root: Path) -> None:
    file = ReferenceFile("pseudo_gt", "pseudo_gt", sha256="0" * 64, size=len(CONTENT))
    with pytest.raises(FetchError, match=r"is not the expected file: sha256 is .*, not 0000"):
        fetch(root, ROW, file, server.url)
    assert not (root / "releases").exists()


def test_a_checkpoint_of_the_reference_becomes_our_weights(
    server: Any, root: Path, recorded_weights: Callable[[str], dict[str, Any]]
) -> None:
    checkpoint = {
        "meta": {"epoch": 8, "env_info": "text", "hook_msgs": {"best_score": np.float64(0.5)}},
        "state_dict": recorded_weights("maskrcnn"),
    }
    torch.save(checkpoint, root / "epoch_8.pth")
    server.content = (root / "epoch_8.pth").read_bytes()
    folder = fetch(root, ROW, ReferenceFile("ggn", "detector", "maskrcnn"), server.url)
    assert folder == root / "releases/coco_voc/ggn"
    card = json.loads((folder / "card.json").read_text())
    assert card["converted_from"]["row"] == "coco_voc"
    assert card["licence"].startswith("CC BY-NC 4.0")
    load_detector(folder)


def test_weights_of_another_network_leave_nothing(root: Path) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1)}}, root / "x.pth")
    with pytest.raises(FetchError, match=r"(?s)coco_voc: ggn: .*x\.pth: does not fit the model"):
        fetch(root, ROW, ReferenceFile("ggn", "detector", "maskrcnn"), str(root / "x.pth"))
    assert not list((root / "releases" / "coco_voc").iterdir())


def test_a_truncated_checkpoint_is_named_and_leaves_nothing(root: Path) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1000)}}, root / "x.pth")
    whole = (root / "x.pth").read_bytes()
    (root / "x.pth").write_bytes(whole[: len(whole) // 2])
    message = r"coco_voc: ggn: .*x\.pth: is not ggn, or damaged: .*damaged"
    with pytest.raises(FetchError, match=message):
        fetch(root, ROW, ReferenceFile("ggn", "detector", "maskrcnn"), str(root / "x.pth"))
    assert not list((root / "releases" / "coco_voc").iterdir())


def test_what_can_be_fetched_is_what_has_an_address() -> None:
    names = [file.name for file in wanted_files(row("coco_person"), None, None)]
    assert names == ["affinity", "pseudo_gt", "ggn"]
    with pytest.raises(FetchError, match=r"link to ggn is empty;.*--file ggn --url ADDRESS"):
        wanted_files(row("coco_voc_oln"), None, None)
    with pytest.raises(FetchError, match="coco_lvis: the authors released nothing for this row"):
        wanted_files(row("coco_lvis"), None, None)
    with pytest.raises(FetchError, match="--url needs --file"):
        wanted_files(row("coco_person"), None, "http://x/y")
    assert wanted_files(row("coco_person"), "ggn", None) == (row("coco_person").file("ggn"),)


def test_the_command_puts_the_file_under_dvc_and_the_zoo_shows_it(
    checkout: Any, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout.root / "masks.json").write_text(json.dumps([[RECORD]]))
    words = ("zoo", "fetch", "coco_voc", "--file", "pseudo_gt", "--url", "masks.json")
    assert ggn(*words) == 0
    said = capsys.readouterr().out
    assert "CC BY-NC 4.0, no commercial use (https://creativecommons.org/" in said
    assert "releases/coco_voc/pseudo_gt: pseudo_gt" in said
    assert (checkout.root / "releases/coco_voc/pseudo_gt.dvc").exists()
    assert ggn(*words) == 0
    assert "releases/coco_voc/pseudo_gt: already here" in capsys.readouterr().out
    assert ggn("zoo") == 0
    shown = capsys.readouterr().out
    assert "19.9 -> 28.7" in shown
    assert "25.0 -> 25.0" in shown, "the own numbers of the row tiny"
    assert "releases/coco_voc: pseudo_gt (of GGN's authors, CC BY-NC 4.0; here)" in shown
    assert "; not here yet: ggn zoo fetch coco_voc)" in shown
    assert "24.8-27.4" in shown
    assert "UVO sparse val: README of chwilms/SOS" in shown
    assert ggn("zoo", "list", "coco_lvis") == 0
    shown = capsys.readouterr().out
    assert "27.0" in shown
    assert "coco_voc" not in shown
    assert ggn("zoo", "list", "coco") == 1
    assert "no row 'coco'; there are coco_person, " in capsys.readouterr().err
    assert ggn("zoo", "fetch", "coco_voc_oln") == 1
    assert "--url ADDRESS" in capsys.readouterr().err


@pytest.mark.slow
def test_a_whole_row_comes_from_its_real_addresses(
    checkout: Any,
    drive: Any,
    recorded_weights: Callable[[str], dict[str, Any]],
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of three files one is refused for its quota; the others come, and the next time all."""
    keys = {file.name: (file.url or "").split("/")[-2] for file in row("coco_person").files}
    masks = [[{**RECORD, "image_id": key}] for key in range(100)]
    drive.files[keys["pseudo_gt"]] = json.dumps(masks).encode()
    for name, kind in (("affinity", "pa"), ("ggn", "maskrcnn")):
        path = checkout.root / f"{kind}.pth"
        torch.save({"meta": {"epoch": 8}, "state_dict": recorded_weights(kind)}, path)
        drive.files[keys[name]] = path
    kept, drive.files[keys["affinity"]] = drive.files[keys["affinity"]], "quota"
    assert ggn("zoo", "fetch", "coco_person") == 1
    said = capsys.readouterr()
    assert said.err.startswith(
        f"ggn: coco_person: affinity: https://drive.google.com/file/d/{keys['affinity']}/view: "
        "Google Drive sent a page instead of the file: Too many users have viewed or downloaded"
    )
    assert "releases/coco_person/ggn: detector" in said.out
    assert not (checkout.root / "releases/coco_person/affinity").exists()
    drive.files[keys["affinity"]] = kept
    assert ggn("zoo", "fetch", "coco_person") == 0
    said = capsys.readouterr()
    assert "releases/coco_person/affinity: affinity" in said.out
    assert said.out.count("already here") == 2
    folder = checkout.root / "releases/coco_person"
    assert {p.name for p in folder.glob("*.dvc")} == {"affinity.dvc", "pseudo_gt.dvc", "ggn.dvc"}
    load_detector(folder / "ggn")
    load_affinity(folder / "affinity")
    assert len(MaskStore(folder / "pseudo_gt")) == 100
