"""What each protocol counts, ignores and takes out of the budget, in scenes to check by hand."""

from typing import Any, get_args

import numpy as np
import pytest

from ggn.evaluation import evaluate
from ggn.evaluation.params import PROTOCOL_NAMES, IouType, ProtocolName
from ggn.evaluation.protocols import PROTOCOLS, ImageOverlaps, federated_views, per_class_views

# Six places that do not touch, 20 x 20 pixels each; and ten that overlap none of them.
PLACES = [(30 * column, 0, 20, 20) for column in range(6)]
NOWHERE = [(18 * column, 100, 10, 10) for column in range(11)]

pytestmark = pytest.mark.parametrize("iou_type", ["bbox", "segm"])


def average_recall(
    scene: Any, protocol: ProtocolName, iou_type: IouType, k: int = 10, unseen: Any = ("unseen",)
) -> float:
    results = evaluate(
        scene.annotations,
        scene.predictions,
        unseen=unseen,
        protocol=protocol,
        iou_type=iou_type,
    )
    return results[f"AR_{k}"]


def test_every_named_protocol_exists(iou_type: IouType) -> None:
    assert set(PROTOCOLS) == set(PROTOCOL_NAMES) == set(get_args(ProtocolName))


@pytest.mark.parametrize(
    ("protocol", "at_10", "at_20"),
    [
        # Rank of the unseen object among all 15 detections: 15.
        ("plain", 0, 1),
        # The five detections of seen objects leave: rank 10.
        ("budget", 1, 1),
        ("per_class", 1, 1),
    ],
)
def test_detection_of_a_seen_object_is_free_of_charge(
    scene: Any, iou_type: IouType, protocol: ProtocolName, at_10: float, at_20: float
) -> None:
    scene.objects("seen", *PLACES[:5]).objects("unseen", PLACES[5])
    scene.found(*PLACES[:5], *NOWHERE[:9], PLACES[5])
    assert average_recall(scene, protocol, iou_type, 10) == at_10
    assert average_recall(scene, protocol, iou_type, 20) == at_20


@pytest.mark.parametrize(("protocol", "at_10"), [("plain", 0), ("budget", 0), ("per_class", 1)])
def test_duplicate_of_a_seen_object_costs_a_place_under_budget(
    scene: Any, iou_type: IouType, protocol: ProtocolName, at_10: float
) -> None:
    # Eleven detections of one seen object: one leaves the budget, ten fill it.
    scene.objects("seen", PLACES[0]).objects("unseen", PLACES[1])
    scene.found(*[PLACES[0]] * 11, PLACES[1])
    assert average_recall(scene, protocol, iou_type, 10) == at_10


@pytest.mark.parametrize(("protocol", "at_10"), [("plain", 0), ("budget", 0), ("per_class", 0)])
def test_detection_of_nothing_costs_a_place(
    scene: Any, iou_type: IouType, protocol: ProtocolName, at_10: float
) -> None:
    scene.objects("unseen", PLACES[0]).found(*NOWHERE[:10], PLACES[0])
    assert average_recall(scene, protocol, iou_type, 10) == at_10


@pytest.mark.parametrize(
    ("height", "at_10"),
    [(10, 1), (9, 0)],  # IoU with the seen object: 200 / 400 = 0.5, and 180 / 400 = 0.45
)
def test_seen_object_is_found_at_iou_one_half(
    scene: Any, iou_type: IouType, height: int, at_10: float
) -> None:
    scene.objects("seen", PLACES[0]).objects("unseen", PLACES[1])
    scene.found((0, 0, 20, height), *NOWHERE[:9], PLACES[1])
    assert average_recall(scene, "budget", iou_type, 10) == at_10


def test_seen_object_found_at_one_half_frees_the_place_for_all_thresholds(
    scene: Any, iou_type: IouType
) -> None:
    # At IoU 0.5 the second detection gets the seen object, since the first has taken the unseen
    # one; so it leaves, and with it its hit of the unseen object (IoU 0.85) at 0.65 … 0.85.
    scene.objects("seen", (0, 0, 100, 60)).objects("unseen", (0, 0, 100, 100))
    scene.found((0, 0, 100, 62), (0, 0, 100, 85))
    # First detection: IoU 0.62 with the unseen object, a hit at 0.50, 0.55, 0.60.
    assert average_recall(scene, "budget", iou_type) == pytest.approx(3 / 10)
    # Alone with the unseen object, the second one hits at 0.65, 0.70, 0.75, 0.80, 0.85.
    assert average_recall(scene, "plain", iou_type) == pytest.approx(8 / 10)


def test_unseen_object_goes_before_a_seen_one_that_overlaps_more(
    scene: Any, iou_type: IouType
) -> None:
    scene.objects("seen", (0, 0, 100, 100)).objects("unseen", (0, 0, 100, 62))
    scene.found((0, 0, 100, 100))
    # A hit at 0.50, 0.55, 0.60; it has not found the seen object there, so it stays.
    assert average_recall(scene, "budget", iou_type) == pytest.approx(3 / 10)
    # per_class takes it away: it overlaps a seen object.
    assert average_recall(scene, "per_class", iou_type) == 0


def test_per_class_averages_over_categories_the_others_pool(scene: Any, iou_type: IouType) -> None:
    # One of one "unseen" object found, one of three "rare" ones.
    scene.objects("unseen", PLACES[0]).objects("rare", *PLACES[1:4]).found(PLACES[0], PLACES[1])
    unseen = ["unseen", "rare"]
    assert average_recall(scene, "per_class", iou_type, unseen=unseen) == pytest.approx(2 / 3)
    assert average_recall(scene, "budget", iou_type, unseen=unseen) == 2 / 4
    assert average_recall(scene, "plain", iou_type, unseen=unseen) == 2 / 4


def test_per_class_looks_at_one_category_at_a_time(scene: Any, iou_type: IouType) -> None:
    # One detection lies on an object of either category: each category finds it.
    scene.objects("unseen", PLACES[0]).objects("rare", PLACES[0]).found(PLACES[0])
    unseen = ["unseen", "rare"]
    assert average_recall(scene, "per_class", iou_type, unseen=unseen) == 1
    assert average_recall(scene, "plain", iou_type, unseen=unseen) == 1 / 2


def test_per_class_averages_only_categories_with_objects(scene: Any, iou_type: IouType) -> None:
    scene.objects("unseen", PLACES[0]).objects("rare", PLACES[1], crowd=1).found(PLACES[0])
    assert average_recall(scene, "per_class", iou_type, unseen=["unseen", "rare"]) == 1


def test_per_class_has_no_precision(scene: Any, iou_type: IouType) -> None:
    scene.objects("unseen", PLACES[0]).found(PLACES[0])
    results = evaluate(
        scene.annotations, scene.predictions, protocol="per_class", iou_type=iou_type
    )
    assert results["AR_100"] == 1
    assert {value for name, value in results.items() if name.startswith("AP")} == {-1}


@pytest.mark.parametrize(("protocol", "at_10"), [("plain", 0), ("budget", 1), ("per_class", 1)])
def test_seen_crowd_takes_any_number_of_detections_out(
    scene: Any, iou_type: IouType, protocol: ProtocolName, at_10: float
) -> None:
    # Ten detections inside the crowd: its rule divides by the detection's area, so IoU is 1.
    scene.objects("seen", (0, 100, 200, 60), crowd=1).objects("unseen", PLACES[0])
    scene.found(*NOWHERE[:10], PLACES[0])
    assert average_recall(scene, protocol, iou_type) == at_10


@pytest.mark.parametrize("protocol", ["plain", "budget"])
def test_unseen_crowd_is_neither_counted_nor_a_false_alarm(
    scene: Any, iou_type: IouType, protocol: ProtocolName
) -> None:
    scene.objects("unseen", (0, 100, 200, 60), crowd=1).objects("unseen", PLACES[0])
    scene.found(*NOWHERE[:9], PLACES[0])
    results = evaluate(scene.annotations, scene.predictions, protocol=protocol, iou_type=iou_type)
    assert results["AR_10"] == 1
    assert results["AP"] == pytest.approx(1)
    # But its detections keep their places: a tenth pushes the object out of the ten.
    scene.found(NOWHERE[9], score=2)
    assert average_recall(scene, protocol, iou_type) == 0


def test_detection_of_a_seen_object_is_no_false_alarm_under_budget(
    scene: Any, iou_type: IouType
) -> None:
    scene.objects("seen", PLACES[0]).objects("unseen", PLACES[1]).found(PLACES[0], PLACES[1])
    options: Any = {"unseen": ["unseen"], "iou_type": iou_type}
    budget = evaluate(scene.annotations, scene.predictions, **options)
    plain = evaluate(scene.annotations, scene.predictions, protocol="plain", **options)
    assert budget["AP"] == pytest.approx(1)
    assert plain["AP"] == pytest.approx(1 / 2)


def test_category_of_a_detection_does_not_matter(scene: Any, iou_type: IouType) -> None:
    scene.objects("unseen", PLACES[0]).found(PLACES[0])
    for category_id in (3, 7, 12345):
        scene.predictions[0]["category_id"] = category_id
        assert average_recall(scene, "budget", iou_type) == 1
    del scene.predictions[0]["category_id"]
    assert average_recall(scene, "budget", iou_type) == 1


def test_a_detection_of_iou_one_half_belongs_to_a_seen_object(iou_type: IouType) -> None:
    iou = np.array([[0.5, 0.0], [np.nextafter(0.5, 0), 0.0]])  # with a seen and an unseen object
    image = ImageOverlaps(iou, np.array([3, 7]), np.zeros(2, bool), np.zeros(2, np.int64))
    assert per_class_views(image, np.array([7]))[7].takes_part.tolist() == [False, True]


def test_views_of_an_image_whose_categories_are_all_seen(iou_type: IouType) -> None:
    image = ImageOverlaps(np.ones((2, 1)), np.array([3]), np.array([False]), np.array([3, 3]))
    assert per_class_views(image, np.array([7])) == {}
    for name in ("budget", "plain"):
        (view,) = PROTOCOLS[name].views(image, np.array([7])).values()
        assert not view.counted.any()
        assert view.takes_part.all()


def test_without_lists_an_image_is_searched_for_its_own_categories_alone(iou_type: IouType) -> None:
    image = ImageOverlaps(np.ones((2, 1)), np.array([3]), np.array([False]), np.array([3, 7]))
    ((category, view),) = federated_views(image, np.array([3, 7])).items()
    assert (category, view.is_exhaustive) == (3, True)
    assert view.takes_part.tolist() == [True, False]
