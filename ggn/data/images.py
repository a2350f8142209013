"""Reads images from disk as RGB, with errors that name the file."""

import hashlib
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ggn.core.allocation import Allocate
from ggn.data.depth import (
    PLANAR,
    has_lower_bytes,
    is_deep_colour,
    is_deep_planar,
    take_lower_bytes,
)

MAX_PIXELS_VARIABLE: Final = "GGN_MAX_PIXELS"
"""The environment variable that raises the limit of pixels per image."""
DEFAULT_MAX_PIXELS: Final = 178_956_970
"""Pillow's own limit: a larger image may be a small file that is made to exhaust the memory."""

_ALL_BITS: Final = 16
"""With all bits in use, the upper byte is the pixel."""
_PIXELS_AT_ONCE: Final = 1 << 22
_EXIF_ORIENTATION: Final = 0x0112
_FIRST_ON_ITS_SIDE: Final = 5
"""EXIF orientations from here on swap width and height."""
# Where, in the image as it is shown, the first stored pixel lies.
_RIGHT_TO_LEFT: Final = (2, 3, 6, 7)
_BOTTOM_TO_TOP: Final = (3, 4, 7, 8)
_HEIC_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
# What Pillow's decoders raise on damaged files; found by flipping bytes and truncating files.
_DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image file that may surprise whoever annotated it."""

    orientation: int
    """EXIF orientation: 1 if viewers show the pixels as stored, 2 to 8 if they turn or mirror."""
    brightest: int | None
    """The largest value of a 16-bit image, grey or colour; None for other images."""
    coarse: int = field(default=0, compare=False)
    """A hash of a few of its pixels: images with the same pixels in the same format share it."""


def read_image(
    path: str | os.PathLike[str],
    *,
    turned: bool = False,
    bits: int = 16,
    allocate: Allocate = np.empty,
) -> NDArray[np.uint8]:
    """Return an image as uint8 (H, W, 3) RGB.

    Grey, palette and CMYK are converted, transparency is dropped. Of several frames, the first is
    read.

    Args:
        path: path of the file.
        turned: apply the EXIF orientation, as viewers do. False keeps the stored orientation, which
            masks refer to. (Pillow turns TIFF files in either case.)
        bits: how many bits of 16-bit grey or colour are in use: values are divided by
            2^(bits - 8), and those beyond become 255.
        allocate: makes the array that is returned (see `ggn.core.allocation`).

    While it is read, an image takes 4 bytes of memory per pixel (grey, palette: 1) in addition, and
    as many again if it has 16-bit colour and `bits` is below 16.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        ValueError: it is not an image, is damaged or truncated, has 32-bit or signed pixels or
            16-bit bands one after the other, or has more pixels than `max_pixels()`.
    """
    with _opened(Path(path)) as image, _lower_bytes(Path(path), image, bits) as lower:
        _require_readable(image)
        image.load()  # which turns a TIFF file, and changes its size and orientation
        width, height = image.size
        orientation = _orientation(image) if turned else 1
        size_hw = (width, height) if orientation >= _FIRST_ON_ITS_SIDE else (height, width)
        pixels = allocate((*size_hw, 3), np.uint8)
        stored = _as_stored(pixels, orientation)
        rows = max(1, _PIXELS_AT_ONCE // width)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            whole = bottom - top == height
            strip, *others = (
                part if whole else part.crop((0, top, width, bottom))
                for part in (image, lower)
                if part is not None
            )
            stored[top:bottom] = _scaled(strip, others[0], bits) if others else _rgb(strip, bits)
        return pixels


@contextmanager
def _lower_bytes(path: Path, image: Image.Image, bits: int) -> Iterator[Image.Image | None]:
    """Open an image again for the lower bytes of its 16-bit colour; None if they don't matter."""
    if bits == _ALL_BITS or not is_deep_colour(image):
        yield None
        return
    with Image.open(path) as lower:
        take_lower_bytes(lower)
        yield lower


def _require_readable(image: Image.Image) -> None:
    if image.mode in ("I", "F"):
        raise ValueError("has 32-bit or signed pixels; store 8 or 16 bits without a sign")
    if is_deep_planar(image):
        raise ValueError(PLANAR)


def _scaled(upper: Image.Image, lower: Image.Image, bits: int) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) of 16-bit colour of which `bits` are in use."""
    values = _rgb(upper, bits).astype(np.uint16) << 8 | _rgb(lower, bits)
    pixels: NDArray[np.uint8] = np.minimum(values >> (bits - 8), 255).astype(np.uint8)
    return pixels


def _rgb(image: Image.Image, bits: int) -> NDArray[np.uint8]:
    """The pixels of an image, (H, W, 3), or (H, W, 1) if they are grey of 16 bits."""
    if image.mode.startswith("I;16"):
        grey: NDArray[np.uint8] = np.minimum(np.asarray(image) >> (bits - 8), 255).astype(np.uint8)
        return grey[:, :, None]
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _as_stored(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A view of the pixels (H, W, 3) of a turned image, in the order that its file has them."""
    mirrored, upside_down = orientation in _RIGHT_TO_LEFT, orientation in _BOTTOM_TO_TOP
    view = pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    return view.swapaxes(0, 1) if orientation >= _FIRST_ON_ITS_SIDE else view


def read_photograph(
    path: str | os.PathLike[str], allocate: Allocate = np.empty, *, bits: int = 16
) -> NDArray[np.uint8]:
    """Return an image as viewers show it, uint8 (H, W, 3) RGB: turned as its EXIF tag asks.

    Use it for images without stored masks. Otherwise it is like `read_image`.
    """
    return read_image(path, turned=True, bits=bits, allocate=allocate)


def shrink(image: NDArray[np.uint8], longest_side: int | None) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) scaled so that its longest side is at most `longest_side`.

    Pixels are averaged (bilinear with antialiasing). An image that fits is returned as it is; None
    means no limit.
    """
    height, width = image.shape[:2]
    if longest_side is None or max(height, width) <= longest_side:
        return image
    scale = longest_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def image_size_hw(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the stored height and width of an image, reading only its header.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image.
    """
    with _opened(Path(path)) as image:
        return image.height, image.width


def verify_image(path: str | os.PathLike[str], size_hw: tuple[int, int]) -> ImageFacts:
    """Decode an image as coarsely as its format allows, and compare its size.

    This costs a fraction of reading the image, but all data is decoded, so truncated files are
    found.

    Raises:
        FileNotFoundError, IsADirectoryError: as in `read_image`.
        ValueError: `read_image` can't read it, or its size is not the given (height, width).
    """
    with _opened(Path(path)) as image:
        if (image.height, image.width) != tuple(size_hw):
            raise ValueError(_wrong_size(image, size_hw))
        _require_readable(image)
        is_grey, is_colour = image.mode.startswith("I;16"), is_deep_colour(image)
        orientation = _orientation(image)  # loading a TIFF turns it and drops the tag
        image.draft("L", (image.width // 8, image.height // 8))
        image.load()
        coarse = _coarse(image, size_hw)
        if is_colour:
            return ImageFacts(orientation, _brightest(Path(path), image), coarse)
        return ImageFacts(orientation, int(np.asarray(image).max()) if is_grey else None, coarse)


def _coarse(image: Image.Image, size_hw: tuple[int, int]) -> int:
    """Hash every eighth pixel of every eighth row of an image that may have been shrunk by 8."""
    height, width = size_hw
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image)[::8, ::8]
    else:
        size = max(1, width // 8), max(1, height // 8)
        pixels = np.asarray(image.resize(size, Image.Resampling.NEAREST).convert("RGB"))
    digest = hashlib.blake2b(f"{height} {width}".encode() + pixels.tobytes(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def _brightest(path: Path, upper: Image.Image) -> int:
    """The largest value of 16-bit colour; the largest possible if only upper bytes can be read."""
    values = _rgb(upper, _ALL_BITS)
    most = int(values.max())
    with Image.open(path) as lower:
        if not has_lower_bytes(lower):
            return most << 8 | 255
        take_lower_bytes(lower)
        return most << 8 | int(_rgb(lower, _ALL_BITS)[values == most].max())


def max_pixels() -> int:
    """Return how many pixels an image may have: `DEFAULT_MAX_PIXELS` or GGN_MAX_PIXELS.

    Raises:
        ValueError: the variable is not an integer >= 1.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, str(DEFAULT_MAX_PIXELS))
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{MAX_PIXELS_VARIABLE} must be an integer >= 1, got {text!r}")
    return int(text)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image; any error of its content becomes a ValueError that names the file."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder, not an image")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    bound = max_pixels()
    Image.MAX_IMAGE_PIXELS = bound
    try:
        with Image.open(path) as image:
            if image.width * image.height > bound:
                raise Image.DecompressionBombError
            yield image
    except _DECODER_ERRORS as error:
        raise ValueError(f"{path}: {_reason(path, error, bound)}") from error


def _reason(path: Path, error: Exception, bound: int) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return (
            f"has more than {bound} pixels and could exhaust the memory; if you trust the file, "
            f"set {MAX_PIXELS_VARIABLE} in the environment to the number of pixels to allow"
        )
    if not isinstance(error, UnidentifiedImageError):
        return str(error)
    if _is_heic(path):
        return "is in HEIC format, which is not supported; convert it to JPEG or PNG"
    return "is not an image"


def _is_heic(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _HEIC_BRANDS


def _wrong_size(image: Image.Image, size_hw: tuple[int, int]) -> str:
    height, width = size_hw
    sentence = (
        f"is {image.width} wide and {image.height} high, "
        f"but its record says {width} wide and {height} high"
    )
    if (image.width, image.height) == (height, width) and _orientation(image) in range(5, 9):
        sentence += "; its EXIF tag says to rotate it: store it rotated, without the tag"
    return sentence


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; any other value counts as 1, as in viewers."""
    value = image.getexif().get(_EXIF_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


# Pillow warns above its limit and refuses at twice as many pixels; we refuse above the limit.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
