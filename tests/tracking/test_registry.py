"""Models in the registry: what travels, what predicting fetches, what a served one answers."""

from __future__ import annotations

import ast
import base64
import io
import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.core.instances import Instances
from ggn.detector import load_detector
from ggn.engine.weights import WEIGHTS_FILES
from ggn.tracking import registry
from ggn.tracking.backend import TrackingError
from ggn.tracking.registry import fetched_weights, register

mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")

HOME = Path(registry.__file__).parents[1]


def imported_tops(path: Path) -> set[str]:
    """First words of the absolute imports of a file, those under TYPE_CHECKING aside."""
    tree = ast.parse(path.read_text())
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return {name.split(".")[0] for name in names}


def test_a_model_names_all_packages_that_its_code_imports() -> None:
    files = [file for name in registry.PACKAGES for file in (HOME / name).rglob("*.py")]
    tops = set().union(*map(imported_tops, [*files, HOME / "tracking" / "served.py"]))
    foreign = tops - set(sys.stdlib_module_names) - {"ggn"}
    distributions = packages_distributions()
    needed = {distributions[top][0].lower() for top in foreign - {"mlflow"}} | {"mlflow"}
    optional = {"pandas", "pyarrow", "supervision"}  # with mlflow, or for `to_supervision`
    assert needed - optional == set(registry.REQUIREMENTS)
    ours = {
        node.module.split(".")[1]
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ggn.")
    }
    assert ours <= set(registry.PACKAGES)


def database(folder: Path) -> str:
    return f"sqlite:///{folder}/mlruns/mlflow.db"


@pytest.fixture(scope="module")
def store(
    weights: Path, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A checkout whose registry has the detector as `tiny`, alias `ggn`, and a photograph."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", database(folder))
        address = register("tiny", "ggn", weights / "detector", example=Path("photo.png"))
        assert address == "models:/tiny/1"
    return folder


@pytest.fixture
def in_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database(store))
    return store


def test_a_registered_model_has_weights_code_signature_and_pins(in_store: Path) -> None:
    mlflow.set_tracking_uri(database(in_store))
    folder = Path(mlflow.artifacts.download_artifacts("models:/tiny@ggn"))
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {"artifacts/weights/weights.safetensors", "artifacts/weights/card.json"} <= names
    assert {"served.py", "code/ggn/detector/predict.py", "input_example.json"} <= names
    assert not {name for name in names if name.endswith((".pkl", ".pickle", ".so", ".pyc"))}
    pins = (folder / "requirements.txt").read_text().split()
    assert all("==" in pin for pin in pins)
    assert {pin.split("==")[0] for pin in pins} == set(registry.REQUIREMENTS)
    info = mlflow.models.get_model_info("models:/tiny@ggn")
    assert info.signature.inputs.input_names() == ["image"]
    assert [p.name for p in info.signature.params.params] == ["max_instances", "min_score"]


def test_the_same_weights_are_registered_once(in_store: Path, weights: Path) -> None:
    again = register("tiny", "baseline", weights / "detector", example=Path("photo.png"))
    assert again == "models:/tiny/1"
    client = mlflow.MlflowClient(database(in_store))
    assert client.get_registered_model("tiny").aliases == {"ggn": 1, "baseline": 1}


def test_weights_from_the_registry_are_those_that_went_in(in_store: Path, weights: Path) -> None:
    with fetched_weights("models:/tiny@ggn") as folder:
        assert {path.name for path in folder.iterdir()} == set(WEIGHTS_FILES)
        for path in folder.iterdir():
            assert path.read_bytes() == (weights / "detector" / path.name).read_bytes()
    assert not folder.exists()


def test_predicting_by_a_registered_model_runs_none_of_its_code(
    in_store: Path, ggn: Callable[..., int], weights: Path, tmp_path: Path
) -> None:
    model = Path(
        mlflow.artifacts.download_artifacts(
            "models:/tiny@ggn", dst_path=str(tmp_path), tracking_uri=database(in_store)
        )
    )
    trap = 'import pathlib; pathlib.Path("trapped").touch()\n'
    (model / "served.py").write_text(trap)
    (model / "python_model.pkl").write_bytes(b"cos\nsystem\n(S'touch trapped'\ntR.")
    client = mlflow.MlflowClient(database(in_store))
    client.create_registered_model("evil")
    version = client.create_model_version("evil", model.as_uri())
    assert ggn("predict", "photo.png", "--weights", f"models:/evil/{version.version}") == 0
    assert not Path("trapped").exists()
    assert ggn("predict", "photo.png", "--weights", weights / "detector", "-o", "local") == 0
    assert Path("predictions/results.json").read_bytes() == Path("local/results.json").read_bytes()


@pytest.mark.parametrize("address", ["models:/nobody@ggn", "models:/tiny@nobody", "models:/tiny/9"])
def test_a_model_that_is_not_there_is_named(in_store: Path, address: str) -> None:
    with (
        pytest.raises(TrackingError, match=r"sqlite:///.*/mlruns/mlflow\.db: .*not found"),
        fetched_weights(address),
    ):
        pass


@pytest.fixture(scope="module")
def invocations(store: Path, server_of: Callable[..., Any]) -> Iterator[str]:
    """`mlflow models serve` of the registered model."""
    server = server_of(
        store,
        ["models", "serve", "--model-uri", "models:/tiny@ggn", "--env-manager", "local"],
        "/ping",
    )
    server.start()
    yield f"{server.url}/invocations"
    server.kill()


def post(url: str, body: Any) -> tuple[int, Any]:
    """Return status and JSON of the answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def record(content: bytes) -> dict[str, Any]:
    return {"dataframe_records": [{"image": base64.b64encode(content).decode()}]}


def test_a_served_model_answers_a_posted_image_with_masks(
    invocations: str, store: Path, weights: Path
) -> None:
    photo = (store / "photo.png").read_bytes()
    status, answer = post(invocations, {**record(photo), "params": {"max_instances": 3}})
    assert status == 200
    (found,) = answer["predictions"]
    assert (found["height"], found["width"], len(found["instances"])) == (60, 80, 3)
    with Image.open(store / "photo.png") as image:
        expected = load_detector(weights / "detector").predict(np.array(image))[:3]
    records = [{**instance, "image_id": 0} for instance in found["instances"]]
    served = Instances.from_coco_results(records, (60, 80))
    assert served.masks == expected.masks
    np.testing.assert_allclose(served.scores, expected.scores, rtol=1e-5)


def picture(size: tuple[int, int], kind: str) -> bytes:
    blob = io.BytesIO()
    Image.new("L", size).save(blob, kind)
    return blob.getvalue()


BAD = {
    "no JSON": (b"{", "JSON"),
    "nothing": (b"", "JSON"),
    "another column": ({"dataframe_records": [{"picture": "aaaa"}]}, "missing inputs ['image']"),
    "a number": ({"dataframe_records": [{"image": 3}]}, "image 0 is not a base64 string"),
    "no base64": ({"dataframe_records": [{"image": "%%%"}]}, "image 0 is not a base64 string"),
    "no image": (record(b"hello"), "image 0 is not a complete PNG or JPEG"),
    "half an image": (
        record(picture((64, 64), "PNG")[:60]),
        "image 0 is not a complete PNG or JPEG",
    ),
    "a GIF": (record(picture((8, 8), "GIF")), "image 0 is not a complete PNG or JPEG"),
    "a bomb": (record(picture((8_000, 8_000), "PNG")), "at most 40000000"),
    "too many": (
        {"dataframe_records": [{"image": ""}] * 17},
        "a request must have 1 to 16 images, got 17",
    ),
    "no instances": (
        {**record(picture((8, 8), "PNG")), "params": {"max_instances": 0}},
        "max_instances must be at least 1, got 0",
    ),
}


@pytest.mark.parametrize(("body", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_request_is_answered_by_a_sentence(
    invocations: str, store: Path, body: Any, sentence: str
) -> None:
    status, answer = post(invocations, body)
    assert 400 <= status < 500
    assert sentence in answer["message"]
    assert "Traceback" not in json.dumps(answer)
    assert post(invocations, record((store / "photo.png").read_bytes()))[0] == 200
