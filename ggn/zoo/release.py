"""Releases a row: half-precision weights, pseudo ground truth and numbers, under DVC."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from ggn.core.coco import read_coco, read_json, write_json
from ggn.core.files import sha256
from ggn.evaluation.params import RECIPES
from ggn.zoo import versioned

REMOTE = "releases"
"""The DVC remote of .dvc/config that is committed with the repository."""
REMOTE_FOLDER = "releases/store"
"""Its folder, in git."""
WEIGHTS = ("affinity", *RECIPES)
PSEUDO_GT = "pseudo_gt.json"
CARD = "card.json"
OUTPUTS_LIMIT = 20_000_000
"""Bytes. Outputs of a row's stages up to this size also go to the committed remote, so that a plain
`dvc pull` brings everything."""


class ReleaseError(ValueError):
    """The row cannot be released; the message says what to do first."""


def release(root: Path, split: str) -> dict[str, Any]:
    """Freeze a row as `releases/SPLIT` and push it to the committed remote; return its card.

    The release is written whole or not at all: it is built beside its place and then renamed, and
    if DVC then fails, the previous one is restored. The outputs of the row's stages are pushed as
    well, unless they are larger than `OUTPUTS_LIMIT`.

    Args:
        root: the checkout.
        split: a row of params.yaml whose results are complete, up to date and committed.

    Raises:
        ReleaseError: naming stale stages, uncommitted files, missing results, or fetched files that
            the release would replace.
        CommandError: DVC or git failed, with its message.
    """
    place = root / "releases" / split
    fetched = sorted(file.name.removesuffix(".source.json") for file in place.glob("*.source.json"))
    if fetched:
        raise ReleaseError(
            f"{split}: releases/{split} has fetched files ({', '.join(fetched)}), which a "
            "release would replace; train and release a split with another name"
        )
    refuse_unsettled(root, split)
    fresh = place.with_name(f".{split}.{os.getpid()}.new")
    old = place.with_name(f".{split}.{os.getpid()}.old")
    try:
        freeze(root, split, fresh)
        if place.exists():
            for pointer in place.glob("*.dvc"):
                shutil.copy2(pointer, fresh)
            place.rename(old)
        fresh.rename(place)
        try:
            made = [place / name for name in (*WEIGHTS, PSEUDO_GT)]
            artefacts = [path for path in made if path.exists()]
            versioned.add_and_push(root, artefacts, REMOTE)
            if outputs_size(root, split) <= OUTPUTS_LIMIT:
                versioned.push_outputs(root, split, REMOTE)
            versioned.prune(root, root / REMOTE_FOLDER)
            # .gitignore has the folder, because `dvc push` writes there, too
            versioned.run(root, "git", "add", "--force", "--", REMOTE_FOLDER)
        except BaseException:
            shutil.rmtree(place)
            if old.exists():
                old.rename(place)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    card: dict[str, Any] = read_json(place / CARD)
    return card


def outputs_size(root: Path, split: str) -> int:
    """Return the size of the outputs of a row's stages in bytes."""
    folders = (root / "data" / split, root / "models" / split)
    return sum(p.stat().st_size for folder in folders for p in folder.rglob("*") if p.is_file())


def refuse_unsettled(root: Path, split: str) -> None:
    """Raise ReleaseError unless the results of a split are those of the committed code and data."""
    stale = versioned.stale_stages(root, split)
    if stale:
        lines = [f"  {stage}: {', '.join(names)} changed" for stage, names in stale.items()]
        raise ReleaseError(
            f"{split}: results are stale; run `dvc repro` first\n" + "\n".join(lines)
        )
    sources = ("dvc.lock", "dvc.yaml", "params.yaml", "ggn", "pipelines", f"reports/{split}")
    open_files = versioned.uncommitted(root, *sources)
    if open_files:
        raise ReleaseError(f"{split}: commit these files first: {', '.join(open_files)}")


def freeze(root: Path, split: str, folder: Path) -> None:
    """Write the content of a release to a new folder.

    It has a folder of half-precision weights for each of `WEIGHTS`, `pseudo_gt.json` (a COCO-style
    file), and `card.json` with recipe, numbers, commit, and the SHA-256 of each file.

    Raises:
        ReleaseError: there are no results to release.
        CocoError, WeightsError: a result is damaged.
    """
    trained = [root / "models" / split / name for name in WEIGHTS]
    needed = [path for path in trained if not (path / "none.json").exists()]
    source = root / "data" / split / "pseudo_gt" / "pseudo_gt.json"
    numbers = root / "reports" / split / "comparison.json"
    missing = [
        str(path.relative_to(root)) for path in (*needed, source, numbers) if not path.exists()
    ]
    if missing:
        raise ReleaseError(f"{split}: missing: {', '.join(missing)}; `dvc repro` makes them")
    folder.mkdir(parents=True)
    for path in needed:
        halve(path, folder / path.name)
    read_coco(source)
    shutil.copyfile(source, folder / PSEUDO_GT)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lock = root / "dvc.lock"
    card = {
        "split": split,
        "git_commit": versioned.commit(root),
        "dvc_lock_sha256": sha256(lock) if lock.exists() else None,
        "files": {
            path.relative_to(folder).as_posix(): {
                "size": path.stat().st_size,
                "sha256": sha256(path),
            }
            for path in files
        },
        "numbers": read_json(numbers),
    }
    write_json(folder / CARD, card, indent=1)


def halve(source: Path, target: Path) -> None:
    """Write the weights of a folder in half precision to another, with their card.

    Weights that are already in half precision (`weights_dtype: float16`) are copied unchanged, so
    that DVC stores the bytes only once. The loaders of `ggn.detector` and `ggn.affinity` convert
    weights to float32. Raises WeightsError if a value is too large for float16.
    """
    from ggn.affinity.model import AffinityNet
    from ggn.affinity.params import AffinityParams
    from ggn.detector.mask_rcnn import MaskRCNN
    from ggn.detector.params import DetectorParams
    from ggn.engine.weights import adopt_weights, load_weights, save_weights

    kind = read_json(source / "card.json").get("kind")
    state, card = load_weights(source, kind if kind in {"affinity", "detector"} else "detector")
    if card.get("precision") == "float16":
        adopt_weights(source, target, card["kind"])
        return
    network = (
        AffinityNet(AffinityParams.model_validate(card["params"]))
        if kind == "affinity"
        else MaskRCNN(DetectorParams.model_validate(card["params"]))
    )
    network.load_state_dict(state)
    given = card.pop("weights_sha256")
    save_weights(network, target, {**card, "float32_sha256": given}, "float16")
