"""Reading photographs and other pictures from disk as RGB, with errors that name the file."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

_EXIF_ORIENTATION: Final = 0x0112
# What Pillow's decoders raise on damaged files, as found by flipping and cutting bytes.
_DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return an image as uint8 (H, W, 3) RGB.

    Pixels keep their stored orientation (an EXIF rotation is not applied), because masks refer to
    it. Grey, palette and CMYK are converted, transparency is dropped, 16-bit grey is divided by
    256. Of several frames the first counts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an image, is damaged or cut off, or has 32-bit pixels.
    """
    with _opened(Path(path)) as image:
        if image.mode.startswith("I;16"):
            grey = (np.asarray(image) >> 8).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        if image.mode in ("I", "F"):
            raise ValueError("has 32-bit pixels; store 8 or 16 bits")
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return np.array(image.convert("RGB"))


def shrink(image: NDArray[np.uint8], longest_side: int | None) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) scaled so that its longest side is at most `longest_side`.

    Pixels are averaged (bilinear with antialiasing); an image that fits, or None, changes nothing.
    """
    height, width = image.shape[:2]
    if longest_side is None or max(height, width) <= longest_side:
        return image
    scale = longest_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def image_size_hw(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the stored height and width of an image, from its header alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an image.
    """
    with _opened(Path(path)) as image:
        return image.height, image.width


def verify_image(path: str | os.PathLike[str], size_hw: tuple[int, int]) -> None:
    """Decode an image as coarsely as its format allows, and compare its size.

    All its data is read, so that a cut-off file is found, at a fraction of the cost of reading it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read by `read_image` or is not of the (height, width) given.
    """
    with _opened(Path(path)) as image:
        if (image.height, image.width) != tuple(size_hw):
            raise ValueError(_wrong_size(image, size_hw))
        if image.mode in ("I", "F"):
            raise ValueError("has 32-bit pixels; store 8 or 16 bits")
        image.draft("L", (image.width // 8, image.height // 8))
        image.load()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong with its content becomes a ValueError with its path."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with Image.open(path) as image:
            yield image
    except _DECODER_ERRORS as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "is not an image" if unknown else str(error)
        raise ValueError(f"{path}: {reason}") from error


def _wrong_size(image: Image.Image, size_hw: tuple[int, int]) -> str:
    height, width = size_hw
    sentence = (
        f"is {image.width} wide and {image.height} high, "
        f"but its record says {width} wide and {height} high"
    )
    if (image.width, image.height) == (height, width) and _is_rotated(image):
        sentence += "; its EXIF tag asks to rotate it: store it rotated, without the tag"
    return sentence


def _is_rotated(image: Image.Image) -> bool:
    return image.getexif().get(_EXIF_ORIENTATION, 1) in range(5, 9)
