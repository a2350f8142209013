"""Federated ground truth, as LVIS has it: scenes to check by hand, then a slow twin."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from ggn.evaluation import evaluate
from ggn.evaluation.matching import IOU_THRESHOLDS, box_iou_xywh

A, B, NOWHERE = (0, 0, 20, 20), (40, 0, 20, 20), (100, 100, 20, 20)
SEEN, UNSEEN, RARE = 3, 7, 9


def federate(scene: Any, absent: list[int], not_exhaustive: list[int]) -> None:
    for image in scene.annotations["images"]:
        image["neg_category_ids"] = absent
        image["not_exhaustive_category_ids"] = not_exhaustive


def named(scene: Any, *category_ids: int) -> None:
    for record, category_id in zip(scene.predictions, category_ids, strict=True):
        record["category_id"] = category_id


def federated(scene: Any, **options: Any) -> dict[str, float]:
    return evaluate(scene.annotations, scene.predictions, protocol="federated", **options)


@pytest.mark.parametrize(
    ("absent", "not_exhaustive", "ap"),
    [
        # The unseen object is found, behind a false alarm of its category: precision 1/2.
        ([], [], 1 / 2),
        # Of that category not all objects are annotated: what matches nothing is no false alarm.
        ([], [UNSEEN], 1),
    ],
)
def test_what_matches_nothing(
    scene: Any, absent: list[int], not_exhaustive: list[int], ap: float
) -> None:
    scene.objects("unseen", A).found(NOWHERE, A)
    named(scene, UNSEEN, UNSEEN)
    federate(scene, absent, not_exhaustive)
    assert federated(scene)["AP"] == pytest.approx(ap)
    assert federated(scene)["AR_10"] == 1


@pytest.mark.parametrize(("absent", "ap"), [([], 1), ([UNSEEN], 1 / 2)])
def test_category_is_evaluated_only_where_it_was_looked_for(
    scene: Any, absent: list[int], ap: float
) -> None:
    # One image with the object; one without, where the category is found with a better score.
    scene.objects("unseen", A).found(A, score=0.5)
    scene.image().found(B, score=0.9)
    named(scene, UNSEEN, UNSEEN)
    federate(scene, [], [])
    scene.annotations["images"][1]["neg_category_ids"] = absent
    assert federated(scene)["AP"] == pytest.approx(ap)


def test_detections_find_objects_of_their_own_category(scene: Any) -> None:
    scene.objects("unseen", A).objects("rare", B).found(A, B)
    named(scene, UNSEEN, SEEN)
    federate(scene, [], [])
    results = federated(scene)
    assert results["AR_10"] == 1 / 2  # the mean of 1 and 0
    assert results["AP"] == pytest.approx(1 / 2)
    assert federated(scene, unseen=["unseen"])["AP"] == pytest.approx(1)


def test_categories_share_the_places_of_an_image(scene: Any) -> None:
    scene.objects("unseen", A).found(*[NOWHERE] * 10, A)
    named(scene, *[SEEN] * 10, UNSEEN)
    federate(scene, [], [])
    assert (federated(scene)["AR_10"], federated(scene)["AR_20"]) == (0, 1)


@pytest.mark.parametrize("protocol", ["budget", "plain", "per_class"])
def test_class_agnostic_recall_stays_and_precision_goes(scene: Any, protocol: Any) -> None:
    scene.objects("seen", A).objects("unseen", B).found(NOWHERE, A, B)
    options: Any = {"unseen": ["unseen"], "protocol": protocol}
    before = evaluate(scene.annotations, scene.predictions, **options)
    federate(scene, [], [UNSEEN])
    after = evaluate(scene.annotations, scene.predictions, **options)
    for name, value in after.items():
        assert value == (before[name] if name.startswith("AR") else -1), name


def test_class_agnostic_precision_is_there_if_all_categories_are_verified(scene: Any) -> None:
    scene.objects("unseen", A).found(NOWHERE, A)
    federate(scene, [RARE], [])
    options: Any = {"unseen": ["unseen", "rare"]}
    assert evaluate(scene.annotations, scene.predictions, **options)["AP"] == pytest.approx(1 / 2)
    assert evaluate(scene.annotations, scene.predictions)["AP"] == -1  # of "seen" nobody knows


def test_protocol_needs_a_federated_dataset(scene: Any) -> None:
    with pytest.raises(ValueError, match="'federated' needs neg_category_ids and not_exhaustive"):
        federated(scene)


def hits_of(named: list[Any], objects: list[Any], threshold: float) -> list[bool]:
    """Whether each detection takes an object, the one it overlaps most; the later of equals."""
    free, hits = list(objects), []
    for _, record in named:
        boxes = np.array([a["bbox"] for a in free], float).reshape(-1, 4)
        crowd = np.zeros(len(free), bool)
        iou = box_iou_xywh(np.array([record["bbox"]], float), boxes, crowd)[0]
        chosen = max(range(len(free)), key=lambda g: (iou[g], g), default=None)
        hits.append(chosen is not None and bool(iou[chosen] >= threshold))
        if chosen is not None and hits[-1]:
            free.pop(chosen)
    return hits


def slow_federated(dataset: Any, results: list[Any], k: int) -> tuple[float, float]:
    """AR at k and AP as LVIS defines them, one category, threshold and detection at a time."""
    by_image = defaultdict(list)
    for record in sorted(results, key=lambda r: -r["score"]):
        by_image[record["image_id"]].append(record)
    best = {image: records[:300] for image, records in by_image.items()}
    recalls, precisions = [], []
    for category in (c["id"] for c in dataset["categories"]):
        objects = [a for a in dataset["annotations"] if a["category_id"] == category]
        if not objects:
            continue
        for threshold in IOU_THRESHOLDS:
            outcome, found_at_k = [], 0
            for image in sorted(dataset["images"], key=lambda i: i["id"]):
                here = [a for a in objects if a["image_id"] == image["id"]]
                if not here and category not in image["neg_category_ids"]:
                    continue
                named = [
                    (place, record)
                    for place, record in enumerate(best.get(image["id"], []))
                    if record["category_id"] == category
                ]
                for (place, record), hit in zip(
                    named, hits_of(named, here, threshold), strict=True
                ):
                    if hit or category not in image["not_exhaustive_category_ids"]:
                        outcome.append((record["score"], hit))
                    found_at_k += hit and place < k
            outcome.sort(key=lambda pair: -pair[0])
            hits = np.cumsum([hit for _, hit in outcome])
            precision = hits / np.arange(1, len(hits) + 1)
            recall = hits / len(objects)
            precisions.append(
                [max(precision[recall >= level], default=0) for level in np.linspace(0, 1, 101)]
            )
            recalls.append(found_at_k / len(objects))
    return float(np.mean(recalls)), float(np.mean(precisions))


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_slow_twin(scene: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def box() -> list[int]:
        return [int(v) for v in (*rng.integers(0, 40, 2), *rng.integers(15, 40, 2))]

    for _ in range(6):
        scene.image()
        for name in ("seen", "unseen", "rare"):
            scene.objects(name, *(box() for _ in range(rng.integers(0, 3))))
        scene.found(*(box() for _ in range(30)))
    scores = rng.permutation(len(scene.predictions))
    for record, score in zip(scene.predictions, scores.tolist(), strict=True):
        record |= {"category_id": int(rng.choice([SEEN, UNSEEN, RARE])), "score": score / 1000}
    for image in scene.annotations["images"]:
        here = {
            a["category_id"]
            for a in scene.annotations["annotations"]
            if a["image_id"] == image["id"]
        }
        others = [c for c in (SEEN, UNSEEN, RARE) if c not in here]
        image["neg_category_ids"] = [c for c in others if rng.random() < 0.5]
        image["not_exhaustive_category_ids"] = [c for c in sorted(here) if rng.random() < 0.5]
    got = federated(scene, iou_type="bbox")
    recall, precision = slow_federated(scene.annotations, scene.predictions, 10)
    assert got["AR_10"] == pytest.approx(recall, abs=1e-12)
    assert got["AP"] == pytest.approx(precision, abs=1e-12)
