"""Colour of 16 bits: Pillow keeps the upper byte of each value; this makes it read the lower one.

Pillow decodes such PNG and TIFF files by a raw mode that says where the bytes lie (`RGB;16B`). In
the mode of the opposite order, it takes the other byte.
"""

import sys
from typing import Final

from PIL import Image, ImageFile

ONLY_UPPER: Final = (
    "has 16-bit grey with transparency; Pillow reads only its upper 8 bits; "
    "store it without transparency"
)
PLANAR: Final = (
    "stores its 16-bit bands one after the other (planar configuration 2), which can't be read; "
    "store them pixel by pixel (planar configuration 1)"
)

# TIFF tags
_BITS, _BANDS, _PLANAR = 258, 277, 284
_OPPOSITE: Final = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def is_deep_colour(image: Image.Image) -> bool:
    """Tell whether an image that is not loaded yet has 16 bits per band, and several bands."""
    return not image.mode.startswith("I") and ";16" in _raw_mode(image)


def is_deep_planar(image: Image.Image) -> bool:
    """Tell whether it has 16 bits per band, all pixels of one band before those of the next."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(_PLANAR) == 2 and 16 in tags.get(_BITS, ()) and tags.get(_BANDS, 1) > 1


def has_lower_bytes(image: Image.Image) -> bool:
    """Tell whether Pillow can read the lower bytes of such an image: not of grey with alpha."""
    return not _raw_mode(image).startswith("LA")


def take_lower_bytes(image: Image.Image) -> None:
    """Have an image of deep colour that is not loaded yet load the lower bytes.

    Raises:
        ValueError: Pillow can't (`ONLY_UPPER`).
    """
    if not has_lower_bytes(image):
        raise ValueError(ONLY_UPPER)
    raw = _raw_mode(image)
    lower = raw[:-1] + _OPPOSITE[raw[-1]]
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=lower if isinstance(tile.args, str) else (lower, *tile.args[1:]))
        for tile in image.tile  # type: ignore[attr-defined]
    ]


def _raw_mode(image: Image.Image) -> str:
    tiles: list[ImageFile._Tile] = getattr(image, "tile", [])
    args = tiles[0].args if tiles else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""
