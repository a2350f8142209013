"""Every usual kind of image becomes the same RGB array; every damaged one is named."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any
from zlib import crc32

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


COLOURS = np.array([[[0, 255, 256], [1000, 5, 9]], [[3, 512, 1023], [4, 2, 767]]], dtype=np.uint16)
BY_OPENCV = bytes.fromhex(  # cv2.imwrite("a.png", COLOURS[..., ::-1]), OpenCV 5.0.0
    "89504e470d0a1a0a0000000d4948445200000002000000021002000000ad4446300000002249444154081d"
    "63646060f8cfc8c0fc8281ed3f272303331303f37f06c67f4cff190043df060326fd77fd0000000049454e"
    "44ae426082"
)
BY_OPENCV_WITH_ALPHA = bytes.fromhex(  # the same with a fourth channel of 65535
    "89504e470d0a1a0a0000000d49484452000000020000000210060000002226d1670000002449444154081d"
    "05c1810d00200cc3b0749590f8ff49ae58b00318b48fe385d0a12ad911f8a79d09ff90feb2620000000049"
    "454e44ae426082"
)

TIFFS: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "deflated": {"compression": "zlib"},
    "deflated, differences": {"compression": "zlib", "predictor": True},
    "deflated, big-endian": {"compression": "zlib", "byteorder": ">"},
    "in strips": {"rowsperstrip": 1},
    "in tiles": {"tile": (16, 16)},
}


def deep_colour(folder: Path, form: str) -> Path:
    """A file of the values COLOURS, written by OpenCV or tifffile."""
    path = folder / ("a.png" if form.startswith("PNG") else "a.tif")
    if form.startswith("PNG"):
        path.write_bytes(BY_OPENCV if form == "PNG" else BY_OPENCV_WITH_ALPHA)
    else:
        tifffile = pytest.importorskip("tifffile", reason="needs scikit-image")
        tifffile.imwrite(path, COLOURS, photometric="rgb", **TIFFS[form])
    return path


@pytest.mark.parametrize("form", ["PNG", "PNG with alpha", *TIFFS])
def test_16_bit_colour_is_scaled_like_16_bit_grey(tmp_path: Path, form: str) -> None:
    path = deep_colour(tmp_path, form)
    assert read_image(path).tolist() == (COLOURS // 256).tolist()
    assert read_photograph(path).tolist() == (COLOURS // 256).tolist()
    assert read_image(path, bits=10).tolist() == [
        [[0, 63, 64], [250, 1, 2]],
        [[0, 128, 255], [1, 0, 191]],
    ]
    assert read_image(path, bits=9).tolist() == np.minimum(COLOURS // 2, 255).tolist()
    assert verify_image(path, (2, 2)).brightest == 1023


def test_16_bit_colour_is_scaled_strip_by_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ggn.data.images._PIXELS_AT_ONCE", 1)
    path = deep_colour(tmp_path, "deflated")
    assert read_image(path, bits=10).tolist() == (COLOURS // 4).tolist()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_bands_one_after_the_other_are_refused(
    tmp_path: Path, compression: str | None
) -> None:
    """Pillow would read noise."""
    tifffile = pytest.importorskip("tifffile", reason="needs scikit-image")
    path, bands = tmp_path / "a.tif", COLOURS.transpose(2, 0, 1)
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
    tifffile.imwrite(path, bands, **options)
    for read in (read_image, lambda file: verify_image(file, (2, 2))):
        with pytest.raises(ValueError, match=r"a\.tif: stores its 16-bit bands one after"):
            read(path)
    tifffile.imwrite(path, (bands // 256).astype(np.uint8), **options)
    assert read_image(path).tolist() == (COLOURS // 256).tolist()


def test_16_bit_grey_with_transparency_has_its_upper_bits(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.png", COLOURS[:, :, :2].astype(">u2")
    path.write_bytes(deep_png(rows, colour_type=4))
    assert read_image(path)[:, :, 0].tolist() == (COLOURS[:, :, 0] // 256).tolist()
    assert verify_image(path, (2, 2)).brightest == 1023, "no lower than the true one, which is 1000"
    with pytest.raises(ValueError, match=rf"^{path}: has 16-bit grey with transparency"):
        read_image(path, bits=10)


def deep_png(rows: np.ndarray[Any, np.dtype[Any]], colour_type: int) -> bytes:
    """A PNG file of big-endian 16-bit values (H, W, bands)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    height, width = rows.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


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
    with pytest.raises(ValueError, match=f"{path}: has 32-bit or signed pixels; store 8 or 16"):
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
