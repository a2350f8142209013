"""What a predictor takes as an image, and what it refuses."""

import warnings

import numpy as np
import pytest
from PIL import Image

from ggn.engine.inference import image_tensor


def test_channels_come_first() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert image_tensor(image).numpy().tolist() == image.transpose(2, 0, 1).tolist()


def test_an_image_in_memory_is_not_copied() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    assert image_tensor(image).data_ptr() == image.ctypes.data


def test_a_read_only_array_is_taken_without_a_warning() -> None:
    """What `np.asarray(Image.open(...))` gives, and everybody passes; on any thread."""
    image = np.asarray(Image.new("RGB", (4, 2), (1, 2, 3)))
    assert not image.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_tensor(image).numpy()[:, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4), np.uint8), r"got uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8 \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), r"got float32 \(4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got uint8 \(0, 4, 3\)"),
    ],
)
def test_anything_but_an_rgb_image_is_refused(image: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=rf"image must be uint8 \(H, W, 3\), {said}"):
        image_tensor(image)
