"""The stage frame: what it refuses in params.yaml, how it merges, what it leaves behind."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ggn.tracking import runs
from pipelines.stage import SECTIONS, ParamsError, load_params, open_stage, read_params, resume

ROOT = Path(__file__).parents[2]
EMPTY = {section: {} for section in SECTIONS}


def document(defaults: Any = None, **mine: Any) -> dict[str, Any]:
    """A params document with one split, `mine`."""
    split = {**EMPTY, "data": {"source": "shapes"}, **mine}
    return {
        "seed": 0,
        "active": ["mine"],
        "defaults": EMPTY if defaults is None else {**EMPTY, **defaults},
        "splits": {"mine": split},
    }


def test_a_split_states_only_what_differs() -> None:
    sections: Any = load_params(
        "mine",
        document(
            {"detector": {"epochs": 3, "rpn": {"samples": 64, "nms_iou": 0.6}}},
            detector={"rpn": {"samples": 32}},
        ),
    )
    assert sections["detector"].epochs == 3  # from defaults
    assert sections["detector"].rpn.nms_iou == 0.6  # from defaults, beside the key that differs
    assert sections["detector"].rpn.samples == 32  # from the split
    assert sections["detector"].box.samples == 512  # from the package: the reference recipe


FAULTS = [
    (
        {"detector": {"lr": -1}},
        "splits.mine.detector.lr: input should be greater than 0, got -1",
    ),
    (
        {"detector": {"lr": "1e-3"}},
        "splits.mine.detector.lr: input should be a valid number, got '1e-3'",
    ),
    (
        {"detector": {"lr": True}},
        "splits.mine.detector.lr: input should be a valid number, got True",
    ),
    (
        {"detector": {"learning_rate": 0.1}},
        "splits.mine.detector.learning_rate: no such key; ggn.detector.params has ",
    ),
    (
        {"detector": {"rpn": {"samples": 0}}},
        "splits.mine.detector.rpn.samples: input should be greater than or equal to 1, got 0",
    ),
    (
        {"detector": {"epochs": float("nan")}},
        "splits.mine.detector.epochs: input should be less than or equal to 10000, got nan",
    ),
    (
        {"detector": {"batch_size": 8.0}},
        "splits.mine.detector.batch_size: input should be a valid integer, got 8.0",
    ),
    (
        {"affinity": {"precision": "fp8"}},
        "splits.mine.affinity.precision: input should be 'auto', '32-true', 'bf16-mixed' or "
        "'16-mixed', got 'fp8'",
    ),
    (
        {"grouping": {"nms_iou": 1.5}},
        "splits.mine.grouping.nms_iou: input should be less than or equal to 1, got 1.5",
    ),
    (
        {"pseudo_gt": {"top_k": -3}},
        "splits.mine.pseudo_gt.top_k: input should be greater than or equal to ",
    ),
    (
        {"pseudo_gt": {"max_annotation_iou": 2}},
        "splits.mine.pseudo_gt.max_annotation_iou: input should be less than or equal to 1, got 2",
    ),
    (
        {"evaluation": {"protocol": "coco"}},
        "splits.mine.evaluation.protocol: input should be 'budget', 'federated', 'per_class' or "
        "'plain', got 'coco'",
    ),
    (
        {"data": {"source": "imagenet21k"}},
        "splits.mine.data.source: input should be 'coco' or 'shapes', got 'imagenet21k'",
    ),
    (
        {"data": {"source": "shapes", "drop_faulty": "yes"}},
        "splits.mine.data.drop_faulty: input should be a valid boolean, got 'yes'",
    ),
    ({"detectr": {}}, "splits.mine.detectr: no such section; allowed are data, affinity, grouping"),
    ({"detector": None}, "splits.mine.detector: must be a mapping ({} if empty), got nothing"),
    ({"detector": [1]}, "splits.mine.detector: must be a mapping ({} if empty), got [1]"),
]


@pytest.mark.parametrize(("mine", "message"), FAULTS, ids=lambda value: str(value)[:50])
def test_a_refusal_names_the_key_the_value_and_what_is_allowed(
    mine: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParamsError) as refusal:
        load_params("mine", document(**mine))
    assert message in str(refusal.value)


def test_all_faults_of_all_sections_are_told_at_once() -> None:
    with pytest.raises(ParamsError) as refusal:
        load_params("mine", document(detector={"lr": 0}, affinity={"lr": 0}, pseudo_gt={"k": 1}))
    assert len(str(refusal.value).splitlines()) == 4


def test_a_fault_in_the_defaults_is_said_to_be_there() -> None:
    with pytest.raises(ParamsError, match=r"defaults\.detector\.lr: .* got 0"):
        load_params("mine", document({"detector": {"lr": 0}}))


def test_an_unknown_split_names_those_that_exist() -> None:
    with pytest.raises(ParamsError, match=r"splits\.yours: no such split; there are mine"):
        load_params("yours", document())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no key 'seed'"),
        ("- 1", "has no key 'seed'"),
        ("seed: 0\nactive: []\ndefaults: {}", "has no key 'splits'"),
        ("seed: -1\nactive: []\ndefaults: {}\nsplits: {}", "seed: must be an integer >= 0, got -1"),
        ("seed: yes\nactive: []\ndefaults: {}\nsplits: {}", "must be an integer >= 0, got 'yes'"),
        ("seed: 0\nactive: []\ndefaults: {}\nsplits: {v1.0: {}}", "and - (digits alone in quotes)"),
        ("seed: 0\nactive: []\ndefaults: {}\nsplits: {2017: {}}", "in quotes), got 2017"),
        ("seed: 0\nactive: []\ndefaults: {}\nsplits: {my split: {}}", "got 'my split'"),
        ("seed: 0\nactive: []\ndefaults: {}\nsplits: {../x: {}}", "got '../x'"),
        ("seed: 0\nactive: []\ndefaults: {}\nsplits: [x]", "must be a mapping by name, got ['x']"),
        ("seed: 0\nactive: shapes\ndefaults: {}\nsplits: {}", "such as [shapes], got 'shapes'"),
        ("seed: [", "not valid YAML"),
        ("seed: 0\nseed: 1", "not valid YAML"),
    ],
)
def test_a_faulty_params_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as refusal:
        read_params(path)
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_missing_params_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="run from the repository root"):
        read_params(tmp_path / "params.yaml")


def test_yaml_1_2_reads_an_exponent_as_a_number(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 0\nactive: []\ndefaults: {detector: {lr: 1e-3}}\nsplits: {}")
    assert read_params(path)["defaults"]["detector"]["lr"] == 0.001


@pytest.mark.parametrize("split", read_params(ROOT / "params.yaml")["splits"])
def test_every_split_of_this_project_is_valid(split: str) -> None:
    assert set(load_params(split, read_params(ROOT / "params.yaml"))) == set(SECTIONS)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a params.yaml, and no MLflow."""
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(document(), file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "is_tracking", lambda: False)
    return tmp_path


def test_without_mlflow_a_stage_runs_and_writes_its_metrics(checkout: Path) -> None:
    with open_stage("prepare", "mine") as run:
        assert run.training_logger() is None
        run.report(run.reports / "prepare.json", {"images": 3.0}, note="three")
    assert json.loads((checkout / "reports/mine/prepare.json").read_text()) == {
        "note": "three",
        "images": 3.0,
    }
    assert not (checkout / "mlruns").exists()


def test_scratch_survives_a_failure_and_goes_with_success(checkout: Path) -> None:
    def killed() -> None:
        with open_stage("prepare", "mine") as run:
            (run.scratch / "state").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    with open_stage("prepare", "mine") as again:
        assert (again.scratch / "state").read_text() == "half"
    assert not again.scratch.exists()


def test_scratch_is_not_shared_between_different_inputs(checkout: Path) -> None:
    Path("in.json").write_text("1")
    with open_stage("predict", "mine", inputs=("in.json",)) as first:
        pass
    Path("in.json").write_text("2")
    with open_stage("predict", "mine", inputs=("in.json",)) as second:
        pass
    assert first.scratch != second.scratch


def test_a_run_resumes_across_an_edit_of_tracking_and_of_nothing_else(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same state is found again when what only looks on has changed."""
    project = checkout / "project"
    (project / "ggn" / "tracking").mkdir(parents=True)
    (project / "ggn" / "core").mkdir()
    (project / "pipelines").mkdir()
    monkeypatch.setattr(resume, "CODE", project)

    def state(file: str, text: str) -> Path:
        (project / "ggn" / file).write_text(text)
        with open_stage("prepare", "mine") as run:
            return run.scratch

    assert state("tracking/runs.py", "1") == state("tracking/runs.py", "2")
    assert state("core/masks.py", "1") != state("core/masks.py", "2")


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_only_the_first_process_of_a_training_writes(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with open_stage("train_detector", "mine", "ggn") as other:
        other.report(Path("reports/out.json"), {"images": 3})
    assert other.journal is None
    assert other.training_logger() is None
    assert other.scratch.exists()
    assert not Path("reports").exists()
    monkeypatch.setenv(variable, "0")
    with open_stage("train_detector", "mine", "ggn") as first:
        first.report(Path("reports/out.json"), {"images": 3})
    assert first.scratch == other.scratch
    assert not first.scratch.exists()
    assert Path("reports/out.json").exists()


def test_a_missing_input_is_named(checkout: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=r"data/mine/x\.json: missing; .* earlier stage"),
        open_stage("predict", "mine", inputs=("data/{split}/x.json",)),
    ):
        pass


def test_a_stage_is_one_mlflow_run_tied_to_its_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(document(), file)
    Path("in.json").write_text("1")
    Path("dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  a:\n    cmd: a\n    outs:\n    - {path: in.json, md5: abc}\n"
    )
    with open_stage("train_detector", "mine", "ggn", inputs=("in.json",)) as run:
        run.report(Path("reports/out.json"), {"unseen/mask_AR_100": 0.25})
    with pytest.raises(RuntimeError), open_stage("predict", "mine", "ggn"):
        raise RuntimeError
    assert list(Path("mlruns/pending").glob("[!.]*")) == []  # all is delivered
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    (experiment,) = (e for e in client.search_experiments() if e.name == "mine")
    failed, done = client.search_runs([experiment.experiment_id])
    assert (done.info.run_name, done.info.status) == ("train_detector-ggn", "FINISHED")
    assert (failed.info.run_name, failed.info.status) == ("predict-ggn", "FAILED")
    assert done.data.metrics["unseen/mask_AR_100"] == 0.25
    assert done.data.params["detector.rpn.samples"] == "256"
    tags = done.data.tags
    assert (tags["split"], tags["recipe"], tags["input.in.json"]) == ("mine", "ggn", "abc")
    assert {"git_commit", "dvc_lock", "image_tag"} <= tags.keys()
