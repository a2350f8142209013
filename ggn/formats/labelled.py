"""What every format writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ggn.core.instances import Instances

LABEL: Final = "object"
"""The one category: GGN does not tell categories apart."""


@dataclass(frozen=True)
class Labelled:
    """An image and what was found in it."""

    image_id: int
    file_name: str
    """Relative to the folder of the images, with /."""
    path: Path
    """Of the image, absolute or relative to the working folder."""
    instances: Instances
    """Best first."""
