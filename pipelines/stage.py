"""What every stage shares: params, guards, resume folder, one MLflow run, a metrics file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ggn.core.coco import write_json

SECTIONS = ("data", "affinity", "grouping", "pseudo_gt", "detector", "evaluation")
PARAMS_FILE = Path("params.yaml")
TRACKING_URI = "sqlite:///mlruns/mlflow.db"

Model = TypeVar("Model", bound=BaseModel)


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
            sections[name] = _params_model(name).model_validate(_merged(given, own))
        except ValidationError as error:
            faults += [_sentence(split, name, own, fault) for fault in error.errors()]
    if faults:
        raise ParamsError(f"{PARAMS_FILE}:\n  " + "\n  ".join(faults))
    return sections


def _params_model(section: str) -> type[BaseModel]:
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
        fields = ", ".join(_params_model(section).model_fields)
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
    mlflow_run_id: str | None = None
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

    @property
    def reports(self) -> Path:
        """Folder of this split's reports, in git."""
        return Path("reports") / self.split

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
        if self.mlflow_run_id is not None:
            self._client().log_dict(self.mlflow_run_id, {**facts, **metrics}, path.name)

    def log_picture(self, path: Path) -> None:
        """Attach a picture to the MLflow run."""
        if self.mlflow_run_id is not None:
            self._client().log_artifact(self.mlflow_run_id, str(path))

    def training_logger(self) -> Any:
        """Return a Lightning logger that writes into this stage's MLflow run, or None."""
        if self.mlflow_run_id is None:
            return None
        from lightning.pytorch.loggers import MLFlowLogger

        return MLFlowLogger(self.split, tracking_uri=tracking_uri(), run_id=self.mlflow_run_id)

    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri())


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


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, or the local database of this checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or TRACKING_URI


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
    started = time.monotonic()
    with _mlflow_run(stage, {str(path): _dvc_hash(path) for path in paths}):
        yield stage
        stage.metrics["seconds"] = time.monotonic() - started
    if not is_main_process():
        return
    shutil.rmtree(scratch)
    with suppress(OSError):  # another start of this stage keeps its own state there
        scratch.parent.rmdir()


def _refuse_stale_kernel() -> None:
    reason = importlib.import_module("ggn.grouping").stale_kernel()
    if reason is not None:
        raise RuntimeError(f"the grouping kernel is stale: {reason}; run `make setup`")


def _fingerprint(seed: int, sections: Mapping[str, BaseModel], paths: list[Path]) -> str:
    """Hash all that decides a stage's result, so that no run resumes from another one's state."""
    digest = hashlib.sha256(repr((seed, sorted(sections.items()))).encode())
    sources = sorted(
        path
        for folder in (Path(__file__).parents[1] / "ggn", Path(__file__).parent)
        for path in folder.rglob("*")
        if path.suffix in {".py", ".pyx", ".hpp"}
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


def _git_commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    answer = subprocess.run(  # noqa: S603 (fixed arguments)
        [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"


def _tags(stage: Stage, input_hashes: Mapping[str, str]) -> dict[str, str]:
    lock = Path("dvc.lock")
    return {
        "stage": stage.name,
        "split": stage.split,
        "recipe": stage.recipe or "-",
        "git_commit": _git_commit(),
        "dvc_lock": hashlib.md5(lock.read_bytes()).hexdigest() if lock.exists() else "none",  # noqa: S324
        "image_tag": os.environ.get("GGN_IMAGE_TAG", "none"),
        **{f"input.{path}": value for path, value in input_hashes.items()},
    }


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, nested in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), nested)
    else:
        yield prefix, value


@contextmanager
def _mlflow_run(stage: Stage, input_hashes: Mapping[str, str]) -> Iterator[None]:
    """Track the body as one MLflow run; without MLflow installed, only run it."""
    if importlib.util.find_spec("mlflow") is None or not is_main_process():
        yield
        return
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    if tracking_uri() == TRACKING_URI:
        Path("mlruns").mkdir(exist_ok=True)
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name(stage.split)
    if experiment is None:
        local = tracking_uri() == TRACKING_URI
        location = Path("mlruns/artifacts").resolve().as_uri() if local else None
        identity = client.create_experiment(stage.split, artifact_location=location)
    else:
        identity = experiment.experiment_id
    label = stage.name if stage.recipe is None else f"{stage.name}-{stage.recipe}"
    run = client.create_run(identity, run_name=label, tags=_tags(stage, input_hashes))
    stage.mlflow_run_id = run.info.run_id
    flat = _flat("", {name: section.model_dump() for name, section in stage.sections.items()})
    params = [Param("seed", str(stage.seed)), *(Param(key, str(value)) for key, value in flat)]
    client.log_batch(run.info.run_id, params=params)
    try:
        yield
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    now = int(time.time() * 1000)
    metrics = [Metric(key, float(value), now, 0) for key, value in stage.metrics.items()]
    client.log_batch(run.info.run_id, metrics=metrics)
    client.set_terminated(run.info.run_id, "FINISHED")
