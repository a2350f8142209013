"""Bootstrap intervals: by hand, against evaluating each resample anew, and of the difference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ggn.evaluation import evaluate
from ggn.evaluation.bootstrap import recall_intervals, recall_samples
from ggn.evaluation.evaluator import PartitionResult, evaluate_inputs
from ggn.evaluation.inputs import read_inputs
from ggn.evaluation.intervals import compare_partitions
from ggn.evaluation.sums import RECALL_NAMES, RecallSums, SumsSoFar, recall_hits

A, B, C, NOWHERE = (0, 0, 20, 20), (40, 0, 20, 20), (80, 0, 20, 20), (100, 100, 20, 20)


def result(annotations: Any, predictions: Any, protocol: Any = "budget") -> PartitionResult:
    inputs = read_inputs(annotations, predictions, ["segm"])
    return evaluate_inputs(inputs, {"": ["unseen", "rare"]}, protocol=protocol, iou_type="segm")[""]


def crowded(scene: Any, seed: int, images: int = 12) -> Any:
    """Random objects of three categories and of three sizes; some images have none."""
    rng = np.random.default_rng(seed)
    for image in range(images):
        scene.image()
        if image % 5 == 0:
            continue
        for name in ("seen", "unseen", "rare")[: 1 + image % 3]:
            boxes = rng.integers((0, 0, 10, 10), (80, 80, 110, 110), (3, 4))
            scene.objects(name, *boxes.tolist())
            near = boxes + rng.integers(-4, 5, boxes.shape)
            scene.found(*np.clip(near, 1, None).tolist(), *rng.integers(5, 60, (6, 4)).tolist())
    return scene


def resampled(scene: Any, places: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """The scene with exactly these images; the second copy of one is an image of its own."""
    images: list[Any] = []
    annotations: list[Any] = []
    predictions: list[Any] = []
    by_id = sorted(scene.annotations["images"], key=lambda image: image["id"])
    for new_id, place in enumerate(places):
        old = by_id[place]["id"]
        images.append(by_id[place] | {"id": new_id})
        for record in scene.annotations["annotations"]:
            if record["image_id"] == old:
                fresh = {"image_id": new_id, "id": len(annotations) + 1}
                annotations.append(record | fresh)
        for record in scene.predictions:
            if record["image_id"] == old:
                predictions.append(record | {"image_id": new_id})
    return scene.annotations | {"images": images, "annotations": annotations}, predictions


def test_samples_by_hand(scene: Any) -> None:
    # Image 0 has two objects, both found; image 1 has one, which nobody finds; image 2 has none.
    scene.objects("unseen", A, B).found(A, B).image().objects("unseen", C).found(NOWHERE).image()
    samples = recall_samples(result(scene.annotations, scene.predictions).sums, resamples=400)
    values = samples[:, RECALL_NAMES.index("AR_10")]
    drawn = [  # times each image is drawn, and the recall that follows
        ((1, 1, 1), 2 / 3), ((2, 1, 0), 4 / 5), ((1, 2, 0), 2 / 4), ((3, 0, 0), 1), ((0, 3, 0), 0),
    ]  # fmt: skip
    for _, recall in drawn:
        assert np.isclose(values, recall).any()
    assert np.isnan(values).any(), "image 2 three times has no object to measure on"
    expected = {0, 1, 2 / 3, 4 / 5, 1 / 2}
    assert {round(v, 9) for v in values[~np.isnan(values)]} <= {round(v, 9) for v in expected}


def test_an_image_like_any_other_leaves_nothing_unsure(scene: Any) -> None:
    for _ in range(5):
        scene.objects("unseen", A, B).found(A).image().objects("unseen", A, B).found(A).image()
    scene.objects("unseen", A, B).found(A)
    found = recall_intervals(recall_samples(result(scene.annotations, scene.predictions).sums))
    assert found["AR_10"] == (0.5, 0.5)
    assert "AR_l_100" not in found, "there is no large object"


@pytest.mark.parametrize("protocol", ["budget", "plain", "per_class"])
def test_each_sample_is_the_evaluation_of_its_images(scene: Any, protocol: Any) -> None:
    crowded(scene, seed=1)
    sums = result(scene.annotations, scene.predictions, protocol).sums
    samples = recall_samples(sums, resamples=20, seed=3)
    rng = np.random.default_rng(3)
    for sample in samples:
        places = rng.integers(sums.n_images, size=sums.n_images)
        naive = evaluate(*resampled(scene, places), unseen=["unseen", "rare"], protocol=protocol)
        expected = [np.nan if naive[name] == -1 else naive[name] for name in RECALL_NAMES]
        np.testing.assert_allclose(sample, expected, rtol=0, atol=1e-12)


def test_federated_samples_are_means_over_the_categories_that_are_drawn(scene: Any) -> None:
    crowded(scene, seed=2)
    for image in scene.annotations["images"]:
        image |= {"neg_category_ids": [7, 9], "not_exhaustive_category_ids": []}
    for place, record in enumerate(scene.predictions):
        record["category_id"] = (3, 7, 9)[place % 3]
    sums = result(scene.annotations, scene.predictions, "federated").sums
    (places,) = np.random.default_rng(0).integers(sums.n_images, size=(1, sums.n_images))
    naive = evaluate(*resampled(scene, places), unseen=["unseen", "rare"], protocol="federated")
    (sample,) = recall_samples(sums, resamples=1)
    expected = [np.nan if naive[name] == -1 else naive[name] for name in RECALL_NAMES]
    np.testing.assert_allclose(sample, expected, rtol=0, atol=1e-12)


def test_the_difference_is_paired_over_the_same_images(scene: Any) -> None:
    # A finds one of two everywhere but in the last image, B two: however hard an image is, B gains.
    for image in range(20):
        boxes = [A, B] if image % 2 else [A, B, C, NOWHERE]
        scene.objects("unseen", *boxes).found(*boxes[: len(boxes) // 2]).image()
    first = list(scene.predictions)
    scene.predictions.clear()
    for image in scene.annotations["images"][:-1]:
        for record in scene.annotations["annotations"]:
            if record["image_id"] == image["id"]:
                found = {key: record[key] for key in ("image_id", "segmentation", "bbox")}
                scene.predictions.append(found | {"score": 0.5})
    models = {"a": first, "b": scene.predictions}
    found = compare_partitions(scene.annotations, models, {"all": None}, iou_types=["segm"])
    assert found["a"]["all/mask_AR_100"] == (0.5, 0.5)
    assert found["difference"]["all/mask_AR_100"] == (0.5, 0.5)
    swapped = compare_partitions(
        scene.annotations, dict(reversed(models.items())), {"all": None}, iou_types=["segm"]
    )
    assert swapped["difference"]["all/mask_AR_100"] == (-0.5, -0.5)


def test_a_model_does_not_differ_from_itself_and_the_seed_decides(scene: Any) -> None:
    crowded(scene, seed=4)
    models = {"a": scene.predictions, "b": scene.predictions}
    found = compare_partitions(scene.annotations, models, {"all": None})
    assert found["a"] == found["b"]
    assert set(found["difference"].values()) == {(0.0, 0.0)}
    low, high = found["a"]["all/mask_AR_100"]
    exact = evaluate(scene.annotations, scene.predictions)["AR_100"]
    assert low < exact < high
    sums = result(scene.annotations, scene.predictions).sums
    again = [recall_samples(sums, 50, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(again[0], again[1])
    assert not np.array_equal(again[0], again[2], equal_nan=True)


def test_intervals_hold_what_they_promise(scene: Any) -> None:
    """Of many data sets of one kind, about 95 % of the intervals hold the true recall."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        objects = rng.integers(1, 6, 100)
        found = rng.binomial(objects, 0.3)
        hits = np.repeat(10 * found[:, None], len(RECALL_NAMES), axis=1)
        sums = RecallSums(
            100, np.arange(100), np.zeros(100, int), hits, np.repeat(objects[:, None], 4, axis=1)
        )
        low, high = recall_intervals(recall_samples(sums, 500))["AR_10"]
        held += low <= 0.3 <= high
    assert 180 <= held <= 199


def test_an_interval_leaves_out_two_and_a_half_percent_at_each_end() -> None:
    """Of 0, 0.001, … 1, these are 0.025 and 0.975; samples without objects are left out."""
    samples = np.full((1003, len(RECALL_NAMES)), np.nan)
    samples[:1001, 0] = np.arange(1001) / 1000
    samples[1002, 1] = 0.5
    found = recall_intervals(samples)
    assert list(found) == [RECALL_NAMES[0], RECALL_NAMES[1]]
    assert found[RECALL_NAMES[0]] == pytest.approx((0.025, 0.975))
    assert found[RECALL_NAMES[1]] == (0.5, 0.5)


def one_image(hits: list[int], groups: list[int], objects: list[int]) -> RecallSums:
    """Groups of one image: hits over the ten thresholds, and objects, alike in all ranges."""
    rows = len(hits)
    return RecallSums(
        1,
        np.zeros(rows, np.int64),
        np.array(groups),
        np.repeat(np.array(hits)[:, None], len(RECALL_NAMES), axis=1),
        np.repeat(np.array(objects)[:, None], 4, axis=1),
    )


def test_a_sample_is_the_mean_over_groups_whatever_their_size() -> None:
    """A group of one object found at 5 of 10 thresholds, and one of four of which one is found."""
    samples = recall_samples(one_image([5, 10], [0, 1], [1, 4]), resamples=3)
    np.testing.assert_allclose(samples, np.full((3, len(RECALL_NAMES)), (0.5 + 0.25) / 2))
    alone = recall_samples(one_image([5], [0], [1]), resamples=2)
    np.testing.assert_allclose(alone, np.full((2, len(RECALL_NAMES)), 0.5))


def test_more_resamples_than_fit_in_memory_at_a_time_are_all_drawn() -> None:
    samples = recall_samples(one_image([10], [0], [1]), resamples=65)
    assert samples.tolist() == [[1.0] * len(RECALL_NAMES)] * 65
    assert recall_samples(one_image([10], [0], [1])).shape == (1000, len(RECALL_NAMES))


def test_without_objects_every_sample_is_undefined() -> None:
    sums = SumsSoFar()
    sums.next_image()
    sums.add("all", np.zeros(len(RECALL_NAMES), np.int64), [0, 0, 0, 0])
    gathered = sums.gathered()
    columns = gathered.images, gathered.groups, gathered.hits, gathered.objects
    assert [column.dtype for column in columns] == ["int64"] * 4
    assert [column.shape for column in columns] == [(0,), (0,), (0, len(RECALL_NAMES)), (0, 4)]
    samples = recall_samples(gathered, resamples=2)
    assert samples.shape == (2, len(RECALL_NAMES))
    assert np.isnan(samples).all()
    assert recall_intervals(samples) == {}


def test_sums_by_hand() -> None:
    """The second image has no object of the first group; the third has one of it again."""
    sums, ones = SumsSoFar(), np.ones(len(RECALL_NAMES), np.int64)
    sums.next_image()
    sums.add("a", ones, [1, 1, 0, 0])
    sums.next_image()
    sums.add("a", 0 * ones, [0, 0, 0, 0])
    sums.add("b", 2 * ones, [2, 0, 1, 1])
    sums.next_image()
    sums.add("a", 3 * ones, [1, 0, 0, 1])
    gathered = sums.gathered()
    assert gathered.n_images == 3
    assert gathered.images.tolist() == [0, 1, 2]
    assert gathered.groups.tolist() == [0, 1, 0]
    assert gathered.hits[:, 0].tolist() == [1, 2, 3]
    assert gathered.objects.tolist() == [[1, 1, 0, 0], [2, 0, 1, 1], [1, 0, 0, 1]]


def test_recalls_by_size_use_the_hits_within_100_detections() -> None:
    """Hits per budget are 1, 2, … 9 at each of two thresholds, ten times as many for small ones."""

    def spent(times: int) -> Any:
        hits = times * np.arange(1, 10)[:, None] * np.ones((1, 2), np.int64)
        return SimpleNamespace(hits_per_budget=hits)

    hits = recall_hits([spent(1), spent(10), spent(100), spent(1000)])
    assert hits.tolist() == [*(2 * np.arange(1, 10)).tolist(), 100, 1000, 10_000]  # AR_100 is fifth
