"""Every usual kind of image becomes the same RGB array; every damaged one is named."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from ggn.core.allocation import on_disk
from ggn.data.files import find_image
from ggn.data.images import (
    ImageFacts,
    image_size_hw,
    read_image,
    read_photograph,
    shrink,
    verify_image,
)

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


EXIF = 0x0112
# By orientation: where the corner pixel at the top left of the stored 2 x 3 image is shown, (y, x).
CORNER = {1: (0, 0), 2: (0, 2), 3: (1, 2), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (2, 1), 8: (2, 0)}


@pytest.mark.parametrize(("orientation", "corner"), CORNER.items())
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_a_photograph_is_turned_as_viewers_show_it(
    tmp_path: Path, orientation: int, corner: tuple[int, int], suffix: str
) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[EXIF] = orientation
    path = saved(tmp_path / f"a.{suffix}", pixels, exif=exif, lossless=True)
    shown = read_photograph(path)
    assert shown.shape[:2] == ((3, 2) if orientation > 4 else (2, 3))
    assert np.argwhere(shown.min(axis=2)).tolist() == [list(corner)]
    assert verify_image(path, (2, 3)).orientation == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "png"), ("RGB", "jpg"), ("L", "jpg"), ("P", "png"), ("RGBA", "webp"), ("CMYK", "tif")],
)
def test_strips_into_a_file_make_the_whole_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int, mode: str, suffix: str
) -> None:
    """A large image is copied strip by strip to where it shall lie. Pillow's own is the oracle."""
    noise = np.random.default_rng(0).integers(0, 255, (23, 17, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[EXIF] = orientation
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise).convert(mode), exif=exif)
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert (read_photograph(path) == wanted).all()
    monkeypatch.setattr("ggn.data.images._PIXELS_AT_ONCE", 90)  # five rows, the last strip less
    in_strips = read_photograph(path, on_disk(tmp_path))
    assert in_strips.flags.c_contiguous
    assert in_strips.tolist() == wanted.tolist()


def test_an_orientation_that_is_none_of_the_eight_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF] = 9
    path = saved(tmp_path / "a.png", PIXELS, exif=exif)
    assert read_photograph(path).tolist() == PIXELS.tolist()
    assert verify_image(path, (2, 3)) == ImageFacts(orientation=1, brightest=None)


def test_the_brightest_value_of_16_bits_is_told(tmp_path: Path) -> None:
    grey = np.array([[0, 255, 256], [1000, 5, 9]], dtype=np.uint16)
    path = saved(tmp_path / "a.png", grey)
    assert verify_image(path, (2, 3)).brightest == 1000
    assert read_image(path)[:, :, 0].tolist() == [[0, 0, 1], [3, 0, 0]]
    # with 10 bits in use, values are divided by 4; beyond 1023 all is white
    assert read_image(path, bits=10)[:, :, 0].tolist() == [[0, 63, 64], [250, 1, 2]]
    assert read_image(path, bits=9)[:, :, 0].tolist() == [[0, 127, 128], [255, 2, 4]]


def test_heic_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ValueError, match="is in HEIC format, which is not supported; convert it"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, image_size_hw, lambda p: verify_image(p, (30, 40))])
def test_a_large_image_is_read_on_request_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    path = saved(tmp_path / "a.png", np.zeros((30, 40, 3), np.uint8))
    for bound in (1199, 1000, 100):
        monkeypatch.setenv("GGN_MAX_PIXELS", str(bound))
        with pytest.raises(ValueError, match=f"has more than {bound} pixels .* set GGN_MAX"):
            read(path)
    monkeypatch.setenv("GGN_MAX_PIXELS", "1200")
    read(path)
    monkeypatch.setenv("GGN_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match="GGN_MAX_PIXELS must be an integer >= 1, got 'many'"):
        read(path)


COMPOSED, DECOMPOSED = "k\u00fcche", "ku\u0308che"


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ("a.png", "a.png"),
        (f"{DECOMPOSED}.png", f"{COMPOSED}.png"),
        (f"{COMPOSED}.png", f"{DECOMPOSED}.png"),
        (f"{DECOMPOSED}/{COMPOSED}.png", f"{COMPOSED}/{DECOMPOSED}.png"),
        ("images/b.png", "images\\b.png"),
        (f"images/{DECOMPOSED}/b.png", f"images\\{COMPOSED}\\b.png"),
        ("images\\b.png", "images\\b.png"),
    ],
)
def test_an_image_is_found_under_another_spelling(tmp_path: Path, there: str, named: str) -> None:
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).touch()
    assert find_image(tmp_path, named) == there


def test_an_image_that_is_not_there_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "A.png").touch()
    for name in ("a.png", f"{COMPOSED}.png", "x\\A.png", "A.png/b"):
        assert find_image(tmp_path, name) == name


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
    with pytest.raises(IsADirectoryError, match=f"{tmp_path}: is a folder, not an image"):
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
