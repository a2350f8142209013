"""`ggn zoo release`: what is frozen, what refuses to be, and what a clone then pulls."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ggn.affinity import load_affinity
from ggn.detector import load_detector
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import WeightsError, load_weights, save_weights
from ggn.zoo.release import halve

ROOT = Path(__file__).parents[2]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_fetched_files_are_not_replaced(
    checkout: Any, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout.root / "releases" / "tiny"
    folder.mkdir(parents=True)
    (folder / "ggn.source.json").write_text("{}")
    assert ggn("zoo", "release", "tiny") == 1
    assert "releases/tiny has fetched files (ggn), which a release would" in capsys.readouterr().err
    assert files(folder) == {"ggn.source.json"}


def test_a_release_is_pulled_in_a_clone_with_nothing_set_up(
    checkout: Any, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    assert ggn("zoo", "release", "tiny") == 0
    checkout.commit()
    clone = checkout.clone(tmp_path / "clone")
    assert "affinity" in clone.run("dvc", "pull", "-R", "releases").stdout
    folder = clone.root / "releases" / "tiny"
    card = json.loads((folder / "card.json").read_text())
    for name, entry in card["files"].items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            entry["size"],
            entry["sha256"],
        )
    assert set(card["files"]) == {
        *(f"{n}/{f}" for n in ("affinity", "baseline", "ggn") for f in FOLDER),
        "pseudo_gt.json",
    }
    assert card["numbers"]["ggn"] == {"unseen/mask_AR_100": 0.25}
    load_detector(folder / "ggn")
    load_affinity(folder / "affinity")

    content = (folder / "ggn" / "weights.safetensors").read_bytes()
    digest = hashlib.md5(content).hexdigest()
    damaged = clone.root / "releases/store/files/md5" / digest[:2] / digest[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for path in (folder / "affinity", folder / "ggn", clone.root / ".dvc" / "cache"):
        shutil.rmtree(path)
    answer = clone.run("dvc", "pull", "-R", "releases", check=False)
    assert answer.returncode != 0
    assert "releases/tiny/" in answer.stderr
    there = [(folder / name).exists() for name in ("affinity", "ggn")]
    assert not all(there), "what is damaged is not put in place"


FOLDER = ("weights.safetensors", "card.json")


def test_a_fresh_clone_can_check_out_once_the_releases_are_pulled(
    checkout: Any, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """`make repro` pulls them; `dvc exp apply` checks out, too."""
    assert ggn("zoo", "release", "tiny") == 0
    checkout.commit()
    clone = checkout.clone(tmp_path / "clone")
    clone.run("dvc", "repro")
    assert clone.run("dvc", "checkout", check=False).returncode != 0
    clone.run("dvc", "pull", "--quiet", "-R", "releases")
    assert clone.run("dvc", "checkout", check=False).returncode == 0


def test_another_repository_takes_what_is_released_from_a_clone(
    checkout: Any, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """The committed remote is a folder of the repository: DVC needs a clone that it lies in."""
    assert ggn("zoo", "release", "tiny") == 0
    checkout.commit()
    clone = checkout.clone(tmp_path / "clone")
    other = type(checkout)(tmp_path / "other")
    other.root.mkdir()
    other.run("git", "init", "--quiet")
    other.run("dvc", "init", "--quiet")
    place, store = str(clone.root), f"url={clone.root}/releases/store"
    path, address = "releases/tiny/ggn", clone.root.as_uri()
    other.run("dvc", "get", place, path, "--out", "got")
    other.run("dvc", "get", place, path, "--rev", "HEAD", "--out", "of-a-commit")
    other.run("dvc", "get", address, path, "--remote-config", store, "--out", "by-address")
    other.run("dvc", "import", address, path, "--remote-config", store, "--out", "imported")
    shutil.rmtree(other.root / "imported")
    shutil.rmtree(other.root / ".dvc" / "cache")
    other.run("dvc", "pull", "imported")
    for name in ("got", "of-a-commit", "by-address", "imported"):
        assert files(other.root / name) == set(FOLDER), name
    read = "import dvc.api, sys; print(len(dvc.api.read(sys.argv[1], repo=sys.argv[2], mode='rb')))"
    file = f"{path}/weights.safetensors"
    size = (other.root / "got" / "weights.safetensors").stat().st_size
    assert int(other.run(sys.executable, "-c", read, file, place).stdout) == size


def test_a_team_keeps_its_own_results_elsewhere_and_then_plain_pull_brings_all(
    checkout: Any, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """Releases are bound to the committed remote, whichever remote is the default."""
    assert ggn("zoo", "release", "tiny") == 0
    checkout.run("dvc", "remote", "add", "-d", "team", str(tmp_path / "team"))
    checkout.run("dvc", "push")
    checkout.commit()
    clone = checkout.clone(tmp_path / "clone")
    assert clone.run("dvc", "pull").returncode == 0
    for name in ("models/tiny", "data/tiny/pseudo_gt", "releases/tiny/ggn"):
        assert files(clone.root / name) == files(checkout.root / name)
    released = json.loads((checkout.root / "releases/tiny/card.json").read_text())["files"]
    sizes = [path.stat().st_size for path in (tmp_path / "team").rglob("*") if path.is_file()]
    assert not set(sizes) & {released["ggn/weights.safetensors"]["size"]}


def test_outputs_that_are_small_travel_with_git_and_a_bare_pull_brings_everything(
    checkout: Any, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """What a stranger types first: everything comes, and nothing is left to be run."""
    assert ggn("zoo", "release", "tiny") == 0
    checkout.commit()
    clone = checkout.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    for name in ("models/tiny", "data/tiny/pseudo_gt", "releases/tiny/ggn"):
        assert files(clone.root / name) == files(checkout.root / name)
    assert "up to date" in clone.run("dvc", "status").stdout
    assert "Running stage" not in clone.run("dvc", "repro").stdout
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_a_push_that_dvc_advises_leaves_git_as_it_was(
    checkout: Any, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """`dvc repro` ends with the advice; the default remote is the folder that git carries."""
    assert ggn("zoo", "release", "tiny") == 0
    checkout.commit()
    source = checkout.root / "ready/pseudo_gt/pseudo_gt.json"
    source.write_text(source.read_text() + " ")
    assert "Use `dvc push`" in checkout.run("dvc", "repro").stdout
    before = checkout.run("git", "status", "--porcelain").stdout
    assert "pushed" in checkout.run("dvc", "push").stdout
    assert checkout.run("git", "status", "--porcelain").stdout == before
    checkout.commit()
    assert "deleted" not in checkout.run("git", "status").stdout
    assert checkout.clone(tmp_path / "clone").run("dvc", "pull", "-R", "releases").returncode == 0


def test_outputs_that_are_large_stay_out_of_git(
    checkout: Any, ggn: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone's own row of many gigabytes: only weights and pseudo ground truth are released."""
    sizes = []
    for limit in (10**9, 1000):
        shutil.rmtree(checkout.root / "releases", ignore_errors=True)
        monkeypatch.setattr("ggn.zoo.release.OUTPUTS_LIMIT", limit)
        assert ggn("zoo", "release", "tiny") == 0
        sizes.append(len(files(checkout.root / "releases" / "store")))
    assert sizes[0] > sizes[1]


def test_weights_stored_in_half_precision_are_released_as_they_are(
    committed: Path, tmp_path: Path
) -> None:
    halve(committed / "ready" / "models" / "ggn", tmp_path / "half")
    halve(tmp_path / "half", tmp_path / "again")
    for name in FOLDER:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "half" / name).read_bytes()


def test_the_next_release_replaces_the_one_before(checkout: Any, ggn: Callable[..., int]) -> None:
    assert ggn("zoo", "release", "tiny") == 0
    checkout.commit()
    first = files(checkout.root / "releases")
    report = checkout.root / "reports/tiny/comparison.json"
    report.write_text(report.read_text().replace("0.25", "0.5"))
    checkout.commit()
    assert ggn("zoo", "release", "tiny") == 0
    card = json.loads((checkout.root / "releases/tiny/card.json").read_text())
    assert card["numbers"]["ggn"] == {"unseen/mask_AR_100": 0.5}
    assert files(checkout.root / "releases") == first, "same artefacts, and nothing beside them"
    changed = checkout.run("git", "status", "--porcelain").stdout.split("\n")
    assert changed == [" M releases/tiny/card.json", ""]


def test_objects_that_only_an_older_release_names_leave_the_folder(
    checkout: Any, ggn: Callable[..., int]
) -> None:
    assert ggn("zoo", "release", "tiny") == 0
    first = files(checkout.root / "releases" / "store")
    source = checkout.root / "ready/pseudo_gt/pseudo_gt.json"
    source.write_text(source.read_text() + " ")
    checkout.run("dvc", "repro")
    checkout.commit()
    assert ggn("zoo", "release", "tiny") == 0
    second = files(checkout.root / "releases" / "store")
    assert len(second - first) == len(first - second) == 2, "the file and its folder's list"


def make_stale(checkout: Any) -> None:
    (checkout.root / "ready" / "more").write_text("x")


def change_a_report(checkout: Any) -> None:
    (checkout.root / "reports/tiny/comparison.json").write_text("{}")


def damage_the_weights(checkout: Any) -> None:
    path = checkout.root / "models/tiny/affinity/weights.safetensors"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    checkout.run("dvc", "commit", "--force", "--quiet")
    checkout.commit()


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("other", None, "other: not in `active`"),
        ("../tiny", None, "not in `active`"),
        ("tiny", make_stale, "compare@tiny: ready changed"),
        (
            "tiny",
            change_a_report,
            "commit these files first: reports/tiny/comparison.json",
        ),
        ("tiny", damage_the_weights, "affinity/weights.safetensors: damaged"),
    ],
)
def test_what_is_not_settled_is_not_released(
    checkout: Any,
    split: str,
    change: Callable[[Any], None] | None,
    message: str,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if change is not None:
        change(checkout)
    assert ggn("zoo", "release", split) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not files(checkout.root / "releases")


def test_the_release_before_comes_back_when_dvc_fails(
    checkout: Any,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ggn("zoo", "release", "tiny") == 0
    checkout.commit()
    before = files(checkout.root / "releases")
    config = checkout.root / ".dvc" / "config"
    config.write_text(
        config.read_text().replace("../releases/store", "../ready/pseudo_gt/pseudo_gt.json")
    )
    assert ggn("zoo", "release", "tiny") == 1
    assert "dvc push" in capsys.readouterr().err
    assert files(checkout.root / "releases") == before
    assert "releases" not in checkout.run("git", "status", "--porcelain").stdout


def test_half_precision_finds_the_same_objects(committed: Path, tmp_path: Path) -> None:
    source = committed / "ready" / "models" / "ggn"
    halve(source, tmp_path / "half")
    ours, theirs = (
        load_weights(source, "detector")[0],
        load_weights(tmp_path / "half", "detector")[0],
    )
    for key, value in theirs.items():
        assert value.dtype == (torch.float16 if ours[key].is_floating_point() else ours[key].dtype)
        torch.testing.assert_close(value.float(), ours[key].float(), rtol=2**-11, atol=2**-24)
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    whole, half = (load_detector(path).predict(image) for path in (source, tmp_path / "half"))
    np.testing.assert_allclose(np.sort(whole.scores)[-3:], np.sort(half.scores)[-3:], atol=5e-3)


def test_a_value_too_large_for_half_precision_is_refused(committed: Path, tmp_path: Path) -> None:
    state, card = load_weights(committed / "ready" / "models" / "ggn", "detector")
    network = MaskRCNN(DetectorParams.model_validate(card["params"]))
    network.load_state_dict(state | {"rpn.conv.bias": torch.full_like(state["rpn.conv.bias"], 7e4)})
    save_weights(network, tmp_path / "large", card)
    with pytest.raises(WeightsError, match=r"rpn\.conv\.bias has values that are not finite"):
        halve(tmp_path / "large", tmp_path / "half")


def test_what_is_released_is_small_and_complete() -> None:
    """The committed remote: every object that a `.dvc` file names, small enough for git.

    What else is in it is an output that `dvc.lock` names.
    """
    store = ROOT / "releases" / "store" / "files" / "md5"
    objects = {path.parent.name + path.name: path for path in store.glob("*/*")}
    assert sum(path.stat().st_size for path in objects.values()) < 20e6
    pointers = list((ROOT / "releases").glob("*/*.dvc"))
    text = "\n".join(
        path.read_text() for path in pointers if "remote: releases" in path.read_text()
    )
    named = {line.split()[-1] for line in text.splitlines() if "md5: " in line}
    for name in [name for name in named if name.endswith(".dir")]:
        named |= {entry["md5"] for entry in json.loads(objects[name].read_bytes())}
    outputs = set(re.findall(r"md5: (\S+)", (ROOT / "dvc.lock").read_text()))
    for name in [name for name in outputs & set(objects) if name.endswith(".dir")]:
        outputs |= {entry["md5"] for entry in json.loads(objects[name].read_bytes())}
    assert named <= set(objects) <= named | outputs
    for name, path in objects.items():
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        assert digest == name.removesuffix(".dir"), f"{path}: damaged"
