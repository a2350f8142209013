"""The network and the recorded reference: equal weights, equal losses, boxes and masks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ggn.detector.mask_rcnn import Batch, MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.detector.paste import encode_masks
from ggn.detector.pooling import pool_regions
from ggn.detector.roi_heads import ScoredBoxes
from ggn.detector.rpn import Proposals
from ggn.openmmlab import load_checkpoint
from ggn.openmmlab.names import reference_names


def params_of(name: str, **rpn_or_box: dict[str, int]) -> DetectorParams:
    """`maskrcnn` is our default recipe; `maskrcnn_gn` has GroupNorm instead; two have OLN heads."""
    changes: dict[str, dict[str, Any]] = {
        "maskrcnn": {},
        "maskrcnn_gn": {"backbone": {"norm": "group"}, "mask": {"norm": "group"}},
        "oln_box": {"heads": "oln", "mask": None},
        "oln_mask": {"heads": "oln"},
    }
    return DetectorParams.model_validate({**changes[name], **rpn_or_box})


def reference_batch(recorded_file: Callable[[str], Path]) -> Batch:
    """The synthetic image with its ten objects, (214, 310) pixels."""
    stored = np.load(recorded_file("B_synth_image.npz"))
    masks = np.unpackbits(stored["gt_masks_packed"], axis=-1)[:, :, :310]
    return Batch(
        images=[torch.tensor(stored["rgb_u8"]).permute(2, 0, 1)],
        boxes_xyxy=[torch.tensor(stored["gt_boxes"])],
        masks=[torch.tensor(masks)],
        image_ids=[0],
    )


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module", params=["maskrcnn", "maskrcnn_gn", "oln_box", "oln_mask"])
def reference(
    request: pytest.FixtureRequest,
    recorded_weights: Callable[[str], dict[str, Tensor]],
) -> tuple[str, MaskRCNN]:
    everything = {"rpn": {"samples": 10**6}, "box": {"samples": 10**6}}
    model = MaskRCNN(params_of(request.param, **everything))
    load_checkpoint(model, recorded_weights(request.param))
    return request.param, model


def test_losses_and_gradients_equal_the_reference(
    recorded_file: Callable[[str], Path], reference: tuple[str, MaskRCNN]
) -> None:
    name, network = reference
    recorded = json.loads(recorded_file("C_losses.json").read_text())[name]
    network.train().zero_grad()
    network.backbone.freeze_stages(1)  # the reference's GroupNorm recipe froze its random stem
    losses = network.losses(reference_batch(recorded_file), generator())
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    theirs = recorded["losses"]
    expected = {"rpn_box": sum(theirs["loss_rpn_bbox"]), "box_regression": theirs["loss_bbox"]}
    if network.params.heads == "oln":
        expected |= {"rpn_centerness": sum(theirs["loss_rpn_obj"])}
        expected |= {"box_iou": theirs["loss_bbox_score"]}
    else:
        expected |= {"rpn_objectness": sum(theirs["loss_rpn_cls"])}
        expected |= {"box_class": theirs["loss_cls"]}
    if network.mask_head is not None:
        expected["mask"] = theirs["loss_mask"]
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(expected, rel=1e-5)
    assert total.item() == pytest.approx(recorded["total"], rel=1e-5)
    ours = dict(network.named_parameters())
    our_name = {theirs: own for own, theirs in reference_names(network).items()}
    norms = recorded["grad_norm"]
    assert not any(norms[key] for key in norms.keys() - our_name.keys()), "layers of no use"
    for key in norms.keys() & our_name.keys():
        norm, gradient = norms[key], ours[our_name[key]].grad
        if norm is None:
            assert gradient is None, key
        else:
            assert gradient is not None, key
            assert gradient.double().norm().item() == pytest.approx(norm, rel=1e-3), key


def same_set(ours: Tensor, theirs: np.ndarray, tolerance: float) -> bool:
    """Whether two lists of rows are the same set, each row matched within the tolerance."""
    assert len(ours) == len(theirs)
    distances = np.abs(ours.numpy()[:, None] - theirs[None]).max(-1)
    return max(distances.min(0).max(), distances.min(1).max()) <= tolerance


def rows(boxes: ScoredBoxes | Proposals) -> Tensor:
    return torch.cat([boxes.boxes_xyxy, boxes.scores[:, None]], dim=1)


@pytest.mark.parametrize("reference", ["maskrcnn", "maskrcnn_gn", "oln_mask"], indirect=True)
@pytest.mark.parametrize("kind", ["B_synth", "B"])
def test_proposals_and_detections_equal_the_reference(
    recorded_file: Callable[[str], Path], reference: tuple[str, MaskRCNN], kind: str
) -> None:
    name, network = reference
    recorded, stored = (np.load(recorded_file(f"{kind}_{n}.npz")) for n in (name, "image"))
    image = torch.tensor(stored["rgb_u8"]).permute(2, 0, 1)
    size, original = tuple(image.shape[-2:]), tuple(stored["ori_shape"].tolist())
    with torch.inference_mode():
        features = network.eval().features(network.prepare_images([image]))
        output = network.rpn(features)
        (proposals,) = network.rpn.propose(output, torch.tensor([size]))
        regions = torch.tensor(recorded["proposals"][:8, :4])
        pooled = pool_regions(features, [regions], 7, level_scale=56, sampling_ratio=0)
        found = {
            "det_net": network.find_boxes(features, size, size),
            "det_rescaled": network.find_boxes(features, size, original),
        }
    logits = "rpn_obj" if network.params.heads == "oln" else "rpn_cls"
    for level, ours in enumerate(output.logits.split(output.anchors_per_level, dim=1)):
        assert np.allclose(ours[0], recorded[f"{logits}_{level}"].ravel(), atol=1e-3)
    assert same_set(rows(proposals), recorded["proposals"], 2e-3)
    assert np.allclose(pooled[:, ::16], recorded["roi_feat_first8"], atol=1e-3)
    for array, detections in found.items():
        assert same_set(rows(detections), recorded[array], 2e-3)
    if network.params.heads == "oln":
        x1, y1, x2, y2, _ = recorded["proposals"].T
        some = (x2 < x1) | (y2 < y1) | (np.arange(len(x1)) % 70 == 0)  # 9 or 14 are inverted
        iou, _ = network.rate_boxes(image, torch.tensor(recorded["proposals"][some, :4]), size)
        assert np.allclose(torch.logit(iou**2), recorded["bbox_score"][some, 0], atol=1e-3)
    top = torch.tensor(recorded["det_rescaled"][:50, :4])
    with torch.inference_mode():
        boxes = top * torch.tensor(stored["scale_factor"])
        probabilities = network.mask_probabilities(features, boxes)
    assert np.allclose(torch.logit(probabilities), recorded["mask_logits_rescaled"], atol=2e-3)
    masks = encode_masks(probabilities.numpy(), top.numpy(), original, 0.5)
    theirs = [t.decode() if isinstance(t, bytes) else t for t in recorded["rle_rescaled"].tolist()]
    assert sum(mask["counts"] != text for mask, text in zip(masks, theirs, strict=True)) <= 1


@pytest.mark.parametrize("kind", ["B_synth", "B"])
def test_the_recorded_oln_finds_the_same_boxes_with_and_without_masks(
    recorded_file: Callable[[str], Path], kind: str
) -> None:
    boxes, masks = (np.load(recorded_file(f"{kind}_oln_{n}.npz")) for n in ("box", "mask"))
    assert all(np.array_equal(boxes[key], masks[key], equal_nan=True) for key in boxes.files)
