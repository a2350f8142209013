"""Config files of every kind that the reference's users hold, and their checkpoints.

`python tests/openmmlab/test_reference_configs.py` writes `configs/dumps` again, by mmcv.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from ggn.affinity import load_affinity, train_affinity
from ggn.affinity.params import AffinityParams
from ggn.core.coco import read_coco
from ggn.detector import load_detector, train_detector
from ggn.detector.params import DetectorParams
from ggn.openmmlab import convert_model, read_config
from ggn.openmmlab.config import ConfigError
from ggn.openmmlab.convert import Conversion
from pipelines.stage import load_params

CONFIGS = Path(__file__).parent / "configs"
WEIGHTS_OF = {
    "affinity": "pa",
    "extraction": "pa",
    "mask_rcnn": "maskrcnn",
    "mask_rcnn_gn_online": "maskrcnn_gn",
    "mask_rcnn_pseudo": "maskrcnn",
    "oln_box": "oln_box",
    "oln_mask": "oln_mask",
    "mine/style": "maskrcnn",
}
"""The kind of network that each config is of."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "openmmlab.md"


def left_by_a_training(state: dict[str, Tensor], config: str, parallel: bool) -> dict[str, Any]:
    """A checkpoint as mmcv's runner saves it, with the state of hooks and optimizer."""
    shared = {f"ema_{key.replace('.', '_')}": value for key, value in list(state.items())[:9]}
    counts = {
        key.replace("running_mean", "num_batches_tracked"): torch.tensor(7)
        for key in state
        if key.endswith("running_mean")
    }
    prefix = "module." if parallel else ""
    return {
        "meta": {
            "env_info": "sys.platform: linux\nPython: 3.7.9",
            "config": config,
            "seed": None,
            "exp_name": "config.py",
            "mmcv_version": "1.2.7",
            "mmdet_version": "2.8.0+unknown",
            "time": "Tue Apr 13 02:08:25 2021",
            "CLASSES": ("object",),
            "PALETTE": [(220, 20, 60)],
            "epoch": 8,
            "iter": 58632,
            "hook_msgs": {
                "best_score": np.float64(0.287),
                "best_epoch": np.int64(7),
                "finite": np.bool_(True),
                "curve": np.linspace(0, 1, 5, dtype=np.float32),
                "last_ckpt": "work_dirs/epoch_8.pth",
            },
        },
        "state_dict": {f"{prefix}{k}": v for k, v in {**state, **counts, **shared}.items()},
        "optimizer": {
            "state": {
                i: {"momentum_buffer": value} for i, value in enumerate(list(state.values())[:20])
            },
            "param_groups": [{"lr": np.float32(2e-4), "momentum": 0.9, "params": [*range(20)]}],
        },
    }


@pytest.fixture(scope="session")
def checkpoint(
    recorded_weights: Callable[[str], dict[str, Tensor]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Path]]:
    """The file of a training of each kind of network, with the recorded weights."""
    folder = tmp_path_factory.mktemp("trainings")

    def path(kind: str) -> Path:
        file = folder / f"{kind}.pth"
        if not file.is_file():
            text = (CONFIGS / "mask_rcnn.py").read_text()
            torch.save(left_by_a_training(recorded_weights(kind), text, "oln" in kind), file)
        return file

    yield path
    shutil.rmtree(folder)


Convert = Callable[[str, Path], Conversion]


@pytest.fixture
def convert(checkpoint: Callable[[str], Path], tmp_path: Path) -> Convert:
    return lambda name, config: convert_model(
        config, checkpoint(WEIGHTS_OF[name]), tmp_path / "out"
    )


# --- reading ---


@pytest.mark.parametrize("name", WEIGHTS_OF)
def test_a_dump_says_what_its_config_says(name: str) -> None:
    """Written by mmcv, with what it read in JSON beside."""
    dump = CONFIGS / "dumps" / f"{Path(name).name}.py"
    values = read_config(CONFIGS / f"{name}.py")
    assert read_config(dump) == values
    assert as_json(values) == json.loads(dump.with_suffix(".json").read_text())
    assert isinstance(values["gpu_ids"], range)


def as_json(values: dict[str, Any]) -> Any:
    return json.loads(json.dumps(values, default=list))


@pytest.mark.openmmlab
def test_the_installed_mmcv_reads_and_writes_the_same(tmp_path: Path) -> None:
    pytest.importorskip("mmcv", reason="needs mmcv-full: make openmmlab")
    write_dumps(tmp_path)
    for path in sorted((CONFIGS / "dumps").iterdir()):
        assert path.read_text() == (tmp_path / path.name).read_text(), path.name


def write_dumps(folder: Path) -> None:
    """Every config as mmcv dumps it, and the values that mmcv reads."""
    from mmcv import Config

    for name in WEIGHTS_OF:
        config = Config.fromfile(str(CONFIGS / f"{name}.py"), import_custom_modules=False)
        path = folder / f"{Path(name).name}.py"
        config.dump(str(path))
        values = json.dumps(config._cfg_dict.to_dict(), default=list, indent=1)
        path.with_suffix(".json").write_text(values + "\n")


# --- what becomes of each ---


def row(name: str, conversion: Conversion) -> str:
    """A line of the table in docs/openmmlab.md."""
    split = "<br>".join(
        f"`{section}: {flow(values)}`" for section, values in conversion.split.items() if values
    )
    said = [
        f"{kind}: {line}"
        for kind, lines in (
            ("WARNING", conversion.warnings),
            ("not supported", conversion.unsupported),
            ("note", conversion.notes),
        )
        for line in lines
    ]
    shown = "<br>".join(said).replace("<path", "&lt;path").replace("masks>", "masks&gt;")
    return f"| `{name}.py` | {conversion.kind} | {split} | {shown or 'nothing'} |"


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("name", WEIGHTS_OF)
@pytest.mark.parametrize("dumped", [False, True], ids=["written", "dumped"])
def test_what_it_becomes_is_what_the_document_says(
    convert: Convert, name: str, dumped: bool
) -> None:
    config = CONFIGS / (f"dumps/{Path(name).name}.py" if dumped else f"{name}.py")
    conversion = convert(name, config)
    assert row(Path(name).name, conversion) in DOCUMENT.read_text("utf-8").splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("name", WEIGHTS_OF)
def test_the_split_trains(
    convert: Convert,
    recorded_weights: Callable[[str], dict[str, Tensor]],
    tiny_coco: Path,
    tmp_path: Path,
    name: str,
) -> None:
    """One step on tiny images. ImageNet's weights are a download; others stand in for them."""
    conversion = convert(name, CONFIGS / f"{name}.py")
    document = {"seed": 0, "defaults": {}, "splits": {"mine": conversion.split}}
    params = load_params("mine", document)[conversion.kind]
    assert isinstance(params, AffinityParams | DetectorParams)
    changes: dict[str, Any] = {"epochs": 1, "precision": "32-true", "milestones": []}
    if params.backbone.weights is not None:
        file = tmp_path / "backbone.safetensors"
        state = recorded_weights("maskrcnn")
        own = {k.removeprefix("backbone."): v for k, v in state.items() if "backbone" in k}
        safetensors.torch.save_file(own, file)
        changes["backbone"] = params.backbone.model_copy(update={"weights": str(file)})
    dataset = read_coco(tiny_coco / "annotations/instances_train2017.json")
    places = (tiny_coco / "train2017", tmp_path / "trained", tmp_path / "scratch")
    if isinstance(params, AffinityParams):
        metrics = train_affinity(params.model_copy(update=changes), dataset, *places, seed=0)
    else:
        changes["max_size"] = [96, 64]
        metrics = train_detector(params.model_copy(update=changes), dataset, *places, seed=0)
    assert metrics["steps"] == 1
    assert 0 < metrics["loss"] < 100


# --- checkpoints ---


@pytest.mark.parametrize(
    "name", ["affinity", "mask_rcnn", "mask_rcnn_gn_online", "oln_box", "oln_mask"]
)
def test_a_converted_checkpoint_predicts_as_recorded(
    convert: Convert,
    recorded_file: Callable[[str], Path],
    masks_agree: Callable[..., bool],
    tmp_path: Path,
    name: str,
) -> None:
    """From the two files that a training leaves to the reference's own numbers."""
    convert(name, CONFIGS / f"{name}.py")
    pixels = np.load(recorded_file("B_synth_image.npz"))["rgb_u8"]
    expected = np.load(recorded_file(f"B_synth_{WEIGHTS_OF[name]}.npz"))
    if name == "affinity":
        affinity = load_affinity(tmp_path / "out", precision="32-true").predict(pixels)
        np.testing.assert_allclose(affinity, expected["pa_native"], atol=2e-5)
        return
    detector = load_detector(tmp_path / "out", precision="32-true")
    found = detector.predict(pixels, resize=False)
    best = expected["det_net"][:50]  # near-equal scores may swap places
    np.testing.assert_allclose(found.scores[:50], best[:, 4], atol=2e-5)
    if name == "oln_box":  # an object's mask is its whole box
        np.testing.assert_allclose(found.boxes_xyxy[:50], best[:, :4], atol=1)
        return
    ours, theirs = [mask["counts"] for mask in found.masks[:50]], expected["rle_net"].tolist()
    assert masks_agree(ours, theirs, found.image_size_hw)


# --- config and weights of different networks ---


@pytest.mark.parametrize(
    ("config", "weights", "said"),
    [
        (
            "oln_mask",
            "maskrcnn",
            r"heads: those of OLN in the config \(.*OlnRPNHead.*of Mask R-CNN",
        ),
        (
            "mask_rcnn",
            "oln_mask",
            r"heads: those of Mask R-CNN in the config .*those of OLN in the",
        ),
        ("oln_box", "oln_mask", r"mask head: none in the config .*, one in the weights"),
        ("oln_mask", "oln_box", r"mask head: one in the config .*, none in the weights"),
        (
            "affinity",
            "maskrcnn",
            r"network: a pairwise affinity network in the config .*a detector",
        ),
        ("mask_rcnn", "pa", r"network: a detector in the config .*a pairwise affinity network in"),
        (
            "mask_rcnn",
            "maskrcnn_gn",
            r"backbone: BatchNorm in .*\n.*norm of the mask head: none in",
        ),
        (
            "mask_rcnn_gn_online",
            "maskrcnn",
            r"norm of the backbone: GroupNorm in .*BatchNorm in the",
        ),
    ],
)
def test_files_of_different_networks_are_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, config: str, weights: str, said: str
) -> None:
    with pytest.raises(
        ConfigError, match=rf"{config}\.py and .*{weights}\.pth are of .*\n  .*{said}"
    ):
        convert_model(CONFIGS / f"{config}.py", checkpoint(weights), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("mask_rcnn", "backbone=dict(depth=101)", "backbone: ResNet-101 in the config .*ResNet-50"),
        (
            "affinity",
            "classifier=dict(norm_type='GN')",
            "norm of the head: GroupNorm in the config",
        ),
        ("mask_rcnn", "neck=dict(out_channels=128)", r"maskrcnn\.pth: does not fit the model"),
    ],
)
def test_a_changed_config_is_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str, change: str, said: str
) -> None:
    config = written(tmp_path, name, f"model = dict({change})")
    with pytest.raises(ValueError, match=rf"(?s)mine\.py .*{said}"):
        convert_model(config, checkpoint(WEIGHTS_OF[name]), tmp_path / "out")


def written(folder: Path, base: str, text: str) -> Path:
    """A config over one of ours."""
    path = folder / "mine.py"
    path.write_text(f"_base_ = '{CONFIGS / f'{base}.py'}'\n{text}\n")
    return path


if __name__ == "__main__":
    write_dumps(CONFIGS / "dumps")
