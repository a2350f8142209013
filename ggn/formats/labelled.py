"""The input of every format: an image with its instances."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ggn.core.instances import Instances

LABEL: Final = "object"
"""The only category: GGN does not predict categories."""


@dataclass(frozen=True)
class Labelled:
    """An image and the instances found in it."""

    image_id: int
    file_name: str
    """Relative to the folder of the images, with forward slashes."""
    path: Path
    """Path of the image, absolute or relative to the working folder."""
    instances: Instances
    """Best first."""
