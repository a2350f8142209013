"""Trained detectors in MLflow's model registry: registered for serving, fetched for prediction.

A registered model is a row of the zoo. Its aliases `baseline` and `ggn` point to the newest version
of each recipe: `models:/shapes@ggn`.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ggn.tracking.backend import (
    LOCAL_FILE,
    LOCAL_URI,
    ZOO,
    TrackingError,
    connect,
    expected_errors,
    experiment_id,
    failure,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.models import ModelSignature

PACKAGES = ("core", "data", "engine", "detector")
"""Packages of ggn that a detector needs; the model includes them."""
REQUIREMENTS = (
    "lazy-loader",
    "lightning",
    "mlflow",
    "numpy",
    "pillow",
    "pycocotools",
    "pydantic",
    "rich",
    "safetensors",
    "scipy",
    "torch",
    "torchvision",
)
"""What these packages and `served.py` import; a model pins the versions it was logged with."""


def register(split: str, recipe: str, weights: Path, *, example: Path) -> str:
    """Log a detector as an MLflow model, register it as `split`, and set the alias `recipe`.

    It belongs to the row's newest run, if there is one. The same weights are registered once.

    Args:
        split: the row, the name of the registered model.
        recipe: the alias, baseline or ggn.
        weights: folder of a detector.
        example: a photograph (PNG or JPEG), the input example.

    Returns:
        the address of this version, such as `models:/shapes/3`.

    Raises:
        TrackingError: the store did not accept it.
        ValueError: the folder is not a detector.
    """
    from ggn.engine.weights import load_weights

    _, card = load_weights(weights, kind="detector")
    uri = tracking_uri()
    client = connect(uri)
    try:
        number = _known_version(client, split, card["weights_sha256"])
        if number is None:
            number = _log(client, split, recipe, weights, card, example)
        client.set_registered_model_alias(split, recipe, number)
    except expected_errors() as error:
        raise failure(uri, error) from error
    return f"models:/{split}/{number}"


def _known_version(client: MlflowClient, split: str, sha256: str) -> str | None:
    found = client.search_model_versions(f"name = '{split}'")
    same = [v for v in found if v.tags.get("weights_sha256") == sha256 and v.status == "READY"]
    return str(same[0].version) if same else None


def _log(
    client: MlflowClient,
    split: str,
    recipe: str,
    weights: Path,
    card: Mapping[str, Any],
    example: Path,
) -> str:
    import mlflow

    mlflow.set_tracking_uri(client.tracking_uri)
    tags = {"split": split, "recipe": recipe, "weights_sha256": card["weights_sha256"]}
    run = _row_run(client, split, recipe, tags)
    with mlflow.start_run(run_id=run.info.run_id), _laid_out(weights) as (sources, data):
        logged = mlflow.pyfunc.log_model(
            name=recipe,
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"weights": str(data)},
            code_paths=[str(sources)],
            signature=_signature(),
            input_example=_example(example),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            registered_model_name=split,
            await_registration_for=60,
            tags=tags,
        )
    client.set_terminated(run.info.run_id, "FINISHED", run.info.end_time)  # restore its end
    number = str(logged.registered_model_version)
    for key, value in tags.items():
        client.set_model_version_tag(split, number, key, value)
    return number


def _row_run(client: MlflowClient, split: str, recipe: str, tags: Mapping[str, str]) -> Run:
    """Return the newest run of the row and recipe, or else a new one for the model alone."""
    experiment = experiment_id(client, ZOO)
    query = f"tags.split = '{split}' and tags.recipe = '{recipe}' and tags.source = 'ours'"
    known = client.search_runs([experiment], query, order_by=["start_time DESC"], max_results=1)
    tags = {**tags, "source": "ours"}
    return known[0] if known else client.create_run(experiment, None, tags, f"{split} {recipe}")


@contextmanager
def _laid_out(weights: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a folder `ggn` with the code that a detector needs, and one `weights` of two files."""
    from ggn.engine.weights import WEIGHTS_FILES

    home = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        code, data = Path(folder) / "ggn", Path(folder) / "weights"
        for path in (code, data):
            path.mkdir()
        for name in ("__init__.py", "__init__.pyi"):
            shutil.copy(home / name, code)
        for name in PACKAGES:
            left_out = shutil.ignore_patterns("__pycache__", "*.py[co]", "*.so")
            shutil.copytree(home / name, code / name, ignore=left_out)
        for name in WEIGHTS_FILES:
            shutil.copy(weights / name, data)
        yield code, data


def _signature() -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image")]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "height"),
                ColSpec(DataType.long, "width"),
                ColSpec(_instances(), "instances"),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("max_instances", DataType.long, 100),
                ParamSpec("min_score", DataType.double, 0.0),
            ]
        ),
    )


def _instances() -> Any:
    """Return the type of an image's instances: COCO results."""
    from mlflow.types import DataType
    from mlflow.types.schema import Array, Object, Property

    rle = Object([Property("size", Array(DataType.long)), Property("counts", DataType.string)])
    return Array(
        Object(
            [
                Property("bbox", Array(DataType.double)),
                Property("score", DataType.double),
                Property("segmentation", rle),
            ]
        )
    )


def _example(image: Path) -> Any:
    import pandas as pd

    return pd.DataFrame({"image": [base64.b64encode(image.read_bytes()).decode("ascii")]})


def is_registered(address: str) -> bool:
    """Tell whether this is the address of a model in the registry rather than a folder."""
    return address.startswith("models:")


@contextmanager
def fetched_weights(address: str) -> Iterator[Path]:
    """Fetch a registered detector's weights and card into a temporary folder, and nothing else.

    Loading a model with MLflow would run the code in it; these two files are only data.

    Args:
        address: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        TrackingError: the registry has no such model, or does not answer.
    """
    uri = tracking_uri()
    if uri == LOCAL_URI and not LOCAL_FILE.exists():  # asking would make it
        raise TrackingError(
            f"{address}: nothing is registered here, {LOCAL_FILE} is not there; "
            "MLFLOW_TRACKING_URI names a server"
        )
    connect(uri)
    import mlflow

    from ggn.engine.weights import WEIGHTS_FILES

    mlflow.set_tracking_uri(uri)
    with tempfile.TemporaryDirectory() as folder:
        for name in WEIGHTS_FILES:
            try:
                file = mlflow.artifacts.download_artifacts(
                    artifact_uri=f"{address}/artifacts/weights/{name}", dst_path=folder
                )
            except expected_errors() as error:
                raise failure(uri, error) from error
        yield Path(file).parent
