"""One run of a stage: its inputs, params, scratch folder, MLflow run and reports."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from rich.console import Console
from ruamel.yaml import YAML

from ggn.core.checkout import require_this_checkout
from ggn.core.coco import write_json
from ggn.tracking import Journal, open_run
from ggn.tracking.provenance import provenance
from pipelines.stage.params import PARAMS_FILE, ParamsError, load_params, read_params
from pipelines.stage.processes import is_main_process, predicting_device
from pipelines.stage.resume import SCRATCH, fingerprint, owned

Model = TypeVar("Model", bound=BaseModel)


NO_NETWORK = "none.json"
"""The only file in models/SPLIT/affinity if the split has no affinity network."""


@dataclass
class Stage:
    """An open run of a stage: what it may read, where it resumes, where it reports."""

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
        """Return the copy of what a section inherits, such as `models/imagenet/ggn`.

        Raises:
            ParamsError: `inherited` in params.yaml does not list it.
        """
        folder = self.data / "inherited" / section / source
        if not folder.exists():
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
        """The device to predict on: a GPU if there is one."""
        return predicting_device()

    def params(self, model: type[Model]) -> Model:
        """Return the validated section that is an instance of `model`."""
        return next(section for section in self.sections.values() if isinstance(section, model))

    def report(self, path: Path, metrics: Mapping[str, float], **facts: Any) -> None:
        """Write metrics (and facts that are not metrics) to a JSON file and to MLflow."""
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
        """Track the table of each recipe as a run in the model zoo."""
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


@contextmanager
def open_stage(
    name: str,
    split: str,
    recipe: str | None = None,
    *,
    inputs: tuple[str, ...] = (),
    worker: bool = False,
) -> Iterator[Stage]:
    """Open one run of a stage: check params and build, start the MLflow run, keep a scratch folder.

    Args:
        name: the stage, as in dvc.yaml.
        split: a key of `splits` in params.yaml.
        recipe: baseline or ggn, for the detector stages.
        inputs: files or folders (DVC outputs of earlier stages) that this run reads. `{split}` and
            `{recipe}` are filled in. Their hashes tag the run.
        worker: whether this process only does a share of the work, in the same scratch folder. The
            process that ends the stage tracks it and clears the scratch folder.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ggn").setLevel(logging.INFO if is_main_process() else logging.WARNING)
    require_this_checkout()
    document = read_params()
    sections = load_params(split, document)
    paths = [Path(entry.format(split=split, recipe=recipe)) for entry in inputs]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: missing; it is an output of an earlier stage")
    label = split if recipe is None else f"{split}-{recipe}"
    scratch = SCRATCH / name / label / fingerprint(document["seed"], sections, paths)
    stage = Stage(name, split, recipe, document["seed"], sections, scratch)
    if worker or not is_main_process():
        scratch.mkdir(parents=True, exist_ok=True)
        yield stage
        return
    stage.tags = provenance(name, split, recipe, _dvc_hashes(paths))
    started = time.monotonic()
    with owned(scratch):
        with _tracked(stage):
            yield stage
            stage.metrics["seconds"] = time.monotonic() - started
            if stage.journal is not None:
                stage.journal.metrics(stage.metrics)
        shutil.rmtree(scratch)


def _dvc_hashes(paths: Sequence[Path]) -> dict[str, str]:
    """Return for each output the hash that dvc.lock records, or 'untracked'."""
    recorded: dict[str, str] = {}
    if (file := Path("dvc.lock")).exists():
        lock = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")) or {}
        for entry in lock.get("stages", {}).values():
            recorded |= {out["path"]: str(out["md5"]) for out in entry.get("outs", [])}
    return {str(path): recorded.get(path.as_posix(), "untracked") for path in paths}


@contextmanager
def _tracked(stage: Stage) -> Iterator[None]:
    """Track the body as one MLflow run."""
    label = stage.name if stage.recipe is None else f"{stage.name}-{stage.recipe}"
    run = open_run(stage.split, label, tags=stage.tags, params=stage.settings)
    with run as stage.journal:
        yield
