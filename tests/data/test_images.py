"""Every usual kind of image becomes the same RGB array; every damaged one is named."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.data.images import image_size_hw, read_image, shrink, verify_image

RED, DARK, WHITE = [200, 40, 40], [16, 16, 16], [255, 255, 255]
PIXELS = np.array([[RED, RED, DARK], [WHITE, DARK, RED]], dtype=np.uint8)


def saved(path: Path, image: Any, **options: Any) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def test_colour_is_rgb_rows_first(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", PIXELS)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert image.tolist() == PIXELS.tolist()
    assert image_size_hw(path) == (2, 3)


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "YCbCr"])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png"), _as(mode))
    assert np.abs(read_image(path).astype(int) - PIXELS).max() <= 3


def _as(mode: str) -> Image.Image:
    image = Image.fromarray(PIXELS)
    return image.quantize(4) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_is_repeated(tmp_path: Path, mode: str) -> None:
    grey = np.array([[0, 255, 0], [255, 255, 0]], dtype=np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(grey).convert(mode))
    assert (read_image(path) == grey[:, :, None]).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_divided_by_256(tmp_path: Path, suffix: str) -> None:
    grey = np.array([[0, 255, 256], [1000, 40000, 65535]], dtype=np.uint16)
    path = saved(tmp_path / f"a.{suffix}", grey)
    assert read_image(path)[:, :, 1].tolist() == [[0, 0, 1], [3, 156, 255]]


def test_transparency_is_dropped_without_a_warning(tmp_path: Path) -> None:
    see_through = Image.fromarray(PIXELS).convert("RGBA")
    see_through.putalpha(Image.fromarray(np.array([[0, 9, 255]] * 2, dtype=np.uint8)))
    assert read_image(saved(tmp_path / "a.png", see_through)).tolist() == PIXELS.tolist()
    palette = Image.fromarray(PIXELS).quantize(4)
    assert read_image(
        saved(tmp_path / "p.png", palette, transparency=bytes([0, 9, 255, 255]))
    ).shape == (2, 3, 3)


def test_an_exif_rotation_is_not_applied_because_masks_refer_to_stored_pixels(
    tmp_path: Path,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", np.zeros((4, 7, 3), np.uint8), exif=exif)
    assert read_image(path).shape == (4, 7, 3)
    assert image_size_hw(path) == (4, 7)
    with pytest.raises(ValueError, match=r"is 7 wide and 4 high, .* 4 wide and 7 high; its EXIF"):
        verify_image(path, (7, 4))


@pytest.fixture
def jpeg(tmp_path: Path) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    return saved(tmp_path / "whole.jpg", pixels).read_bytes()


@pytest.fixture
def png(tmp_path: Path) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    return saved(tmp_path / "whole.png", pixels).read_bytes()


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("read", [read_image, lambda path: verify_image(path, (40, 60))])
def test_a_cut_off_file_is_found(
    tmp_path: Path, kind: str, share: float, read: Any, request: pytest.FixtureRequest
) -> None:
    content = request.getfixturevalue(kind)
    path = tmp_path / "cut"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=f"{path}: "):
        read(path)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damaged_bytes_give_an_image_or_an_error_that_names_the_file(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    content = bytearray(request.getfixturevalue(kind))
    random, path, refused = np.random.default_rng(1), tmp_path / "damaged", 0
    for _ in range(150):
        damaged = content.copy()
        for place in random.integers(0, min(700, len(content)), 4):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of odd tags and of huge sizes
                read_image(path)
        except ValueError as error:
            refused += str(error).startswith(f"{path}: ")
    assert refused > 20


@pytest.mark.parametrize("read", [read_image, image_size_hw, lambda p: verify_image(p, (2, 3))])
def test_what_is_no_image_is_refused(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "a.jpg"
    with pytest.raises(FileNotFoundError, match=f"{path}: no such file"):
        read(path)
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no such file"):
        read(tmp_path)
    for content in (b"", b"<html>404 not found</html>"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path}: is not an image"):
            read(path)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("read", [read_image, lambda path: verify_image(path, (2, 3))])
def test_32_bit_pixels_are_refused(tmp_path: Path, dtype: Any, read: Any) -> None:
    path = saved(tmp_path / "a.tif", np.ones((2, 3), dtype))
    with pytest.raises(ValueError, match=f"{path}: has 32-bit pixels; store 8 or 16 bits"):
        read(path)


def test_shrinking_averages_to_the_longest_side() -> None:
    image = np.zeros((2, 8, 3), dtype=np.uint8)
    image[:, 4:] = 200
    small = shrink(image, 4)
    assert small.shape == (1, 4, 3)
    assert small[0, 0].tolist() == [0, 0, 0]
    assert small[0, 3].tolist() == [200, 200, 200]
    assert shrink(image, 8) is image
    assert shrink(image, None) is image
    assert shrink(np.zeros((1, 90, 3), dtype=np.uint8), 32).shape == (1, 32, 3)
