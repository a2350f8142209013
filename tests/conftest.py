"""What tests of several packages start from."""

import importlib.util
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.core.masks import encode
from ggn.data.synsets import COCO_SYNSETS, STAND_INS

# As in pipelines/__init__.py, before anything loads torch: threads that wait by spinning make the
# tests several times slower where another program has a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # one process per core already
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: where several processes share the run, none waits for them at its end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session", autouse=True)
def _own_dvc_site_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What DVC keeps between calls stays out of the folder that all users of a machine share."""
    os.environ["DVC_SITE_CACHE_DIR"] = str(tmp_path_factory.mktemp("dvc-site"))


@pytest.fixture(scope="session")
def git(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """How a command of git on the project begins, also where it is an unpacked archive."""
    root = Path(__file__).parents[1]
    if (root / ".git").exists():
        return ["git", "-c", f"safe.directory={root}", "-C", str(root)]
    place = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "--quiet", "--bare", place], check=True)
    return ["git", f"--git-dir={place}", f"--work-tree={root}", "-C", str(root)]


@pytest.fixture(scope="session")
def project_files(git: list[str]) -> list[str]:
    """Paths from the project's root of all files that git tracks or would track."""
    words = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    root = Path(__file__).parents[1]
    return [name for name in listed.split("\0") if name and (root / name).exists()]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and golden numbers beside the repository; skips if absent."""
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared beside the checkout: photographs, which we may not pass on")
    return folder


@pytest.fixture(scope="session")
def recorded_file(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Where a file of the reference's numbers is: tests/golden; of photographs, ../shared."""

    def find(name: str) -> Path:
        path = Path(__file__).parent / "golden" / name
        if path.is_file():
            return path
        shared: Path = request.getfixturevalue("shared")
        return shared / "golden" / name

    return find


@pytest.fixture(scope="session")
def recorded_weights(recorded_file: Callable[[str], Path]) -> Callable[[str], dict[str, Any]]:
    """The reference's state dict of `pa`, `maskrcnn`, …: tensors made from the names alone."""
    spec = importlib.util.spec_from_file_location("recipe", recorded_file("weights_recipe.py"))
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)

    def weights(name: str) -> dict[str, Any]:
        keys = json.loads(recorded_file(f"A_manifest_{name}.json").read_text())["keys"]
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


@pytest.fixture(scope="session")
def official() -> Callable[[str, Path], Path]:
    """Lay out a few images as a dataset's own archives do: `official("lvis", folder)`."""
    return lambda name, root: _LAYOUTS[name](root)


def _photo(path: Path, seed: int, size_hw: tuple[int, int] = (48, 64)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    pixels[8:24, 8:32] //= 4
    pixels[28:36, 36:52] //= 2
    Image.fromarray(pixels).save(path)


def _dump(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def _square(key: int, image_id: int, category_id: int, x: int = 8, y: int = 8) -> dict[str, Any]:
    box = [x, y, 16, 12]
    polygon = [x, y, x + 16, y, x + 16, y + 12, x, y + 12]
    return {
        "id": key,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": [polygon],
        "bbox": box,
        "area": 192.0,
    }


def _coco(root: Path) -> Path:
    """All 80 categories; a crowd, an image without annotations."""
    names = list(COCO_SYNSETS)
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    for part, first in (("train2017", 1), ("val2017", 101)):
        images, annotations = [], []
        for i in range(first, first + 4):
            _photo(root / part / f"{i:012}.jpg", i)
            images.append({"id": i, "file_name": f"{i:012}.jpg", "height": 48, "width": 64})
            if i > first:  # the first one is empty
                annotations += [
                    {**_square(10 * i, i, 1), "iscrowd": 0},
                    {**_square(10 * i + 1, i, 34, 36, 26), "iscrowd": 0},
                ]
        crowd = {**_square(10 * first + 15, first + 1, 1), "iscrowd": 1}
        crowd["segmentation"] = {"size": [48, 64], "counts": [0, 48, 48 * 63]}
        crowd |= {"bbox": [0, 0, 1, 48], "area": 48.0}
        whole = {"images": images, "categories": categories, "annotations": [*annotations, crowd]}
        _dump(root / "annotations" / f"instances_{part}.json", whole)
    return root


def _lvis(root: Path) -> Path:
    """v1: coco_url instead of file_name, val images in train2017, federated lists, no iscrowd.

    As in the official file, the hot dog's synset is missing: sausages stand in for it.
    """
    categories = [
        {"id": i + 1, "name": f"lvis {name}", "synset": STAND_INS.get(synset, synset)}
        for i, (name, synset) in enumerate(COCO_SYNSETS.items())
    ]
    categories += [{"id": 81, "name": "piñata", "synset": "pinata.n.01"}]
    for part, first, folder in (("train", 1, "train2017"), ("val", 101, "train2017")):
        images, annotations = [], []
        for i in range(first, first + 4):
            place = "val2017" if i == 104 else folder
            _photo(root / place / f"{i:012}.jpg", i)
            images.append(
                {
                    "id": i,
                    "coco_url": f"http://images.cocodataset.org/{place}/{i:012}.jpg",
                    "height": 48,
                    "width": 64,
                    "neg_category_ids": [5],
                    "not_exhaustive_category_ids": [81] if i == first else [],
                }
            )
            if i > first:
                annotations += [_square(10 * i, i, 1), _square(10 * i + 1, i, 81, 36, 26)]
        (root / "val2017").mkdir(exist_ok=True)
        whole = {"images": images, "categories": categories, "annotations": annotations}
        _dump(root / "annotations" / f"lvis_v1_{part}.json", whole)
    return root


def _lvis_v05(root: Path) -> Path:
    """v0.5: file_name, in val with COCO 2014's prefix, and no coco_url."""
    _lvis(root)
    for part, prefix in (("train", ""), ("val", "COCO_val2014_")):
        path = root / "annotations" / f"lvis_v1_{part}.json"
        document = json.loads(path.read_text())
        for image in document["images"]:
            del image["coco_url"]
            image["file_name"] = f"{prefix}{image['id']:012}.jpg"
            _photo(root / f"{part}2017" / f"{image['id']:012}.jpg", image["id"])
        _dump(root / f"lvis_v0.5_{part}.json", document)
        path.unlink()
    (root / "annotations").rmdir()
    return root


def _uvo(root: Path) -> Path:
    """Dense: two videos, one listing a frame twice. Frame: stills, one empty, one crowd.

    Sparse: the same frames as a video, its masks compressed.
    """
    videos, tracks = [], []
    for key, ytid in ((1, "-8hCaPXfY0Y"), (2, "Ünïcode_1")):
        names = [f"{ytid}/{frame}.png" for frame in range(2)]
        for frame, name in enumerate(names):
            _photo(root / "uvo_videos_dense_frames" / name, 10 * key + frame)
        names += names[:1] if key == 2 else []
        videos.append({"id": key, "file_names": names, "height": 48, "width": 64})
        mask = _square(1, 1, 1)["segmentation"]
        masks = [None if frame == 1 else mask for frame in range(len(names))]
        tracks.append({"id": key, "video_id": key, "category_id": 1, "segmentations": masks})
    document = {"videos": videos, "annotations": tracks, "categories": [{"id": 1, "name": "obj"}]}
    _dump(root / "VideoDenseSet" / "UVO_video_val_dense.json", document)
    images = []
    for key in (1, 2):
        name = f"-8hCaPXfY0Y/{30 * key}.png"
        _photo(root / "uvo_videos_sparse_frames" / name, key)
        images.append({"id": key, "file_name": name, "ytid": "-8hCaPXfY0Y"})
    crowd = {**_square(2, 1, 7, 30, 20), "iscrowd": 1}
    document = {"images": images, "annotations": [_square(1, 1, 7), crowd], "categories": []}
    _dump(root / "FrameSet" / "UVO_frame_val.json", document)
    names = [image["file_name"] for image in images]
    videos = [{"id": 5, "file_names": names, "height": 48, "width": 64}]
    bitmap = np.zeros((1, 48, 64), dtype=bool)
    bitmap[:, 8:20, 8:24] = True
    tracks = [{"id": 3, "video_id": 5, "segmentations": [encode(bitmap)[0], None]}]
    document = {"videos": videos, "annotations": tracks, "categories": []}
    _dump(root / "VideoSparseSet" / "UVO_sparse_val_video.json", document)
    return root


def _ade20k(root: Path) -> Path:
    """Full format: Latin-1 JSON, part levels, a part with the name of an object, no parts file."""
    for part, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        stem = root / "images/ADE" / part / "urban" / "café" / name
        _photo(stem.with_suffix(".jpg"), 1)
        colours = np.zeros((48, 64, 3), dtype=np.uint8)
        colours[8:24, 8:20] = (10, 44, 50)  # a car: 1 * 256 + 44 = 300
        colours[8:24, 20:32] = (10, 44, 90)  # another
        colours[28:36, 36:52] = (0, 7, 130)  # a sign
        Image.fromarray(colours).save(stem.with_name(f"{name}_seg.png"))
        colours[8:12, 8:12] = (10, 99, 200)
        Image.fromarray(colours).save(stem.with_name(f"{name}_parts_1.png"))
        objects = [
            _ade_object(0, "car, auto", 300, 0),
            _ade_object(1, "car, auto", 300, 0),
            _ade_object(2, "panneau café", 7, 0),
            _ade_object(3, "wheel", 355, 1),
            _ade_object(4, "rim", 356, 2),
        ]
        text = json.dumps({"annotation": {"object": objects}}, ensure_ascii=False)
        stem.with_name(f"{name}.json").write_bytes(text.encode("latin-1"))
    return root


def _ade_object(key: int, name: str, number: int, level: int) -> dict[str, Any]:
    return {"id": key, "name": name, "name_ndx": number, "parts": {"part_level": level}}


def _ade20k_challenge(root: Path) -> Path:
    """The challenge: red is the category, green the instance; one image without any."""
    for part in ("training", "validation"):
        for key in (1, 2, 3):
            _photo(root / "images" / part / f"ADE_{part}_{key}.jpg", key)
            colours = np.zeros((48, 64, 3), dtype=np.uint8)
            if key > 1:
                colours[8:24, 8:20] = (3, 1, 0)
                colours[8:24, 20:32] = (3, 2, 0)
                colours[28:36, 36:52] = (100, 1, 0)
            path = root / "annotations_instance" / part / f"ADE_{part}_{key}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(colours).save(path)
    return root


def _imagenet(root: Path) -> Path:
    """Two classes; a PNG and a CMYK file under the name .JPEG, as in the archive."""
    for key, synset in enumerate(("n01440764", "n02105855")):
        for number in (1, 10, 2):
            _photo(root / "train" / synset / f"{synset}_{number}.jpg", 10 * key + number)
    for path in (root / "train").rglob("*.jpg"):
        path.rename(path.with_suffix(".JPEG"))
    disguised = root / "train/n02105855/n02105855_2.JPEG"
    with Image.open(disguised) as image:
        image.load()
    image.save(disguised, format="PNG")
    cmyk = root / "train/n01440764/n01440764_2.JPEG"
    with Image.open(cmyk) as image:
        image.load()
    image.convert("CMYK").save(cmyk, format="JPEG")
    return root


def _bbbc038(root: Path) -> Path:
    """Three kinds of images with an alpha channel; two nuclei each, in the test set as runs."""
    grey, tissue, bright = (20, 20, 20), (160, 90, 150), (200, 200, 200)
    for stage, name, colour in (
        ("stage1_train", "a1", grey),
        ("stage1_train", "b2", tissue),
        ("stage1_train", "c3", bright),
        ("stage1_test", "d4", grey),
        ("stage1_test", "e5", tissue),
    ):
        folder = root / stage / name
        (folder / "images").mkdir(parents=True)
        Image.new("RGBA", (64, 48), (*colour, 255)).save(folder / "images" / f"{name}.png")
        if stage == "stage1_train":
            (folder / "masks").mkdir()
            for mask, (top, left, side) in (("m", (4, 4, 10)), ("n", (20, 30, 24))):
                bitmap = np.zeros((48, 64), dtype=np.uint8)
                bitmap[top : top + side, left : left + side] = 255
                Image.fromarray(bitmap).save(folder / "masks" / f"{mask}.png")
    (root / "stage1_solution.csv").write_text(
        "ImageId,EncodedPixels,Height,Width,Usage\n"
        "d4,1 2 49 2,48,64,Public\n"
        "d4,101 3 3070 3,48,64,Private\n"
        "d4,1001 600,48,64,Private\n"
        "e5,1001 600,48,64,Private\n"
    )
    return root


_LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "coco": _coco,
    "lvis": _lvis,
    "lvis_v0.5": _lvis_v05,
    "uvo": _uvo,
    "ade20k": _ade20k,
    "ade20k_challenge": _ade20k_challenge,
    "imagenet": _imagenet,
    "bbbc038": _bbbc038,
}
