"""Find the objects of photographs: python examples/predict.py releases/shapes/ggn [PHOTO …]."""

import sys
from pathlib import Path

import skimage.data

import ggn
from ggn.evaluation.pictures import overlay, write_picture

OUT = Path("predictions")
SHIPPED = [Path(skimage.data.__file__).with_name(f"{n}.png") for n in ("coffee", "chelsea")]


def main(weights: str, *photographs: str) -> None:
    """Print the best instances of each photograph and draw them to predictions/NAME.png."""
    detector = ggn.load_detector(weights)
    for path in photographs or SHIPPED:
        image = ggn.read_image(path)
        found = detector.predict(image)
        print(f"{Path(path).name}: {found}")
        for instance in found[:3]:
            print(f"  score {instance.score:.2f}, {instance.area} pixels, box {instance.box_xyxy}")
        write_picture(OUT / f"{Path(path).stem}.png", overlay(image, found[:20]))


if __name__ == "__main__":
    main(*sys.argv[1:])
