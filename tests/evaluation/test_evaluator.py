"""The whole evaluation: worked scenes, then properties, then pycocotools."""

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ggn.core.masks import encode
from ggn.evaluation import evaluate, evaluate_partitions
from ggn.evaluation.average_recall import METRIC_NAMES
from ggn.evaluation.budget import BUDGETS
from ggn.evaluation.params import PROTOCOL_NAMES, IouType

CLASS_AGNOSTIC = [name for name in PROTOCOL_NAMES if name != "federated"]
SMALL, MEDIUM, LARGE = (0, 0, 30, 30), (40, 0, 90, 90), (0, 100, 100, 100)
FAR = (150, 150, 20, 20)
Dataset = dict[str, Any]
Results = list[dict[str, Any]]


# Worked scenes


def test_by_hand(scene: Any) -> None:
    # Three objects, one of each size; the medium one is not found.
    scene.objects("unseen", SMALL, MEDIUM, LARGE)
    scene.found((0, 100, 100, 72), FAR, (0, 0, 30, 19))
    # Large: IoU 0.72, a hit at 0.50 … 0.70 (5 thresholds); small: 0.633, at 0.50 … 0.60 (3).
    results = evaluate(scene.annotations, scene.predictions)
    assert results["AR_10"] == results["AR_1500"] == pytest.approx((5 + 3) / 3 / 10)
    assert results["AR_s_100"] == pytest.approx(0.3)
    assert results["AR_m_100"] == 0
    assert results["AR_l_100"] == pytest.approx(0.5)
    # At IoU 0.5: hit, false alarm, hit; recall 1/3 with precision 1 (34 levels), 2/3 with 2/3 (33).
    assert results["AP_50"] == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert results["AP_75"] == 0


def test_keys_are_the_metric_names(scene: Any) -> None:
    for protocol in CLASS_AGNOSTIC:
        assert tuple(evaluate(scene.annotations, [], protocol=protocol)) == METRIC_NAMES  # type: ignore[arg-type]


def test_image_without_detections_stays_in_the_denominator(scene: Any) -> None:
    scene.objects("unseen", SMALL).found(SMALL)
    scene.image().objects("unseen", SMALL)
    assert evaluate(scene.annotations, scene.predictions)["AR_10"] == 1 / 2


def test_image_without_objects_brings_false_alarms(scene: Any) -> None:
    scene.objects("unseen", SMALL).found(SMALL, score=0.5)
    scene.image().found(SMALL, score=0.9)
    results = evaluate(scene.annotations, scene.predictions)
    assert results["AR_10"] == 1
    assert results["AP"] == pytest.approx(1 / 2)


def test_budget_is_per_image(scene: Any) -> None:
    for _ in range(15):  # cut over the dataset, ten detections could find ten of the 15 objects
        scene.image().objects("unseen", SMALL).found(SMALL)
    assert evaluate(scene.annotations, scene.predictions)["AR_10"] == 1


def test_only_the_best_1500_detections_of_an_image_are_looked_at(scene: Any) -> None:
    scene.objects("seen", LARGE).objects("unseen", SMALL)
    record = scene.found(FAR).predictions.pop()
    scene.predictions += [record | {"score": 1 - i / 1e4} for i in range(1499)]
    scene.found(SMALL, score=0.1)
    options: Any = {"unseen": ["unseen"], "iou_type": "bbox"}
    assert evaluate(scene.annotations, scene.predictions, **options)["AR_1500"] == 1
    # A detection of a seen object, which leaves the budget, still counts in the 1500.
    scene.found(LARGE, score=2)
    assert evaluate(scene.annotations, scene.predictions, **options)["AR_1500"] == 0


def test_precision_looks_at_one_hundred_detections_per_image(scene: Any) -> None:
    scene.objects("unseen", SMALL).found(*[FAR] * 99, SMALL)
    assert evaluate(scene.annotations, scene.predictions)["AP"] == pytest.approx(1 / 100)
    scene.found(FAR, score=2)
    assert evaluate(scene.annotations, scene.predictions)["AP"] == 0


def test_equal_scores_keep_the_order_of_the_file(scene: Any) -> None:
    scene.objects("unseen", LARGE)
    worse = (0, 100, 100, 62)  # IoU 0.62: the object is lost at 0.65 and above if it comes first
    for boxes, found in (((LARGE, worse), 1.0), ((worse, LARGE), 1.0)):
        scene.predictions.clear()
        scene.found(*boxes, score=0.5)
        results = evaluate(scene.annotations, scene.predictions)
        assert results["AR_10"] == found
        first_is_right = boxes[0] == LARGE
        # At 0.65 … 0.95 the worse one is a false alarm before or after the hit.
        assert results["AP_75"] == pytest.approx(1 if first_is_right else 1 / 2)


def test_size_of_a_detection_is_that_of_its_box_if_all_have_boxes(scene: Any) -> None:
    # A false alarm of 20 x 20 pixels whose box is said to be large: no false alarm among the small.
    scene.objects("unseen", SMALL).found(FAR, SMALL)
    scene.predictions[0]["bbox"] = [0, 0, 100, 100]
    assert evaluate(scene.annotations, scene.predictions)["AP_s"] == pytest.approx(1)
    for record in scene.predictions:
        del record["bbox"]
    assert evaluate(scene.annotations, scene.predictions)["AP_s"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("protocol", CLASS_AGNOSTIC)
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
class TestEmpty:
    def test_nothing_to_evaluate(self, scene: Any, protocol: Any, iou_type: IouType) -> None:
        scene.objects("seen", SMALL).found(SMALL)
        options: Any = {"protocol": protocol, "iou_type": iou_type}
        for unseen in ([], ["unseen"]):
            results = evaluate(scene.annotations, scene.predictions, unseen=unseen, **options)
            assert set(results.values()) == {-1}
        scene.annotations["annotations"].clear()
        assert set(evaluate(scene.annotations, scene.predictions, **options).values()) == {-1}

    def test_only_crowds(self, scene: Any, protocol: Any, iou_type: IouType) -> None:
        scene.objects("unseen", SMALL, crowd=1).found(SMALL)
        results = evaluate(
            scene.annotations, scene.predictions, protocol=protocol, iou_type=iou_type
        )
        assert set(results.values()) == {-1}

    def test_no_images(self, scene: Any, protocol: Any, iou_type: IouType) -> None:
        scene.annotations["images"].clear()
        results = evaluate(scene.annotations, [], protocol=protocol, iou_type=iou_type)
        assert set(results.values()) == {-1}

    def test_no_detections(self, scene: Any, protocol: Any, iou_type: IouType) -> None:
        scene.objects("unseen", SMALL)
        results = evaluate(scene.annotations, [], protocol=protocol, iou_type=iou_type)
        assert {results[f"AR_{k}"] for k in BUDGETS} == {results["AR_s_100"]} == {0}
        assert results["AR_m_100"] == results["AR_l_100"] == -1
        assert results["AP"] == (-1 if protocol == "per_class" else 0)


# Categories and options


def test_unseen_by_name_id_and_partition(scene: Any) -> None:
    scene.annotations["categories"] = [{"id": 3, "name": "person"}, {"id": 7, "name": "kite"}]
    scene.objects("seen", SMALL).objects("unseen", MEDIUM, LARGE).found(MEDIUM)
    by_name, by_id, by_partition, of_all = (
        evaluate(scene.annotations, scene.predictions, unseen=unseen)["AR_10"]
        for unseen in (["kite"], iter([7]), "nonperson", None)
    )
    assert by_name == by_id == by_partition == 1 / 2
    assert of_all == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unseen": ["zebra"]}, "zebra"),
        ({"unseen": [4]}, "4"),
        # Kept as a string, a group of categories would be a substring test: "nse" in "unseen".
        ({"unseen": "nse"}, "nse"),
        (
            {"protocol": "xclass"},
            r"protocol must be one of \['budget', 'federated', 'per_class', 'plain'\]",
        ),
        ({"iou_type": "keypoints"}, r"iou_type must be one of \['bbox', 'segm'\], got 'keypoints'"),
    ],
)
def test_unknown_option_is_refused(scene: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(scene.annotations, [], **options)


def test_categories_are_those_of_the_file_not_the_80_of_coco(scene: Any) -> None:
    scene.annotations["categories"] = [{"id": 5000, "name": "blob"}, {"id": 0, "name": "seen blob"}]
    scene.objects("unseen", SMALL).found(SMALL)
    scene.annotations["annotations"][0]["category_id"] = 5000
    assert evaluate(scene.annotations, scene.predictions, unseen=["blob"])["AR_10"] == 1


@pytest.mark.parametrize("protocol", CLASS_AGNOSTIC)
def test_partitions_are_as_if_evaluated_one_by_one(scene: Any, protocol: Any) -> None:
    scene.objects("seen", SMALL).objects("unseen", MEDIUM).objects("rare", LARGE)
    scene.found(MEDIUM, SMALL, FAR, (0, 100, 100, 62), (40, 0, 90, 60), SMALL)
    partitions: dict[str, Any] = {
        "seen": [3],
        "unseen": ["unseen", "rare"],
        "all": None,
        "none": [],
    }
    together = evaluate_partitions(
        scene.annotations, scene.predictions, partitions, protocol=protocol
    )
    expected = {
        f"{partition}/{prefix}_{name}": value
        for iou_type, prefix in (("bbox", "box"), ("segm", "mask"))
        for partition, categories in partitions.items()
        for name, value in evaluate(
            scene.annotations,
            scene.predictions,
            unseen=categories,
            protocol=protocol,
            iou_type=iou_type,  # type: ignore[arg-type]
        ).items()
    }
    assert together == expected
    assert "unseen/mask_AR_100" in together
    assert not any("@" in name for name in together)


# Random scenes: small integer boxes and few scores, so that overlaps and scores tie all the time

RANDOM_SIDE = 16
small_box = st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(1, 8), st.integers(1, 8))
random_object = st.tuples(
    st.integers(0, 2),
    st.sampled_from([1, 2, 5]),
    small_box,
    st.booleans(),
    st.sampled_from([0, 30, 1024, 5000, 9216, 90000]),
)
random_detection = st.tuples(
    st.integers(0, 3), small_box, st.integers(1, 5), st.sampled_from([1, 2, 5]), st.booleans()
)
random_objects = st.lists(random_object, max_size=12)
random_detections = st.lists(random_detection, max_size=25)


def mask_of(box: Sequence[int], hollow: bool = False) -> dict[str, Any]:
    x, y, width, height = box
    bitmap = np.zeros((1, RANDOM_SIDE, RANDOM_SIDE), bool)
    bitmap[:, y : y + height, x : x + width] = True
    if hollow:
        bitmap[:, y + 1 : y + height - 1, x + 1 : x + width - 1] = False
    return dict(encode(bitmap)[0])


def random_dataset(objects: Sequence[Any]) -> Dataset:
    """Four images, the last without objects."""
    return {
        "images": [{"id": i, "height": RANDOM_SIDE, "width": RANDOM_SIDE} for i in range(4)],
        "categories": [{"id": id_, "name": f"category {id_}"} for id_ in (1, 2, 5)],
        "annotations": [
            {
                "id": 1 + index,
                "image_id": image_id,
                "category_id": category_id,
                "bbox": list(box),
                "segmentation": mask_of(box),
                "area": area or box[2] * box[3],
                # Few crowds: they ignore a lot.
                "iscrowd": int(crowd and index % 3 == 0),
            }
            for index, (image_id, category_id, box, crowd, area) in enumerate(objects)
        ],
    }


def random_results(detections: Sequence[Any]) -> Results:
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": list(box),
            "segmentation": mask_of(box, hollow),
            "score": score / 5,
        }
        for image_id, box, score, category_id, hollow in detections
    ]


@settings(deadline=None, max_examples=40)
@given(random_objects, random_detections, st.randoms(use_true_random=False))
def test_order_of_images_does_not_matter(objects: Any, detections: Any, random: Any) -> None:
    dataset, results = random_dataset(objects), random_results(detections)
    expected = evaluate_partitions(dataset, results, {"unseen": [5], "all": None})
    random.shuffle(dataset["images"])
    random.shuffle(dataset["categories"])
    assert evaluate_partitions(dataset, results, {"unseen": [5], "all": None}) == expected


@settings(deadline=None, max_examples=40)
@given(random_objects, random_detections, st.randoms(use_true_random=False))
def test_order_of_detections_does_not_matter_without_ties(
    objects: Any, detections: Any, random: Any
) -> None:
    dataset, results = random_dataset(objects), random_results(detections)
    for index, record in enumerate(results):
        record["score"] += index / 1000
    expected = evaluate_partitions(dataset, results, {"unseen": [5], "all": None})
    random.shuffle(results)
    assert evaluate_partitions(dataset, results, {"unseen": [5], "all": None}) == expected


@settings(deadline=None, max_examples=40)
@given(random_objects, random_detections, random_detection)
def test_one_more_detection_at_the_end_never_lowers_recall(
    objects: Any, detections: Any, last: Any
) -> None:
    dataset = random_dataset(objects)
    (worst,) = random_results([last])
    worst["score"] = 0.0
    results = random_results(detections)
    before = evaluate(dataset, results, unseen=[1, 5], protocol="plain", iou_type="bbox")
    after = evaluate(dataset, [*results, worst], unseen=[1, 5], protocol="plain", iou_type="bbox")
    for name in METRIC_NAMES:
        if name.startswith("AR"):
            assert after[name] >= before[name]


@settings(deadline=None, max_examples=40)
@given(random_objects, random_detections, st.sampled_from(CLASS_AGNOSTIC))
def test_recall_rises_with_the_budget_and_is_a_share(
    objects: Any, detections: Any, protocol: Any
) -> None:
    metrics = evaluate(
        random_dataset(objects), random_results(detections), unseen=[2], protocol=protocol
    )
    by_budget = [metrics[f"AR_{k}"] for k in BUDGETS]
    assert by_budget == sorted(by_budget)
    assert all(value == -1 or 0 <= value <= 1 for value in metrics.values())


@settings(deadline=None, max_examples=40)
@given(random_objects)
def test_objects_themselves_are_perfect_detections(objects: Any) -> None:
    dataset = random_dataset(objects)
    for record in dataset["annotations"]:
        record["iscrowd"] = 0
    perfect = [
        {key: record[key] for key in ("image_id", "bbox", "segmentation")} | {"score": 1.0}
        for record in dataset["annotations"]
    ]
    metrics = evaluate(dataset, perfect, protocol="plain")
    assert metrics["AR_100"] in (1, -1)


# Oracle: pycocotools


class PooledCOCOeval(COCOeval):  # type: ignore[misc]
    """COCOeval of all categories together; with `seen`, by the budget protocol.

    The budget protocol is put together from COCOeval's own parts: the objects of seen categories
    are ignored, and then detections matched to one of them at IoU 0.5 are struck from the lists.
    """

    def __init__(self, gt: COCO, dt: COCO, iou_type: str, seen: Sequence[int] = ()) -> None:
        super().__init__(gt, dt, iou_type)
        self.params.useCats = 0
        self.params.maxDets = list(BUDGETS)
        self.seen = set(seen)

    def _prepare(self) -> None:
        super()._prepare()
        for records in self._gts.values():
            for record in records:
                record["ignore"] |= record["category_id"] in self.seen

    def evaluate(self) -> None:
        super().evaluate()
        seen = [
            a["id"] for a in self.cocoGt.dataset["annotations"] if a["category_id"] in self.seen
        ]
        for image in filter(None, self.evalImgs):
            stays = ~np.isin(image["dtMatches"][0], seen)
            image["dtMatches"] = image["dtMatches"][:, stays]
            image["dtIgnore"] = image["dtIgnore"][:, stays]
            image["dtScores"] = np.array(image["dtScores"])[stays].tolist()

    def metrics(self) -> dict[str, float]:
        self.evaluate()
        self.accumulate()
        recall, precision = self.eval["recall"][:, 0], self.eval["precision"][:, :, 0]

        def mean(values: np.ndarray) -> float:
            return float(np.mean(values[values > -1])) if (values > -1).any() else -1.0

        at_100 = BUDGETS.index(100)
        sizes = dict(zip(("all", "s", "m", "l"), range(4), strict=True))
        return {
            **{f"AR_{k}": mean(recall[:, 0, m]) for m, k in enumerate(BUDGETS)},
            **{f"AR_{size}_100": mean(recall[:, sizes[size], at_100]) for size in "sml"},
            "AP": mean(precision[:, :, 0, at_100]),
            "AP_50": mean(precision[0, :, 0, at_100]),
            "AP_75": mean(precision[5, :, 0, at_100]),
            **{f"AP_{size}": mean(precision[:, :, sizes[size], at_100]) for size in "sml"},
        }


def pycocotools_metrics(
    dataset: Dataset, results: Results, iou_type: str, evaluated: Sequence[int], protocol: str
) -> dict[str, float]:
    seen = [c["id"] for c in dataset["categories"] if c["id"] not in evaluated]
    dataset, results = copy.deepcopy(dataset), copy.deepcopy(results)
    if protocol == "plain":
        dataset["annotations"] = [
            a for a in dataset["annotations"] if a["category_id"] in evaluated
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        oracle = PooledCOCOeval(
            truth, truth.loadRes(results), iou_type, seen if protocol == "budget" else ()
        )
        return oracle.metrics()


@pytest.mark.parametrize("protocol", ["plain", "budget"])
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@settings(deadline=None, max_examples=40)
@given(
    objects=random_objects,
    detections=st.lists(random_detection, min_size=1, max_size=25),
    evaluated=st.sampled_from([[1, 2, 5], [2, 5], [5], []]),
    with_boxes=st.booleans(),
)
def test_equals_pycocotools(
    objects: Any, detections: Any, evaluated: Any, with_boxes: bool, iou_type: Any, protocol: Any
) -> None:
    dataset, results = random_dataset(objects), random_results(detections)
    if not with_boxes:
        for record in results:
            del record["bbox"]
    expected = pycocotools_metrics(dataset, results, iou_type, evaluated, protocol)
    got = evaluate(dataset, results, unseen=evaluated, protocol=protocol, iou_type=iou_type)
    assert got == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("protocol", ["plain", "budget"])
def test_equals_pycocotools_beyond_all_budgets(protocol: Any) -> None:
    random = np.random.default_rng(0)
    corners, sides = random.integers(0, 9, (1600, 2)), random.integers(1, 9, (1600, 2))
    boxes = np.concatenate([corners, sides], axis=1).tolist()
    dataset = random_dataset([(i % 2, (1, 2, 5)[i % 3], boxes[-i], False, 0) for i in range(20)])
    results = random_results([(0, box, i % 50, 1, False) for i, box in enumerate(boxes)])
    expected = pycocotools_metrics(dataset, results, "bbox", [1, 5], protocol)
    got = evaluate(dataset, results, unseen=[1, 5], protocol=protocol, iou_type="bbox")
    assert got == pytest.approx(expected, abs=1e-9)


def test_annotation_id_zero_is_an_object_like_any_other(scene: Any) -> None:
    # pycocotools takes a match with it for no match: the one place where we mean to differ.
    scene.objects("unseen", SMALL).found(SMALL)
    scene.annotations["annotations"][0]["id"] = 0
    dataset = scene.annotations
    dataset["annotations"][0]["category_id"] = 3
    assert evaluate(dataset, scene.predictions)["AR_10"] == 1
    assert pycocotools_metrics(dataset, scene.predictions, "segm", [3], "plain")["AR_10"] == 0
