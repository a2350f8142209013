"""What tests of several packages start from."""

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

# As in pipelines/__init__.py, before anything loads torch: threads that wait by spinning make the
# tests several times slower where another program has a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and golden numbers beside the repository; skips if absent."""
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared, real data that is not part of the project")
    return folder


@pytest.fixture(scope="session")
def recorded_weights(shared: Path) -> Callable[[str], dict[str, Any]]:
    """The reference's state dict of `pa`, `maskrcnn`, …: tensors made from the names alone."""
    golden = shared / "golden"
    spec = importlib.util.spec_from_file_location("weights_recipe", golden / "weights_recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)

    def weights(name: str) -> dict[str, Any]:
        keys = json.loads((golden / f"A_manifest_{name}.json").read_text())["keys"]
        filled: dict[str, Any] = recipe.fill({key: entry["shape"] for key, entry in keys.items()})
        return filled

    return weights


@pytest.fixture
def tiny_coco(tmp_path: Path) -> Path:
    """A valid dataset in COCO's layout: 4 training and 2 validation images, 4 categories.

    Colour PNG, grey PNG and JPEG, in two sizes; polygons, both forms of RLE, a crowd; one training
    image without annotation. Category names are COCO's, ids are not consecutive.
    """
    root = tmp_path / "tiny_coco"
    _write_part(root, "train2017", ["a.png", "b.jpg", "grey.png", "nothing.jpg"], first_id=7)
    _write_part(root, "val2017", ["c.png", "d.jpg"], first_id=100)
    return root


def _write_part(root: Path, part: str, names: list[str], first_id: int) -> None:
    random = np.random.default_rng(first_id)
    dataset: dict[str, Any] = {"images": [], "categories": CATEGORIES, "annotations": []}
    (root / part).mkdir(parents=True)
    for place, name in enumerate(names):
        height, width = (48, 64) if place % 2 == 0 else (40, 56)
        pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
        pixels[8:24, 8:32] //= 4
        pixels[28:36, 36:52] //= 2
        image = Image.fromarray(pixels)
        (image.convert("L") if name.startswith("grey") else image).save(root / part / name)
        image_id = first_id + place
        dataset["images"].append(
            {"id": image_id, "file_name": name, "height": height, "width": width}
        )
        if name != "nothing.jpg":
            dataset["annotations"] += _annotations(image_id, height, width)
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(dataset))


CATEGORIES = [
    {"id": 1, "name": "person"},
    {"id": 3, "name": "car"},
    {"id": 18, "name": "dog"},
    {"id": 38, "name": "kite"},
]


def _annotations(image_id: int, height: int, width: int) -> list[dict[str, Any]]:
    """A person (polygon), a dog (compressed RLE), a kite (polygon), a crowd of persons."""
    boxes = {"person": (8, 8, 24, 16), "dog": (36, 28, 16, 8), "kite": (40, 4, 8, 8)}
    ids = {category["name"]: category["id"] for category in CATEGORIES}
    records = []
    for place, (name, (x, y, w, h)) in enumerate({**boxes, "crowd": (0, 0, 4, height)}.items()):
        segmentation: Any = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        if name == "crowd":
            segmentation = {
                "size": [height, width],
                "counts": [0, 4 * height, (width - 4) * height],
            }
        if name == "dog":
            segmentation = _rectangle_rle(x, y, w, h, height, width)
        records.append(
            {
                "id": 10 * image_id + place,
                "image_id": image_id,
                "category_id": ids.get(name, ids["person"]),
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": int(name == "crowd"),
                "segmentation": segmentation,
            }
        )
    return records


def _rectangle_rle(x: int, y: int, w: int, h: int, height: int, width: int) -> dict[str, Any]:
    from ggn.core.masks import encode

    bitmap = np.zeros((1, height, width), dtype=bool)
    bitmap[:, y : y + h, x : x + w] = True
    return dict(encode(bitmap)[0])


TINY = {"name": "resnet10", "width": 8, "norm": "group", "weights": None, "frozen_stages": 0}


@pytest.fixture
def ggn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `ggn words…` in this process and return its exit status."""

    from ggn import cli

    def run(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["ggn", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0)

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `detector` and `affinity` with small networks of random weights."""
    import torch

    from ggn.affinity.model import AffinityNet
    from ggn.affinity.params import AffinityParams
    from ggn.detector.mask_rcnn import MaskRCNN
    from ggn.detector.params import DetectorParams
    from ggn.engine.weights import save_weights

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    detector = DetectorParams.model_validate(
        {
            "backbone": TINY,
            "fpn_channels": 16,
            "max_size": [64, 64],
            "rpn": {"candidates_per_level": 50, "proposals": 50},
            "box": {"channels": 16},
            "mask": {"convolutions": 0, "channels": 8},
            "detection": {"max_detections": 7},
        }
    )
    save_weights(
        MaskRCNN(detector),
        folder / "detector",
        {"kind": "detector", "params": detector.model_dump(), "seed": 0},
    )
    affinity = AffinityParams.model_validate(
        {"backbone": TINY, "pool_channels": 8, "head_channels": 8, "head_norm": "group"}
    )
    save_weights(
        AffinityNet(affinity),
        folder / "affinity",
        {"kind": "affinity", "params": affinity.model_dump(), "seed": 0},
    )
    return folder
