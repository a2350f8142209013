"""One training step of other people's detectors on annotations plus pseudo masks.

    ggn pseudo-gt export data/SPLIT/training/ggn.json -o train.json --format coco --class-agnostic
    python benchmarks/foreign_detectors.py train.json data/SPLIT/prepared/images/train torchvision
    PYTHON_WITH_ULTRALYTICS benchmarks/foreign_detectors.py train.json IMAGES ultralytics

Needs nothing of ours, so that it runs in an environment of its own: `ultralytics` is under AGPL and
no dependency of ours (`pip install ultralytics`). Nothing is downloaded: all weights are random.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any


def torchvision(annotations: Path, images: Path) -> None:
    """Its Mask R-CNN, fed as its references do: `CocoDetection` and pycocotools."""
    import numpy as np
    import torch
    from PIL import Image
    from pycocotools.coco import COCO
    from torchvision.models.detection import maskrcnn_resnet50_fpn
    from torchvision.transforms.functional import pil_to_tensor

    coco = COCO(str(annotations))
    pictures, targets = [], []
    with_masks = [i for i in sorted(coco.imgs) if coco.getAnnIds(imgIds=i, iscrowd=False)]
    for image_id in with_masks[:2]:
        found = coco.loadAnns(coco.getAnnIds(imgIds=image_id, iscrowd=False))
        x, y, width, height = np.array([a["bbox"] for a in found], np.float32).T
        with Image.open(images / coco.imgs[image_id]["file_name"]) as file:
            pictures.append(pil_to_tensor(file.convert("RGB")) / 255)
        targets.append(
            {
                "boxes": torch.from_numpy(np.stack([x, y, x + width, y + height], axis=1)),
                "labels": torch.tensor([a["category_id"] for a in found]),
                "masks": torch.from_numpy(np.stack([coco.annToMask(a) for a in found])),
            }
        )
    classes = max(coco.cats) + 1
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=classes)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = network.train()(pictures, targets)
    total = sum(losses.values())
    assert torch.isfinite(total), losses
    total.backward()
    optimiser.step()
    print("torchvision:", {name: round(loss.item(), 3) for name, loss in losses.items()})


def ultralytics(annotations: Path, images: Path) -> None:
    """Its segmentation model, by its own reader of COCO files."""
    from ultralytics import YOLO
    from ultralytics.data.converter import convert_coco

    content = json.loads(annotations.read_text())
    first = sorted(content["images"], key=lambda image: image["id"])[:4]
    ids = {image["id"] for image in first}
    content["images"] = first
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "coco").mkdir()
        (folder / "coco" / "train.json").write_text(json.dumps(content))
        convert_coco(folder / "coco", save_dir=folder / "yolo", use_segments=True, cls91to80=False)
        target = folder / "yolo" / "images" / "train"
        for image in first:
            path = target / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(images / image["file_name"], path)
        names = {c["id"] - 1: c["name"] for c in content["categories"]}
        data: dict[str, Any] = {
            "path": str(folder / "yolo"), "train": "images/train", "val": "images/train",
            "names": names,
        }  # fmt: skip
        (folder / "data.yaml").write_text(json.dumps(data))  # JSON is YAML
        labels = [line for f in (folder / "yolo" / "labels").rglob("*.txt") for line in f.open()]
        model = YOLO("yolo11n-seg.yaml")
        model.train(
            data=str(folder / "data.yaml"), epochs=1, batch=4, imgsz=160, device="cpu", workers=0,
            pretrained=False, plots=False, val=False, amp=False, project=str(folder), verbose=False,
        )  # fmt: skip
        wanted = sum(not a["iscrowd"] for a in content["annotations"])
        print(f"ultralytics: {len(labels)} of {wanted} masks read, losses {model.trainer.tloss}")


DETECTORS = {"torchvision": torchvision, "ultralytics": ultralytics}


def main() -> None:
    """Train one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("detector", choices=DETECTORS)
    arguments = parser.parse_args()
    DETECTORS[arguments.detector](arguments.annotations, arguments.images)


if __name__ == "__main__":
    main()
