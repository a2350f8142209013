"""The whole network, with either pair of heads: padding, pyramid, gradients."""

import math
from typing import Any

import pytest
import torch

from ggn.detector.mask_rcnn import Batch, MaskRCNN, padded_size
from ggn.detector.params import DetectorParams


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(sizes_hw: list[tuple[int, int]], objects: list[int]) -> Batch:
    """Noise with squares on it, `objects` of them on each image."""
    torch.manual_seed(0)
    images, boxes, masks = [], [], []
    for (height, width), count in zip(sizes_hw, objects, strict=True):
        image = torch.randint(0, 255, (3, height, width), dtype=torch.uint8)
        corners = [(2 + 9 * k, 3 + 5 * k, 18 + 9 * k, 17 + 5 * k) for k in range(count)]
        mask = torch.zeros((count, height, width), dtype=torch.uint8)
        for k, (x1, y1, x2, y2) in enumerate(corners):
            mask[k, y1:y2, x1:x2] = 1
        images.append(image)
        boxes.append(torch.tensor(corners, dtype=torch.float32).reshape(-1, 4))
        masks.append(mask)
    return Batch(images, boxes, masks, list(range(len(images))))


def oln(params: DetectorParams, **changes: Any) -> DetectorParams:
    return DetectorParams.model_validate({**params.model_dump(), "heads": "oln", **changes})


def model(params: DetectorParams) -> MaskRCNN:
    torch.manual_seed(0)
    return MaskRCNN(params)


# --- shapes and sizes ---


@pytest.mark.parametrize(
    ("size", "padded"), [((1, 1), (32, 32)), ((32, 33), (32, 64)), ((214, 310), (224, 320))]
)
def test_sides_are_padded_to_multiples_of_32(
    size: tuple[int, int], padded: tuple[int, int]
) -> None:
    assert padded_size(size) == padded


def test_images_are_normalised_and_padded_with_zeros_right_and_below() -> None:
    image = torch.tensor([124, 116, 104], dtype=torch.uint8)[:, None, None].expand(3, 20, 40)
    inputs = MaskRCNN.prepare_images([image, torch.zeros((3, 33, 10), dtype=torch.uint8)])
    assert inputs.shape == (2, 3, 64, 64)
    assert inputs[0, :, :20, :40].abs().max() < 0.01  # the mean colour
    assert not inputs[0, :, 20:].any()
    assert not inputs[0, :, :, 40:].any()
    assert inputs[1, 0, 32, 9] == pytest.approx(-123.675 / 58.395)


def test_the_pyramid_has_five_levels(tiny_params: DetectorParams) -> None:
    features = model(tiny_params).features(torch.zeros(1, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [
        (1, 16, 16, 24),
        (1, 16, 8, 12),
        (1, 16, 4, 6),
        (1, 16, 2, 3),
        (1, 16, 1, 2),
    ]


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_all_backbones_fit(name: str, tiny_params: DetectorParams) -> None:
    backbone = {**tiny_params.backbone.model_dump(), "name": name}
    params = DetectorParams.model_validate({**tiny_params.model_dump(), "backbone": backbone})
    with torch.device("meta"):
        network = MaskRCNN(params)
        assert len(network.features(torch.zeros(1, 3, 64, 64))) == 5


def test_the_reference_recipe_freezes_stem_and_first_stage() -> None:
    with torch.device("meta"):
        network = MaskRCNN(DetectorParams())
    frozen = {k for k, p in network.named_parameters() if not p.requires_grad}
    assert {k.split(".")[1] for k in frozen} == {"conv1", "bn1", "layer1"}


# --- training ---


@pytest.mark.parametrize("objects", [[2, 3], [0, 2], [0, 0]])
def test_every_part_that_can_learn_gets_finite_gradients(
    objects: list[int], tiny_params: DetectorParams
) -> None:
    network = model(tiny_params)
    losses = network.losses(batch([(64, 48), (40, 64)], objects), generator())
    assert set(losses) == {"rpn_objectness", "rpn_box", "box_class", "box_regression", "mask"}
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name  # none is unused: distributed training needs that
        assert torch.isfinite(parameter.grad).all(), name
    learned = {"rpn_objectness", "box_class"} if sum(objects) == 0 else set(losses)
    assert {name for name, value in losses.items() if value > 0} == learned


@pytest.mark.parametrize("objects", [[2, 3], [0, 2], [0, 0]])
def test_every_part_of_oln_gets_finite_gradients(
    objects: list[int], tiny_params: DetectorParams
) -> None:
    network = model(oln(tiny_params))
    losses = network.losses(batch([(64, 48), (40, 64)], objects), generator())
    assert set(losses) == {"rpn_centerness", "rpn_box", "box_iou", "box_regression", "mask"}
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    learned = {"rpn_centerness"} if sum(objects) == 0 else set(losses)
    assert {name for name, value in losses.items() if value > 0} == learned


def test_without_mask_head_there_are_boxes_alone(tiny_params: DetectorParams) -> None:
    network = model(oln(tiny_params, mask=None)).eval()
    data = batch([(64, 48)], [2])
    assert "mask" not in network.losses(data, generator())
    detections, probabilities = network.detect(data.images[0], (64, 48))
    assert len(detections.scores) > 0
    assert probabilities is None
    with pytest.raises(ValueError, match="mask: null"):
        network.mask_probabilities([], detections.boxes_xyxy)


def test_losses_follow_the_generator_alone(tiny_params: DetectorParams) -> None:
    network, data = model(tiny_params), batch([(64, 64)] * 2, [3, 3])
    first, again, other = (network.losses(data, generator(seed)) for seed in (1, 1, 2))
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in again.items()}
    assert first["box_class"].item() != other["box_class"].item()


def test_an_image_is_trained_alike_alone_and_beside_others(tiny_params: DetectorParams) -> None:
    everything = {
        "rpn": {**tiny_params.rpn.model_dump(), "samples": 10_000},
        "box": {**tiny_params.box.model_dump(), "samples": 10_000},
    }
    params = DetectorParams.model_validate({**tiny_params.model_dump(), **everything})
    network, image = model(params), batch([(64, 48)], [2])
    twice = Batch(*(part * 2 for part in image))
    alone, beside = network.losses(image, generator()), network.losses(twice, generator())
    for name, loss in alone.items():
        assert beside[name].item() == pytest.approx(loss.item(), rel=1e-4), name


def test_half_precision_trains_and_keeps_losses_in_float32(tiny_params: DetectorParams) -> None:
    network, data = model(tiny_params), batch([(64, 64)], [3])
    full = network.losses(data, generator())
    with torch.autocast("cpu", torch.bfloat16):
        half = network.losses(data, generator())
    for name, loss in half.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(full[name].item(), rel=0.1), name


# --- detection ---


def test_a_box_is_rated_by_the_box_head_and_by_its_nearest_anchor(
    tiny_params: DetectorParams,
) -> None:
    network = model(oln(tiny_params)).eval()
    torch.nn.init.normal_(network.rpn.objectness.weight, std=3.0)
    (image,) = batch([(48, 64)], [2]).images
    with torch.no_grad():
        output = network.rpn(network.features(network.prepare_images([image])))
    anchors = torch.tensor([8 * 16 + 8, 12 * 16 + 3, 16 * 16 + 2 * 8 + 3])  # two levels
    boxes = output.anchors[anchors]
    iou, centerness = network.rate_boxes(image, boxes + 0.4, (48, 64))
    assert torch.allclose(centerness, output.logits[0, anchors].sigmoid())
    assert len(set(centerness.tolist())) == 3
    network.box_head.logits.weight.data.zero_()
    network.box_head.logits.bias.data.fill_(math.log(3))
    iou, _ = network.rate_boxes(image, boxes, (48, 64))
    assert iou.tolist() == pytest.approx([math.sqrt(3 / 4)] * 3)
    # The same boxes in pixels of an original of another size.
    _, again = network.rate_boxes(image, boxes * torch.tensor([3, 2, 3, 2]), (96, 192))
    assert torch.allclose(again, centerness)
    none, _ = network.rate_boxes(image, boxes[:0], (48, 64))
    assert none.shape == (0,)
    with pytest.raises(ValueError, match="only heads 'oln' can rate boxes, got 'mask_rcnn'"):
        model(tiny_params).rate_boxes(image, boxes, (48, 64))


def test_detections_are_in_pixels_of_the_original(tiny_params: DetectorParams) -> None:
    network = model(tiny_params).eval()
    (image,) = batch([(48, 64)], [2]).images
    small, probabilities = network.detect(image, (48, 64))
    large, _ = network.detect(image, (96, 192))
    assert probabilities.shape == (len(small.scores), 10, 10)
    assert len(small.scores) == len(large.scores) == 20
    assert torch.allclose(small.scores, large.scores)
    assert torch.allclose(small.boxes_xyxy * torch.tensor([3, 2, 3, 2]), large.boxes_xyxy)
    assert (small.boxes_xyxy.max(0).values <= torch.tensor([64, 48, 64, 48])).all()
