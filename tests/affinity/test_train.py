"""A training learns the annotated objects, and a killed one ends with the same weights."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from ggn.affinity import load_affinity, train_affinity
from ggn.affinity.evaluate import AffinityErrors
from ggn.affinity.params import NAMED_RECIPES, AffinityParams
from ggn.data.samples import AffinitySamples
from ggn.engine.optimisation import lr_factor


def longer(params: AffinityParams, **changes: Any) -> AffinityParams:
    return AffinityParams.model_validate({**params.model_dump(), **changes})


def test_what_a_training_writes_and_reports(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    params = longer(tiny_params, epochs=2, log_steps=1)
    curves = CSVLogger(tmp_path, name="curves")
    metrics = train_affinity(
        params, tiny_dataset, tiny_coco / "train2017", out, scratch, seed=3, logger=curves
    )
    # 4 images, one without annotation; 3 at 2 a step are 2 steps an epoch.
    assert (metrics["images"], metrics["images_without_objects"], metrics["steps"]) == (3, 1, 4)
    assert 0 < metrics["loss"] < 1
    assert "images_per_second" not in metrics, "a rate is no result: it differs between two runs"
    assert sorted(p.name for p in out.iterdir()) == ["card.json", "weights.safetensors"]
    assert not list(scratch.iterdir())
    card = json.loads((out / "card.json").read_text())
    assert AffinityParams.model_validate({**card["params"], "log_steps": 1}) == params
    assert "log_steps" not in card["params"], "it changes no result"
    assert card["seed"] == 3
    names, *rows = [
        line.split(",") for line in (Path(curves.log_dir) / "metrics.csv").read_text().splitlines()
    ]
    logged = [dict(zip(names, row, strict=True)) for row in rows]
    assert [float(row["train/lr"]) for row in logged] == pytest.approx(
        [params.lr * lr_factor(step, params, 3) for step in range(4)]
    )
    assert sum(float(row["train/loss"]) for row in logged) / 4 == pytest.approx(metrics["loss"])


def test_half_precision_trains_too(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        params = longer(tiny_params, epochs=2, precision=precision)
        metrics = train_affinity(
            params, tiny_dataset, tiny_coco / "train2017", tmp_path / "o", tmp_path / "s", 0
        )
        losses[precision] = metrics["loss"]
    assert losses["bf16-mixed"] != losses["32-true"]
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.1)


class Killer(CSVLogger):
    """A logger whose machine goes away after step 7."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if step is not None and step >= 7:
            raise RuntimeError("power cut")


def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    recipe = {"flip": True, "scale_range": [0.7, 1.4], "crop_size": 64, "milestones": [2]}
    steps = {"epochs": 5, "checkpoint_steps": 3, "log_steps": 1}
    params = longer(tiny_params, **recipe, **steps)
    images = tiny_coco / "train2017"
    curves = [tmp_path / f"curve-{name}.json" for name in "ab"]
    whole = train_affinity(
        params, tiny_dataset, images, tmp_path / "a", tmp_path / "s", 0, curve=curves[0]
    )
    with pytest.raises(RuntimeError, match="power cut"):
        train_affinity(
            params, tiny_dataset, images, tmp_path / "b", tmp_path / "t", 0, Killer(tmp_path)
        )
    assert (tmp_path / "t" / "last.ckpt").is_file()
    assert not (tmp_path / "b").exists()
    torch.manual_seed(99)  # the resumed run depends on no other random numbers
    assert not curves[1].exists()
    resumed = train_affinity(
        params, tiny_dataset, images, tmp_path / "b", tmp_path / "t", 0, curve=curves[1]
    )
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second
    assert whole["loss"] == resumed["loss"]
    assert curves[0].read_bytes() == curves[1].read_bytes()
    points = json.loads(curves[0].read_text())
    assert [point["step"] for point in points] == [*range(1, int(whole["steps"]) + 1)]
    mean = sum(point["loss"] for point in points) / len(points)  # fewer than 100 steps: all of them
    assert mean == pytest.approx(whole["loss"], rel=1e-5)


def test_our_recipe_trains_to_the_same_bytes_with_readers_and_after_a_kill(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    small = {"backbone": tiny_params.backbone.model_dump(), "crop_size": 64, "batch_size": 2}
    steps = {"epochs": 5, "checkpoint_steps": 3, "log_steps": 1}
    own = AffinityParams.model_validate({**NAMED_RECIPES["photographs"], **small, **steps})
    images = tiny_coco / "train2017"
    for name, workers in (("a", 0), ("b", 2)):
        params = longer(own, workers=workers)
        train_affinity(params, tiny_dataset, images, tmp_path / name, tmp_path / "s", 0)
    with pytest.raises(RuntimeError, match="power cut"):
        train_affinity(
            own, tiny_dataset, images, tmp_path / "c", tmp_path / "t", 0, Killer(tmp_path)
        )
    train_affinity(own, tiny_dataset, images, tmp_path / "c", tmp_path / "t", 0)
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] == files[2]


def test_another_seed_gives_other_weights(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    params = longer(tiny_params, epochs=1)
    for seed in (0, 1):
        train_affinity(
            params,
            tiny_dataset,
            tiny_coco / "train2017",
            tmp_path / str(seed),
            tmp_path / "scratch",
            seed,
        )
    first, second = (tmp_path / name / "weights.safetensors" for name in "01")
    assert first.read_bytes() != second.read_bytes()


def test_it_learns_the_annotated_objects(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    images = tiny_coco / "train2017"
    params = longer(tiny_params, epochs=40, lr=2.0, schedule="cosine")
    train_affinity(params, tiny_dataset, images, tmp_path, tmp_path / "scratch", 0)
    predictor = load_affinity(tmp_path)
    errors = AffinityErrors()
    samples = AffinitySamples(tiny_dataset, images)
    for index in range(len(samples)):
        image, labels, _ = samples[index]
        errors.add(predictor.predict(image.permute(1, 2, 0).numpy()), labels.numpy())
    metrics = errors.metrics()
    inside, outline = 1 - metrics["inner_l1"], metrics["outer_l1"]
    assert inside > 2 * outline


def test_a_loss_that_is_not_finite_names_the_images(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    params = longer(tiny_params, epochs=10, lr=1e30, warmup_steps=0)
    with pytest.raises(FloatingPointError, match=r"on the images with ids (7|8|9), (7|8|9)"):
        train_affinity(
            params, tiny_dataset, tiny_coco / "train2017", tmp_path / "o", tmp_path / "s", 0
        )
    assert not (tmp_path / "o").exists()


def test_a_dataset_without_objects_is_refused(
    tmp_path: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    crowds = [a for a in tiny_dataset["annotations"] if a["iscrowd"]]
    assert crowds
    with pytest.raises(ValueError, match="no training image has an annotated object"):
        train_affinity(
            tiny_params, {**tiny_dataset, "annotations": crowds}, tmp_path, tmp_path, tmp_path, 0
        )


def test_pretrained_weights_are_where_training_starts(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: AffinityParams
) -> None:
    import safetensors.torch

    from ggn.engine.backbone import ResNetFeatures

    pretrained = ResNetFeatures("resnet10", width=8).state_dict()
    path = tmp_path / "pretrained.safetensors"
    safetensors.torch.save_file(pretrained, path)
    backbone = {**tiny_params.backbone.model_dump(), "weights": str(path), "frozen_stages": 4}
    params = longer(tiny_params, epochs=1, backbone=backbone)
    train_affinity(params, tiny_dataset, tiny_coco / "train2017", tmp_path, tmp_path / "s", 0)
    trained = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    for key, value in pretrained.items():
        assert torch.equal(trained[f"backbone.{key}"], value), key
    assert not math.isnan(float(np.sum([v.sum() for v in trained.values()])))
