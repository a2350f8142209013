"""ImageNet: a list of the training images, for pseudo ground truth alone; no annotations."""

import re
from pathlib import Path

from ggn.data.conversion import Converted, Part, SourceError, image_record, require

WHERE = (
    "get ILSVRC2012_img_train.tar from image-net.org (register) and unpack the tar of each class "
    "into train/CLASS/"
)
_CLASS = re.compile(r"n\d{8}")


def parts(source: Path) -> list[Part]:
    """Return the images of train/nXXXXXXXX/*.JPEG in the order of their names.

    The list has no categories and no annotations: a class of ImageNet says nothing of an outline.

    Raises:
        SourceError: naming what is missing, or is not a class.
    """
    require(source, ["train"], WHERE)
    folders = sorted(path for path in (source / "train").iterdir())
    strange = [path.name for path in folders if not _CLASS.fullmatch(path.name)]
    if strange:
        shown = ", ".join(strange[:5])
        raise SourceError(f"{source}/train: {shown}: must be folders named as n01440764; {WHERE}")
    items = []
    for folder in folders:
        names = sorted(path.name for path in folder.iterdir() if path.suffix.upper() == ".JPEG")
        if not names:
            raise SourceError(f"{folder}: has no .JPEG; {WHERE}")
        items += [f"train/{folder.name}/{name}" for name in names]
    if not items:
        raise SourceError(f"{source}/train: has no class folder; {WHERE}")

    def convert(item: str) -> Converted:
        return image_record(source, item, str(source / "train"), WHERE), []

    info = {"dataset": "imagenet 2012", "set": "train", "classes": len(folders)}
    return [Part("train", source / "train", items, convert, [], info)]
