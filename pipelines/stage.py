"""What every stage shares: params, guards, resume folder, one tracked run, a metrics file."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ggn.core.coco import write_json
from ggn.tracking import Journal, open_run
from ggn.tracking.provenance import provenance

SECTIONS = ("data", "affinity", "grouping", "pseudo_gt", "detector", "evaluation")
PARAMS_FILE = Path("params.yaml")

Model = TypeVar("Model", bound=BaseModel)

Shards = Annotated[int | None, typer.Option(min=1, help="Workers; one per GPU if unset.")]
Shard = Annotated[int | None, typer.Option(help="Be worker K of them, from 0 on.")]
Runner = Annotated[Literal["local", "ray"], typer.Option(help="What runs them.")]


class ParamsError(ValueError):
    """params.yaml is refused; the message names each key, its value and what is allowed."""


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read params.yaml as YAML 1.2 (YAML 1.1 reads `1e-3` as text and `no` as false)."""
    try:
        document: dict[str, Any] = YAML(typ="safe", pure=True).load(
            path.read_text(encoding="utf-8")
        )
    except FileNotFoundError:
        raise ParamsError(f"{path}: not found; run from the repository root") from None
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    for key in ("seed", "active", "defaults", "splits"):
        if not isinstance(document, dict) or key not in document:
            raise ParamsError(f"{path}: needs the key '{key}'")
    seed = document["seed"]
    if type(seed) is not int or seed < 0:
        raise ParamsError(f"{path}: seed: must be an integer >= 0, got {seed!r}")
    return document


def load_params(split: str, document: Mapping[str, Any] | None = None) -> dict[str, BaseModel]:
    """Validate every section of `split` and return them by name.

    All sections are checked at every stage, so that a misspelt detector option is refused before
    the first training and not after it. They are imported by name: a section's rules change what a
    stage accepts, never what it computes, hence they are no DVC dependency of other stages.

    Raises:
        ParamsError: naming each faulty key such as `splits.coco_voc.detector.learning_rate`.
    """
    document = read_params() if document is None else document
    defaults, splits = document["defaults"] or {}, document["splits"] or {}
    if split not in splits:
        raise ParamsError(f"splits.{split}: no such split; there are {', '.join(sorted(splits))}")
    faults = [
        f"{place}.{name}: no such section; allowed are {', '.join(SECTIONS)}"
        for place, sections in (("defaults", defaults), (f"splits.{split}", splits[split] or {}))
        for name in sections
        if name not in SECTIONS
    ]
    sections = {}
    for name in SECTIONS:
        given, own = defaults.get(name) or {}, (splits[split] or {}).get(name)
        if not isinstance(own, dict):
            got = "nothing" if own is None else repr(own)
            faults.append(f"splits.{split}.{name}: must be a mapping ({{}} if empty), got {got}")
            continue
        try:
            sections[name] = params_model(name).model_validate(_merged(given, own))
        except ValidationError as error:
            faults += [_sentence(split, name, own, fault) for fault in error.errors()]
    if faults:
        raise ParamsError(f"{PARAMS_FILE}:\n  " + "\n  ".join(faults))
    return sections


def params_model(section: str) -> type[BaseModel]:
    """Return the model that checks a section of params.yaml."""
    title = "".join(word.title() for word in section.split("_"))
    model: type[BaseModel] = getattr(
        importlib.import_module(f"ggn.{section}.params"), f"{title}Params"
    )
    return model


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` replaced, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


def _sentence(split: str, section: str, own: Mapping[str, Any], fault: Any) -> str:
    place: Any = own
    for part in fault["loc"]:
        place = place.get(part) if isinstance(place, dict) else None
    origin = f"splits.{split}" if place is not None or fault["type"] == "missing" else "defaults"
    key = ".".join(str(part) for part in (origin, section, *fault["loc"]))
    if fault["type"] == "extra_forbidden":
        fields = ", ".join(params_model(section).model_fields)
        return f"{key}: no such key; ggn.{section}.params has {fields}"
    got = "" if fault["type"] == "missing" else f", got {fault['input']!r}"
    return f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}{got}"


@dataclass
class Stage:
    """An open stage run: what it may read, where it resumes from, where it reports to."""

    name: str
    split: str
    recipe: str | None
    seed: int
    sections: dict[str, BaseModel]
    scratch: Path
    journal: Journal | None = None
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    console: Console = field(default_factory=Console)

    @property
    def data(self) -> Path:
        """Folder of this split's data outputs."""
        return Path("data") / self.split

    @property
    def models(self) -> Path:
        """Folder of this split's weights."""
        return Path("models") / self.split

    def inherited(self, section: str, source: str) -> Path:
        """Return the copy of what a section takes ready-made, such as `models/imagenet/ggn`.

        Raises:
            ParamsError: if params.yaml does not have the stage `inherit` bring it.
        """
        folder = self.data / "inherited" / section / source
        if not folder.is_dir():
            link = f"{{split: {self.split}, section: {section}, from: {source}}}"
            raise ParamsError(f"{PARAMS_FILE}: inherited: must have {link}; see docs/zoo.md")
        return folder

    @property
    def reports(self) -> Path:
        """Folder of this split's reports, in git."""
        return Path("reports") / self.split

    @property
    def settings(self) -> dict[str, Any]:
        """The seed and all params as plain data."""
        sections = {name: section.model_dump() for name, section in self.sections.items()}
        return {"seed": self.seed, **sections}

    @property
    def device(self) -> str:
        """The device to predict on: the GPU where there is one."""
        return predicting_device()

    def params(self, model: type[Model]) -> Model:
        """Return the validated section that is an instance of `model`."""
        return next(section for section in self.sections.values() if isinstance(section, model))

    def report(self, path: Path, metrics: Mapping[str, float], **facts: Any) -> None:
        """Write metrics (and facts that are no metrics) to a JSON file and to MLflow."""
        if not is_main_process():
            return
        self.metrics.update(metrics)
        write_json(path, {**facts, **metrics})
        if self.journal is not None:
            text = json.dumps({**facts, **metrics}, indent=1) + "\n"
            self.journal.write_artifact(path.name, text.encode())

    def log_picture(self, path: Path) -> None:
        """Attach a picture to the MLflow run."""
        if self.journal is not None:
            self.journal.artifact(path)

    def track_rows(
        self, metrics: Mapping[str, Mapping[str, float]], protocol: str, picture: Path
    ) -> None:
        """Track the table of each recipe as a run of the model zoo."""
        from ggn.tracking.rows import record_row

        for recipe, table in metrics.items() if self.journal is not None else ():
            record_row(
                self.split,
                recipe,
                table,
                protocol=protocol,
                tags=self.tags,
                params=self.settings,
                pictures=[picture],
            )

    def training_logger(self) -> Any:
        """Return a Lightning logger that writes into this stage's MLflow run, or None."""
        if self.journal is None:
            return None
        from ggn.tracking.training_logger import JournalLogger

        return JournalLogger(self.journal)


def run_stage(main: Callable[..., None]) -> None:
    """Call a stage with the words of the command line; a refusal is one message, exit status 1."""
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(main)
    try:
        command()
    except (ValueError, FileNotFoundError) as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False, highlight=False)
        raise SystemExit(1) from error


def predicting_device() -> str:
    """Return the device that this process predicts on: the GPU where there is one."""
    return "cuda" if count_gpus() else "cpu"


def count_gpus() -> int:
    """Return how many GPUs this process sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def is_main_process() -> bool:
    """Tell whether this process is the only one of its stage or the one that writes its files.

    torchrun, SLURM and Lightning number the processes of one training in these variables.
    """
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


@contextmanager
def open_stage(
    name: str,
    split: str,
    recipe: str | None = None,
    *,
    inputs: tuple[str, ...] = (),
    worker: bool = False,
) -> Iterator[Stage]:
    """Open one stage run: check params and build, start the MLflow run, keep scratch until done.

    Args:
        name: the stage, as in dvc.yaml.
        split: a key of `splits` in params.yaml.
        recipe: baseline or ggn, for the detector stages.
        inputs: files or folders (DVC outputs of earlier stages) that this run reads. `{split}` and
            `{recipe}` are filled in. Their hashes tag the run.
        worker: whether this process only does a share of the work, in the same scratch folder: the
            one that ends the stage tracks it, and clears the scratch.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ggn").setLevel(logging.INFO if is_main_process() else logging.WARNING)
    if "ggn.grouping" in sys.modules:  # only stages that group import it by now
        _refuse_stale_kernel()
    document = read_params()
    sections = load_params(split, document)
    paths = [Path(entry.format(split=split, recipe=recipe)) for entry in inputs]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: missing; it is an output of an earlier stage")
    label = split if recipe is None else f"{split}-{recipe}"
    state = _fingerprint(document["seed"], sections, paths)
    scratch = Path(".scratch") / name / label / state
    scratch.mkdir(parents=True, exist_ok=True)
    stage = Stage(name, split, recipe, document["seed"], sections, scratch)
    if worker:
        yield stage
        return
    hashes = {str(path): _dvc_hash(path) for path in paths}
    stage.tags = provenance(name, split, recipe, hashes)
    started = time.monotonic()
    with _tracked(stage):
        yield stage
        stage.metrics["seconds"] = time.monotonic() - started
        if stage.journal is not None:
            stage.journal.metrics(stage.metrics)
    if not is_main_process():
        return
    shutil.rmtree(scratch)
    with suppress(OSError):  # another start of this stage keeps its own state there
        scratch.parent.rmdir()


def _refuse_stale_kernel() -> None:
    reason = importlib.import_module("ggn.grouping").stale_kernel()
    if reason is not None:
        raise RuntimeError(
            f"the grouping kernel is stale: {reason}: run `make setup`,"
            " or `make docker-build` for the image"
        )


def _fingerprint(seed: int, sections: Mapping[str, BaseModel], paths: list[Path]) -> str:
    """Hash all that decides a stage's result, so that no run resumes from another one's state.

    Tracking looks on and decides nothing: it is left out.
    """
    digest = hashlib.sha256(repr((seed, sorted(sections.items()))).encode())
    sources = sorted(
        path
        for folder in (Path(__file__).parents[1] / "ggn", Path(__file__).parent)
        for path in folder.rglob("*")
        if path.suffix in {".py", ".pyx", ".hpp"} and path.parent.name != "tracking"
    )
    inputs = [file for path in paths for file in ([path] if path.is_file() else _files(path))]
    for path in (*sources, *inputs):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    """Return the small files that identify a DVC output folder: its JSON, weights and shards."""
    suffixes = {".json", ".safetensors", ".parquet"}
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes)


def _dvc_hash(path: Path) -> str:
    """Return the hash that dvc.lock records for an output, or 'untracked'."""
    if not Path("dvc.lock").exists():
        return "untracked"
    lock = YAML(typ="safe", pure=True).load(Path("dvc.lock").read_text(encoding="utf-8")) or {}
    for entry in lock.get("stages", {}).values():
        for out in entry.get("outs", []):
            if out["path"] == path.as_posix():
                return str(out["md5"])
    return "untracked"


@contextmanager
def _tracked(stage: Stage) -> Iterator[None]:
    """Track the body as one MLflow run, in the first process of the stage."""
    label = stage.name if stage.recipe is None else f"{stage.name}-{stage.recipe}"
    run = open_run(stage.split, label, tags=stage.tags, params=stage.settings)
    with run if is_main_process() else nullcontext() as stage.journal:
        yield
