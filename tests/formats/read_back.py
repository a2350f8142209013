"""Reads what a format's own library makes of our files; run by the Python of `make readers`.

read_back.py FORMAT FOLDER IMAGES OUT.npz writes, by the names of the images, bitmaps (N, H, W), and
scores (N,) as `NAME scores` where the format has a place for them.
"""

import sys
from pathlib import Path

import numpy as np


def yolo(folder, images):
    import supervision

    for path in sorted((folder / "labels").rglob("*.txt")):  # the reader takes flat folders
        inner = path.parent.relative_to(folder / "labels")
        dataset = supervision.DetectionDataset.from_yolo(
            images_directory_path=str(images / inner),
            annotations_directory_path=str(path.parent),
            data_yaml_path=str(folder / "data.yaml"),
            force_masks=True,
        )
        assert dataset.classes == ["object"]
        for name, _, found in dataset:
            yield str(Path(name).relative_to(images)), found.mask, None


def labelme(folder, images):
    from labelme._label_file import read_label_file

    for path in sorted((folder / "labelme").rglob("*.json")):
        label = read_label_file(str(path))
        name = (path.parent / label.image_path).resolve().relative_to(images.resolve())
        size = (40, 56)
        bitmaps, scores = [], []
        for shape in label.shapes:
            assert (shape["label"], shape["shape_type"]) == ("object", "mask")
            (x1, y1), (x2, y2) = (map(int, point) for point in shape["points"])
            bitmap = np.zeros(size, bool)
            bitmap[y1 : y2 + 1, x1 : x2 + 1] = shape["mask"]
            bitmaps.append(bitmap)
            scores.append(shape["other_data"]["score"])
        yield str(name), bitmaps, scores


def cvat(folder, images):
    from datumaro import AnnotationType, Dataset

    (folder / "images").symlink_to(images.resolve())  # where the reader looks for them
    dataset = Dataset.import_from(str(folder / "annotations.xml"), "cvat")
    assert [label.name for label in dataset.categories()[AnnotationType.label]] == ["object"]
    for item in dataset:
        scores = [float(annotation.attributes["score"]) for annotation in item.annotations]
        yield f"{item.id}.png", [annotation.image for annotation in item.annotations], scores


def label_studio(folder, images):
    import json
    from urllib.parse import unquote

    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "label_config.xml").read_text())
    for task in json.loads((folder / "tasks.json").read_text()):
        (prediction,) = task["predictions"]
        assert interface.validate_prediction({**prediction, "result": prediction["result"]})
        bitmaps, scores = [], []
        for result in prediction["result"]:
            shape = result["original_height"], result["original_width"], 4
            rgba = decode_rle(result["value"]["rle"]).reshape(shape)
            bitmaps.append(rgba[:, :, 3] > 0)
            scores.append(result["score"])
        yield unquote(task["data"]["image"].partition("?d=")[2]), bitmaps, scores


READERS = {"yolo": yolo, "labelme": labelme, "cvat": cvat, "label-studio": label_studio}


def main() -> None:
    name, folder, images, out = sys.argv[1:]
    arrays = {}
    for image, bitmaps, scores in READERS[name](Path(folder), Path(images)):
        arrays[image] = np.array(bitmaps if bitmaps is not None else [], bool)
        if scores is not None:
            arrays[f"{image} scores"] = np.array(scores, np.float64)
    np.savez(out, **{key.replace("/", "|"): value for key, value in arrays.items()})


if __name__ == "__main__":
    main()
