"""The datasets of a config: folders, files, seen classes and pseudo masks."""

import os
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

READ_HERE = ("ann_file", "img_prefix", "data_root", "train_class", "eval_class")
"""Keys of a dataset that this module translates."""

_SEEN_BESIDE = {"nonvoc": "voc", "voc": "nonvoc", "nonperson": "person", "noncoco": "coco"}


class Setting(NamedTuple):
    """A value of a config: its path, and its name in the tables."""

    path: str
    name: str
    value: Any


def dataset_settings(config: Mapping[str, Any]) -> Iterator[Setting]:
    """Yield settings of the section `data`: folders, files relative to them, classes."""
    root = _clean(config.get("data_root"))
    train_root, train = _files(_dataset(config, "train"), root)
    val_root, val = _files(_validation(config), root)
    yield Setting("data_root", "data.root", train_root or root or ".")
    if val and val_root != (train_root or root or "."):
        yield Setting("data.val", "data.val_root", val_root)
    for part, files in (("train", train), ("val", val)):
        for key, value in files.items():
            ours = {"ann_file": "annotations", "img_prefix": "images"}[key]
            yield Setting(f"data.{part}.{key}", f"data.{part}_{ours}", value)
    yield from _classes(config)


def dataset_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each file of the datasets that is not a single path."""
    for part in ("train", "val"):
        for key in ("ann_file", "img_prefix"):
            value = _dataset(config, part).get(key)
            if value is not None and not isinstance(value, str):
                yield f"data.{part}.{key} = {value!r}: only one path"
    if "train_class" not in _dataset(config, "train"):
        yield "data.train.train_class is not given: data.seen stays 'voc'"


def dataset_warnings(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning if a training sees classes that the evaluation counts as unseen."""
    if _dataset(config, "train").get("train_class") != "all":
        return
    for part in ("train", "val"):
        unseen = _dataset(config, part).get("eval_class")
        if unseen not in (None, "all"):
            instead = _SEEN_BESIDE.get(str(unseen), "the others")
            yield (
                f"data.train.train_class is 'all' beside data.{part}.eval_class {unseen!r}: "
                "the training sees annotations of the very classes that the evaluation counts as "
                "unseen. The split says `seen: all`, so nothing is unseen; for a model that has "
                f"not seen them write `seen: {instead}`, `unseen: {unseen}`"
            )
            return


def dataset_notes(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield how to import the pseudo masks that a config names."""
    train = _dataset(config, "train")
    for key in ("additional_ann_file", "ann_dir"):
        if train.get(key) is not None:
            yield (
                f"data.train.{key} = {train[key]!r}: `ggn pseudo-gt import` brings these pseudo "
                "masks"
            )


def _dataset(config: Mapping[str, Any], part: str) -> dict[str, Any]:
    data = config.get("data")
    dataset = data.get(part) if isinstance(data, dict) else None
    return dataset if isinstance(dataset, dict) else {}


def _validation(config: Mapping[str, Any]) -> dict[str, Any]:
    validation = _dataset(config, "val")
    return validation if "ann_file" in validation else _dataset(config, "test")


def _files(dataset: Mapping[str, Any], root: str | None) -> tuple[str | None, dict[str, str]]:
    """Return the folder of a dataset, and its annotations and images relative to it."""
    own = dataset.get("data_root")
    paths = {
        key: _clean(os.path.join(own, dataset[key]) if isinstance(own, str) else dataset[key])  # noqa: PTH118
        for key in ("ann_file", "img_prefix")
        if isinstance(dataset.get(key), str)
    }
    found = {key: path for key, path in paths.items() if path is not None}
    if not found:
        return None, {}
    if root is None or not all(_inside(path, root) for path in found.values()):
        root = _common(found)
    return root, {
        key: str(PurePosixPath(path).relative_to(root)) if _inside(path, root) else path
        for key, path in found.items()
    }


def _common(paths: Mapping[str, str]) -> str:
    """Return the folder that contains both the annotations and the images."""
    folders = [
        str(PurePosixPath(path).parent) if key == "ann_file" else path
        for key, path in paths.items()
    ]
    if len({os.path.isabs(folder) for folder in folders}) > 1:  # noqa: PTH117
        return "."
    return os.path.commonpath(folders) or "."


def _inside(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)


def _clean(path: Any) -> str | None:
    """Return a path without a final slash, `./` or `//`; None if it is not a path."""
    return str(PurePosixPath(path)) if isinstance(path, str) else None


def _classes(config: Mapping[str, Any]) -> Iterator[Setting]:
    """Yield the classes; the validation says which are evaluated, and seen ones need no setting."""
    train, validation = _dataset(config, "train"), _validation(config)
    seen = _listed(train.get("train_class"))
    if seen is not None:
        yield Setting("data.train.train_class", "data.train.seen", seen)
    part, dataset = ("val", validation) if "eval_class" in validation else ("train", train)
    unseen = _listed(dataset.get("eval_class"))
    if unseen is not None and unseen not in ("all", seen) and seen != "all":
        yield Setting(f"data.{part}.eval_class", "data.train.unseen", unseen)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
