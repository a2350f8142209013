"""A training learns to find the annotated objects; a killed one ends with the same weights."""

import csv
import json
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from lightning.pytorch.loggers import CSVLogger

from ggn.core import Instances
from ggn.core.masks import from_segmentation, mask_iou
from ggn.data.images import read_image
from ggn.data.mask_store import MaskStore, MaskStoreWriter
from ggn.data.samples import DetectionSamples
from ggn.detector import load_detector, train_detector
from ggn.detector.params import DetectorParams
from ggn.detector.train import augment, collate
from ggn.engine.backbone import ResNetFeatures
from ggn.engine.draws import sample_generator
from ggn.engine.optimisation import lr_factor


def changed(params: DetectorParams, **changes: Any) -> DetectorParams:
    return DetectorParams.model_validate({**params.model_dump(), **changes})


# --- samples ---


def test_samples_are_resized_mirrored_and_freed_of_vanished_objects(
    tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    image, target = DetectionSamples(tiny_dataset, tiny_coco / "train2017")[0]
    assert len(target["boxes"]) == 3  # the crowd is left out
    params = changed(tiny_params, max_size=[32, 32])
    flipped = []
    for key in range(20):
        small, objects = augment((image, target), sample_generator(0, key), params)
        assert small.shape == (3, 24, 32)  # (48, 64) halved
        left, right = 36 / 2, 52 / 2  # the dog
        flipped.append(objects["boxes"][1, 0].item() == 32 - right)
        assert objects["boxes"][1, 0].item() in (left, 32 - right)
    assert 0 < sum(flipped) < 20
    unflipped = changed(params, flip=False, max_size=[2, 2])
    tiny, objects = augment((image, target), sample_generator(0, 0), unflipped)
    assert tiny.shape == (3, 2, 2)
    assert len(objects["boxes"]) == len(objects["masks"]) < 3


def test_an_inverted_sample_is_the_complement_and_keeps_its_objects(
    tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    sample = DetectionSamples(tiny_dataset, tiny_coco / "train2017")[0]
    plain, inverted = (
        augment(sample, sample_generator(0, 3), changed(tiny_params, inverted_share=share))
        for share in (0.0, 1.0)
    )
    assert inverted[0].equal(255 - plain[0])
    assert inverted[1]["boxes"].equal(plain[1]["boxes"])
    assert inverted[1]["masks"].equal(plain[1]["masks"])


def test_the_random_scale_stays_within_its_bounds(
    tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    sample = DetectionSamples(tiny_dataset, tiny_coco / "train2017")[0]
    params = changed(tiny_params, scale_range=[0.5, 2.0])
    widths = {augment(sample, sample_generator(0, key), params)[0].shape[-1] for key in range(30)}
    assert 32 <= min(widths) < 50
    assert 80 < max(widths) <= 128


def test_a_batch_keeps_each_images_own_size(tiny_coco: Path, tiny_dataset: dict[str, Any]) -> None:
    samples = DetectionSamples(tiny_dataset, tiny_coco / "train2017")
    batch = collate([samples[0], samples[3]])
    assert batch.image_ids == [7, 10]
    assert [len(boxes) for boxes in batch.boxes_xyxy] == [3, 0]
    assert batch.masks[1].shape == (0, 40, 56)


# --- training ---


def test_what_a_training_writes_and_reports(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    params = changed(tiny_params, epochs=2, log_steps=1, warmup_steps=2)
    curves = CSVLogger(tmp_path, name="curves")
    metrics = train_detector(
        params, tiny_dataset, tiny_coco / "train2017", out, scratch, seed=3, logger=curves
    )
    # All 4 images count, also the one without annotation.
    assert (metrics["images"], metrics["images_without_objects"], metrics["steps"]) == (4, 1, 4)
    assert sorted(p.name for p in out.iterdir()) == ["card.json", "weights.safetensors"]
    assert not list(scratch.iterdir())
    card = json.loads((out / "card.json").read_text())
    assert DetectorParams.model_validate({**card["params"], "log_steps": 1}) == params
    assert "log_steps" not in card["params"], "it changes no result"
    assert card["seed"] == 3
    names, *rows = [
        line.split(",") for line in (Path(curves.log_dir) / "metrics.csv").read_text().splitlines()
    ]
    logged = [dict(zip(names, row, strict=True)) for row in rows]
    assert [float(row["train/lr"]) for row in logged] == pytest.approx(
        [params.lr * lr_factor(step, params, 4) for step in range(4)]
    )
    parts = ("rpn_objectness", "rpn_box", "box_class", "box_regression", "mask")
    for row in logged:
        total = sum(float(row[f"train/{part}"]) for part in parts)
        assert float(row["train/loss"]) == pytest.approx(total, rel=1e-4)
    assert sum(float(row["train/loss"]) for row in logged) / 4 == pytest.approx(metrics["loss"])


def test_a_compiled_training_learns_the_same_under_the_same_names(
    tmp_path: Path,
    tiny_coco: Path,
    tiny_dataset: dict[str, Any],
    tiny_params: DetectorParams,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the tracer and autograd of torch.compile; its code generator takes a minute here."""
    traced = partialmethod(torch.nn.Module.compile, backend="aot_eager")
    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    losses, weights = [], []
    for compile_it in (False, True):
        out = tmp_path / str(compile_it)
        params = changed(tiny_params, epochs=2, batch_size=4, compile=compile_it)
        metrics = train_detector(
            params, tiny_dataset, tiny_coco / "train2017", out, tmp_path / "scratch", seed=3
        )
        losses.append(metrics["loss"])
        weights.append(safetensors.torch.load_file(out / "weights.safetensors"))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-2, atol=1e-4)


class Killer(CSVLogger):
    """A logger whose machine goes away after step 7."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if step is not None and step >= 7:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_killed_training_ends_with_the_same_weights(
    precision: str,
    tmp_path: Path,
    tiny_coco: Path,
    tiny_dataset: dict[str, Any],
    tiny_params: DetectorParams,
) -> None:
    recipe = {"milestones": [2], "precision": precision}
    params = changed(tiny_params, **recipe, epochs=5, checkpoint_steps=3, log_steps=1)
    images = tiny_coco / "train2017"
    curves = [tmp_path / f"curve-{name}.json" for name in "ab"]
    whole = train_detector(
        params, tiny_dataset, images, tmp_path / "a", tmp_path / "s", 0, curve=curves[0]
    )
    with pytest.raises(RuntimeError, match="power cut"):
        train_detector(
            params, tiny_dataset, images, tmp_path / "b", tmp_path / "t", 0, Killer(tmp_path)
        )
    assert (tmp_path / "t" / "last.ckpt").is_file()
    assert not (tmp_path / "b").exists()
    torch.manual_seed(99)  # the resumed run depends on no other random numbers
    resumed = train_detector(
        params, tiny_dataset, images, tmp_path / "b", tmp_path / "t", 0, curve=curves[1]
    )
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second
    assert whole["loss"] == resumed["loss"]
    assert curves[0].read_bytes() == curves[1].read_bytes()
    points = json.loads(curves[0].read_text())
    assert len(points) == whole["steps"]


@pytest.mark.parametrize(
    ("heads", "recipe"),
    [
        ("mask_rcnn", {"epochs": 60, "lr": 0.05}),
        ("oln", {"epochs": 120, "lr": 0.02, "batch_size": 4}),
    ],
)
def test_it_learns_to_find_the_annotated_objects(
    heads: str,
    recipe: dict[str, Any],
    tmp_path: Path,
    tiny_coco: Path,
    tiny_dataset: dict[str, Any],
    tiny_params: DetectorParams,
) -> None:
    images = tiny_coco / "train2017"
    params = changed(
        tiny_params, schedule="cosine", gradient_clip=1.0, heads=heads, log_steps=1, **recipe
    )
    curves = CSVLogger(tmp_path, name="curves")
    train_detector(params, tiny_dataset, images, tmp_path, tmp_path / "scratch", 0, curves)
    with (Path(curves.log_dir) / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert json.loads((tmp_path / "card.json").read_text())["params"]["heads"] == heads
    detector = load_detector(tmp_path)
    records = {record["id"]: record for record in tiny_dataset["images"]}
    persons = [a for a in tiny_dataset["annotations"] if a["category_id"] == 1 and not a["iscrowd"]]
    assert len(persons) == 3
    for person in persons:  # a dark box on noise, the largest object of its image
        record = records[person["image_id"]]
        size = record["height"], record["width"]
        found = detector.predict(read_image(images / record["file_name"]))
        truth = from_segmentation(person["segmentation"], size)
        assert mask_iou([truth], found[:3].masks).max() > 0.5


def test_a_loss_that_is_not_finite_names_the_images(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    params = changed(tiny_params, epochs=10, lr=1e30)
    with pytest.raises(FloatingPointError, match=r"on the images with ids (7|8|9|10), \d+"):
        train_detector(
            params, tiny_dataset, tiny_coco / "train2017", tmp_path / "o", tmp_path / "s", 0
        )
    assert not (tmp_path / "o").exists()


def test_a_dataset_without_objects_is_refused(
    tmp_path: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    crowds = [a for a in tiny_dataset["annotations"] if a["iscrowd"]]
    assert crowds
    with pytest.raises(ValueError, match="no object to train on in 4 training images"):
        train_detector(
            tiny_params, {**tiny_dataset, "annotations": crowds}, tmp_path, tmp_path, tmp_path, 0
        )


def test_frozen_pretrained_stages_stay_and_random_ones_all_learn(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    pretrained = ResNetFeatures("resnet10", width=8).state_dict()
    safetensors.torch.save_file(pretrained, tmp_path / "pretrained.safetensors")
    kept = {"weights": str(tmp_path / "pretrained.safetensors"), "norm": "frozen_batch"}
    backbone = {**tiny_params.backbone.model_dump(), **kept, "frozen_stages": 1}
    for name, params in (("kept", changed(tiny_params, backbone=backbone)), ("new", tiny_params)):
        train_detector(
            params, tiny_dataset, tiny_coco / "train2017", tmp_path / name, tmp_path / "s", 0
        )
    trained, random = (
        safetensors.torch.load_file(tmp_path / name / "weights.safetensors")
        for name in ("kept", "new")
    )
    for key, value in pretrained.items():
        frozen = key.startswith(("conv1", "bn1", "layer1")) or "running" in key
        if key.endswith(("conv1.weight", "bn1.bias")) or frozen:
            assert torch.equal(trained[f"backbone.{key}"], value) == frozen, key
    assert (random["backbone.bn1.bias"] != 0).any()  # the stem too


# --- a store of pseudo ground truth ---


def test_masks_from_a_store_train_as_annotations_do(
    tmp_path: Path, tiny_coco: Path, tiny_dataset: dict[str, Any], tiny_params: DetectorParams
) -> None:
    """The same objects, once all in memory and once read per image: the same weights."""
    params = changed(tiny_params, epochs=1, warmup_steps=0)
    listed: list[dict[str, Any]] = []
    with MaskStoreWriter(tmp_path / "store") as writer:
        for image in tiny_dataset["images"]:
            size = image["height"], image["width"]
            records = [a for a in tiny_dataset["annotations"] if a["image_id"] == image["id"]]
            rles = [from_segmentation(a["segmentation"], size) for a in records if not a["iscrowd"]]
            masks = Instances(rles, np.zeros(len(rles)), size)
            writer.add(image["id"], masks, [0.0] * len(masks))
            listed += masks.to_coco_results(image["id"])
    bare = {**tiny_dataset, "annotations": []}
    in_memory = {**tiny_dataset, "annotations": listed}
    folder, weights = tiny_coco / "train2017", []
    for name, dataset, store in (
        ("memory", in_memory, None),
        ("store", bare, MaskStore(tmp_path / "store")),
    ):
        out, scratch = tmp_path / name, tmp_path / f"{name}-scratch"
        metrics = train_detector(params, dataset, folder, out, scratch, seed=0, pseudo=store)
        assert metrics["images_without_objects"] == 1
        weights.append(safetensors.torch.load_file(out / "weights.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    with pytest.raises(ValueError, match="no object to train on"):
        train_detector(params, bare, folder, tmp_path / "x", tmp_path / "y", seed=0)
