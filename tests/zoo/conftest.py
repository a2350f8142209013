"""What tests of the zoo share: a checkout with one tiny row, a server that plays Google Drive."""

from __future__ import annotations

import datetime
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import torch

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import save_weights

TINY = {"name": "resnet10", "width": 8, "norm": "group", "weights": None, "frozen_stages": 0}
DETECTOR = {
    "backbone": TINY,
    "fpn_channels": 16,
    "max_size": [64, 64],
    "rpn": {"candidates_per_level": 50, "proposals": 50},
    "box": {"channels": 16},
    "mask": {"convolutions": 0, "channels": 8},
    "detection": {"max_detections": 7},
}
AFFINITY = {"backbone": TINY, "pool_channels": 8, "head_channels": 8, "head_norm": "group"}
IMAGE = {"id": 1, "file_name": "1.png", "height": 8, "width": 8}
CATEGORY = {"id": 1, "name": "pseudo"}
NUMBERS = {"protocol": "budget", "baseline": {}, "ggn": {}}

# A pipeline whose one stage copies results that lie ready.
PIPELINE = """
stages:
  compare:
    matrix: {split: "${active}"}
    cmd: >-
      mkdir -p models data/${item.split} &&
      cp -r ready/models models/${item.split} &&
      cp -r ready/pseudo_gt data/${item.split}
    deps: [ready]
    outs: ["models/${item.split}", "data/${item.split}/pseudo_gt"]
"""


class Repository:
    """A checkout on disk, and the commands a person types in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "test"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "test@localhost"),
        }
        return subprocess.run(
            words, cwd=self.root, env=environment, capture_output=True, text=True, check=check
        )

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "results")

    def clone(self, folder: Path) -> Repository:
        self.run("git", "clone", "--quiet", str(self.root), str(folder))
        return Repository(folder)


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the row `tiny`, made once."""
    pytest.importorskip("dvc", reason="needs ggn[mlops]")
    repository = Repository(tmp_path_factory.mktemp("committed"))
    torch.manual_seed(0)
    models = repository.root / "ready" / "models"
    detector, affinity = DetectorParams.model_validate(DETECTOR), AffinityParams(**AFFINITY)
    for recipe in ("baseline", "ggn"):
        card = {"kind": "detector", "params": detector.model_dump(), "seed": 0}
        save_weights(MaskRCNN(detector), models / recipe, card)
    card = {"kind": "affinity", "params": affinity.model_dump(), "seed": 0}
    save_weights(AffinityNet(affinity), models / "affinity", card)
    numbers = {**NUMBERS, **{r: {"unseen/mask_AR_100": 0.25} for r in ("baseline", "ggn")}}
    texts = {
        "ready/pseudo_gt/pseudo_gt.json": json.dumps(
            {"images": [IMAGE], "annotations": [], "categories": [CATEGORY]}
        ),
        "reports/tiny/comparison.json": json.dumps(numbers),
        "dvc.yaml": PIPELINE,
        "params.yaml": "active: [tiny]\n",
        ".gitignore": "/models/\n/data/\n/.scratch/\n/releases/store/\n",
    }
    for name, text in texts.items():
        path = repository.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    repository.run("git", "init", "--quiet")
    repository.run("dvc", "init", "--quiet")
    shutil.copy(Path(__file__).parents[2] / ".dvc" / "config", repository.root / ".dvc")
    repository.run("dvc", "repro", "--quiet")
    repository.commit()
    return repository.root


@pytest.fixture
def checkout(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A copy of that checkout, in which this process is."""
    repository = Repository(tmp_path / "checkout")
    shutil.copytree(committed, repository.root, symlinks=True)
    monkeypatch.chdir(repository.root)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    return repository


HOSTS = ("drive.google.com", "drive.usercontent.google.com", "docs.google.com")
LARGE = 1000
"""Bytes from which on a page asks for a confirmation, as the Drive does for 100 MB."""

CONFIRMATION = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head>
<body><div id="uc-text"><p class="uc-warning-caption">Google Drive can't scan this file for viruses.
</p><p class="uc-warning-subcaption">Would you still like to download this file?</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">\
<input type="submit" id="uc-download-link" value="Download anyway"/>\
<input type="hidden" name="id" value="{key}"><input type="hidden" name="export" value="download">\
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="0-1"></form>
</div></body></html>"""
QUOTA = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can't view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. \
Please try accessing the file again later.</p></body></html>"""
MISSING = """<!DOCTYPE html><html lang="en"><head><title>Error 404 (Not Found)!!1</title></head>
<body><p>The requested URL was not found on this server.</p></body></html>"""


class GoogleDrive(http.server.ThreadingHTTPServer):
    """Plays the Drive's pages to a client that asks for the real addresses.

    It is a proxy: `HTTPS_PROXY` leads the client to it, and `REQUESTS_CA_BUNDLE` has the client
    trust the certificate that it shows under the Drive's names. What it has by id are bytes, the
    path of a file, or `quota`; anything else is missing.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes | Path | str] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        """Host, path and Range of every request."""
        self.breaks = 0
        """After so many bytes the next file breaks off."""
        self.ranges = True
        """Whether a part is given when one is asked for."""
        self.bundle = folder / "drive.pem"
        self.context = _certificate(self.bundle)

    @property
    def environment(self) -> dict[str, str]:
        """What leads a client here."""
        proxy = f"http://127.0.0.1:{self.server_port}"
        return {"HTTPS_PROXY": proxy, "NO_PROXY": "", "REQUESTS_CA_BUNDLE": str(self.bundle)}

    @contextmanager
    def running(self) -> Iterator[GoogleDrive]:
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()

    def size(self, key: str) -> int:
        kept = self.files[key]
        return kept.stat().st_size if isinstance(kept, Path) else len(kept)

    def content(self, key: str, start: int) -> bytes:
        kept = self.files[key]
        whole = kept.read_bytes() if isinstance(kept, Path) else kept
        assert isinstance(whole, bytes)
        return whole[start:]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self) -> None:
        drive: Any = self.server
        self.host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        self.connection = drive.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False  # the tunnelled request comes now

    def do_GET(self) -> None:
        drive: Any = self.server
        drive.asked.append((self.host, self.path, self.headers.get("Range")))
        parts = urlsplit(self.path)
        words = {name: values[0] for name, values in parse_qs(parts.query).items()}
        key = words.get("id", "")
        if drive.files.get(key) == "quota":
            self.page(200, QUOTA)
        elif key not in drive.files or parts.path not in ("/uc", "/download"):
            self.page(404, MISSING)
        elif drive.size(key) >= LARGE and "confirm" not in words:
            self.page(200, CONFIRMATION.format(key=key))
        else:
            self.send_file(drive, key)

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # of TLS, which the server knows nothing of

    def page(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def send_file(self, drive: GoogleDrive, key: str) -> None:
        wanted = self.headers.get("Range") if drive.ranges else None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        content, size = drive.content(key, start), drive.size(key)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", f'attachment; filename="{key}.bin"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if drive.breaks:
            content, drive.breaks, self.close_connection = content[: drive.breaks], 0, True
        self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        pass


def _certificate(bundle: Path) -> ssl.SSLContext:
    """Write a certificate for the Drive's names, with its key; return the server's side of it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOSTS[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, HOSTS)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    bundle.write_bytes(certificate.public_bytes(pem) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    return context


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleDrive]:
    """A Drive that this process and its children reach under the real addresses."""
    pytest.importorskip("cryptography", reason="needs ggn[mlops]")
    server = GoogleDrive(tmp_path)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with server.running():
        yield server
