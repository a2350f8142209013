"""The largest differences between our networks and the recorded reference, as Markdown tables.

    OMP_NUM_THREADS=1 python benchmarks/parity.py [GOLDEN]

GOLDEN is the folder of recorded numbers (weights_recipe.py, A_manifest_*.json, B_*.npz,
C_losses.json), by default tests/golden, which has those without photographs. Boxes are compared as
sets: each with the nearest of the other side.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ggn.affinity.loss import affinity_loss
from ggn.affinity.targets import affinity_targets
from ggn.detector.mask_rcnn import Batch, MaskRCNN
from ggn.detector.paste import encode_masks
from ggn.detector.pooling import pool_regions
from ggn.engine.backbone import normalise
from ggn.openmmlab import build_model, load_checkpoint
from ggn.openmmlab.models import MODEL_KINDS, ReferenceAffinity
from ggn.openmmlab.names import reference_names

IMAGES = {"B": "a photograph", "B_synth": "a synthetic image"}
OF_ITSELF = {  # the reference on other settings of the same machine, where that was recorded
    "affinity": 7e-6,
    "affinity logits, stride 4": 4.1e-5,
    "backbone C2 … C5": 1e-5,
    "pyramid P2 … P6": 4.2e-5,
    "RPN maps": 2.1e-5,
    "proposals (pixels, score)": 1.9e-4,
    "RoI features": 5.5e-5,
    "detections (pixels, score)": 2.2e-4,
    "detections, original size": 4.3e-4,
    "mask logits": 2.5e-5,
}
Difference = tuple[str, float | str]


def main() -> None:
    """Print a table for each image, then one of the losses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    own = Path(__file__).parents[1] / "tests" / "golden"
    parser.add_argument("golden", type=Path, nargs="?", default=own)
    golden = parser.parse_args().golden
    fill = recipe(golden)
    images = [image for image in IMAGES if (golden / f"{image}_image.npz").is_file()]
    columns: dict[str, dict[str, dict[str, float | str]]] = {table: {} for table in (*images, "C")}
    for kind in MODEL_KINDS:
        print(kind, file=sys.stderr)
        weights = fill(kind)
        for image in images:
            model = build_model(kind)
            load_checkpoint(model, weights)
            arrays = np.load(golden / f"{image}_{kind}.npz")
            stored = np.load(golden / f"{image}_image.npz")
            compare = affinity if isinstance(model, ReferenceAffinity) else detector
            with torch.inference_mode():
                columns[image][kind] = dict(compare(model.eval(), stored, arrays))  # type: ignore[operator]
        columns["C"][kind] = dict(losses(kind, weights, golden))
    for image in images:
        print(f"\nOutputs on {IMAGES[image]} (`{image}_*`), largest absolute difference:\n")
        table(columns[image], OF_ITSELF)
    print("\nOne training step on the synthetic image (`C_losses`), largest relative difference:\n")
    table(columns["C"], {})


def table(columns: dict[str, dict[str, float | str]], itself: dict[str, float]) -> None:
    """One row for each quantity, one column for each network."""
    print(f"| | {' | '.join(columns)} |" + (" the reference from itself |" if itself else ""))
    print("|---" + "|---:" * (len(columns) + bool(itself)) + "|")
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        cells = [shown(column.get(name, "")) for column in columns.values()]
        cells += [shown(itself.get(name, ""))] if itself else []
        print(f"| {name} | {' | '.join(cells)} |")


def shown(value: float | str) -> str:
    """Two digits."""
    return value if isinstance(value, str) else f"{value:.1e}"


def recipe(golden: Path) -> Callable[[str], dict[str, Tensor]]:
    """The function that makes the reference's state dict of a network."""
    spec = importlib.util.spec_from_file_location("weights_recipe", golden / "weights_recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def fill(kind: str) -> dict[str, Tensor]:
        keys = json.loads((golden / f"A_manifest_{kind}.json").read_text())["keys"]
        filled: dict[str, Tensor] = module.fill({k: entry["shape"] for k, entry in keys.items()})
        return filled

    return fill


def largest(ours: Tensor, theirs: Any) -> float:
    """Largest absolute difference of two arrays of one shape."""
    return float((ours.double() - torch.as_tensor(theirs).double().view_as(ours)).abs().max())


def of_set(ours: Tensor, theirs: Any) -> float:
    """Largest distance of a row of either side to the nearest row of the other."""
    distances = torch.cdist(ours, torch.as_tensor(theirs), p=float("inf"))
    return float(max(distances.min(0).values.max(), distances.min(1).values.max()))


def chosen(maps: list[Tensor], arrays: Any, prefix: str) -> float:
    """Largest difference at the recorded places of feature maps (1, C, H, W)."""
    return max(
        largest(
            m.contiguous().flatten()[torch.from_numpy(arrays[f"{prefix}_{i}_idx"])],
            arrays[f"{prefix}_{i}_val"],
        )
        for i, m in enumerate(maps)
    )


def affinity(model: ReferenceAffinity, stored: Any, arrays: Any) -> Iterator[Difference]:
    """Differences of the affinity network on one image, unpadded as the reference sees it."""
    pixels = normalise(torch.from_numpy(stored["rgb_u8"]).permute(2, 0, 1)[None])
    features = model.backbone(pixels)
    yield (
        "affinity",
        largest(torch.from_numpy(model.predict(stored["rgb_u8"])), arrays["pa_native"]),
    )
    yield (
        "affinity logits, stride 4",
        largest(model.head(features)[0, 0], arrays["logit_quarter_native"]),
    )
    yield "backbone C2 … C5", chosen(features, arrays, "c_native")


def detector(model: MaskRCNN, stored: Any, arrays: Any) -> Iterator[Difference]:
    """Differences of a detector on one image, stage by stage."""
    image = torch.from_numpy(stored["rgb_u8"]).permute(2, 0, 1)
    height, width = stored["img_shape"].tolist()
    original = tuple(stored["ori_shape"].tolist())
    inputs = model.prepare_images([image])
    features = model.features(inputs)
    yield "backbone C2 … C5", chosen(model.backbone(inputs), arrays, "c")
    yield "pyramid P2 … P6", chosen(features, arrays, "p")
    output = model.rpn(features)
    name = "rpn_obj" if model.params.heads == "oln" else "rpn_cls"
    logits = torch.split(output.logits[0], output.anchors_per_level)
    deltas = torch.split(output.deltas[0], output.anchors_per_level)
    yield (
        "RPN maps",
        max(
            *(largest(level, arrays[f"{name}_{i}"].ravel()) for i, level in enumerate(logits)),
            *(
                largest(level.T, arrays[f"rpn_reg_{i}"].reshape(4, -1))
                for i, level in enumerate(deltas)
            ),
        ),
    )
    (proposals,) = model.rpn.propose(output, torch.tensor([[height, width]]))
    yield "proposals (pixels, score)", of_set(rows(proposals), arrays["proposals"])
    regions = torch.from_numpy(arrays["proposals"][:, :4])
    pooled = pool_regions(features, [regions], 7, level_scale=56, sampling_ratio=0)
    yield "RoI features", largest(pooled[:8, ::16], arrays["roi_feat_first8"])
    scores, deltas = model.box_head(pooled)
    score_name = "bbox_score" if model.params.heads == "oln" else "cls_score"
    yield "box head: logits", largest(scores, arrays[score_name])
    yield "box head: deltas", largest(deltas, arrays["bbox_pred"])
    for size, array in (((height, width), "net"), (original, "rescaled")):
        found = model.find_boxes(features, (height, width), size)
        label = "detections (pixels, score)" if array == "net" else "detections, original size"
        yield label, of_set(rows(found), arrays[f"det_{array}"])
    if model.mask_head is None:
        return
    boxes = torch.from_numpy(arrays["det_rescaled"][:50, :4])
    seen = boxes * torch.from_numpy(stored["scale_factor"])
    pooled = pool_regions(features, [seen], 14, level_scale=56, sampling_ratio=0)
    mask_logits = model.mask_head(pooled)
    yield "mask logits", largest(mask_logits, arrays["mask_logits_rescaled"])
    masks = encode_masks(mask_logits.sigmoid().numpy(), boxes.numpy(), original, 0.5)
    theirs = [t.decode() if isinstance(t, bytes) else t for t in arrays["rle_rescaled"].tolist()]
    differing = sum(mask["counts"] != text for mask, text in zip(masks, theirs, strict=True))
    yield "masks that differ", f"{differing} of {len(masks)}"


def rows(boxes: Any) -> Tensor:
    """Boxes and scores (N, 5) of proposals or detections."""
    return torch.cat([boxes.boxes_xyxy, boxes.scores[:, None]], dim=1)


def losses(kind: str, weights: dict[str, Tensor], golden: Path) -> Iterator[Difference]:
    """Relative differences of the total loss and of the gradient norms, every candidate sampled."""
    recorded = json.loads((golden / "C_losses.json").read_text())[kind]
    stored = np.load(golden / "B_synth_image.npz")
    image = torch.from_numpy(stored["rgb_u8"]).permute(2, 0, 1)
    width = image.shape[2]
    masks = torch.from_numpy(np.unpackbits(stored["gt_masks_packed"], axis=-1)[:, :, :width])
    model = build_model(kind)
    if isinstance(model, MaskRCNN):
        all_of = {
            stage: getattr(model.params, stage).model_copy(update={"samples": 10**6})
            for stage in ("rpn", "box")
        }
        model = type(model)(model.params.model_copy(update=all_of))
        load_checkpoint(model, weights)
        model.backbone.freeze_stages(1)  # the reference's GroupNorm recipe froze its random stem
        batch = Batch([image], [torch.from_numpy(stored["gt_boxes"])], [masks], [0])
        named = model.train().losses(batch, torch.Generator().manual_seed(0))
        total = torch.stack(list(named.values())).sum()
    else:
        load_checkpoint(model, weights)
        total = affinity_step(model.train(), image, masks)
    total.backward()
    yield "total loss", relative(total.item(), recorded["total"])
    names = reference_names(model)
    norms = {
        names[k]: p.grad.double().norm().item()
        for k, p in model.named_parameters()
        if p.grad is not None
    }
    # Under 1e-5 is what rounding leaves of zero, where batch norm silences a pooled 1×1 map.
    trained = {k: norm for k, norm in recorded["grad_norm"].items() if norm and norm > 1e-5}
    yield "gradient norms", max(relative(norms[key], norm) for key, norm in trained.items())


def affinity_step(model: ReferenceAffinity, image: Tensor, masks: Tensor) -> Tensor:
    """The loss with the reference's targets: labels of overlaps added, always divided by 8."""
    summed = (masks.int() * torch.arange(1, len(masks) + 1).view(-1, 1, 1)).sum(0)
    target, weight = affinity_targets(summed[None])
    ones = torch.ones(1, 1, *image.shape[1:])
    inside = torch.nn.functional.conv2d(ones, torch.ones(1, 1, 3, 3), padding=1) - 1
    agreeing = (target * inside).round()
    return affinity_loss(model(normalise(image[None])), agreeing / 8, weight, 0.05)


def relative(ours: float, theirs: float) -> float:
    """Difference in units of the recorded number."""
    return abs(ours - theirs) / abs(theirs)


if __name__ == "__main__":
    main()
