"""`read_photo`: every format, mode, orientation, limit and refusal, against pictures of known pixels."""

from __future__ import annotations

import io
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from handlens.errors import HandlensError, UsageError
from handlens.photo import Crop, Limits, Photo, PhotoError, read_photo
from heic_writer import heic
from odd_files import (
    BROKEN,
    encode,
    exif,
    generate,
    inverted_cmyk_jpeg,
    picture,
    png,
    wide_gamut_profile,
)

RGB = picture()
IM = Image.fromarray(RGB)
TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""EXIF orientation: from the stored array to the upright one."""


def difference(photo: Photo | NDArray[Any], expected: NDArray[Any]) -> float:
    """Mean absolute difference, 0 to 255; the shapes must agree."""
    rgb = photo.rgb if isinstance(photo, Photo) else photo
    assert rgb.shape == expected.shape
    return float(np.abs(rgb.astype(np.float64) - expected).mean())


def refusal(source: Any, **options: Any) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        read_photo(source, **options)
    error = caught.value
    assert isinstance(error, HandlensError)
    assert error.photo
    assert error.detail.endswith(".")
    assert "<_io" not in error.detail
    assert "object at" not in error.detail
    return error


# Formats and modes


LOSSY = 4.0
FORMATS: list[tuple[str, bytes, float]] = [
    ("JPEG", encode(IM, "JPEG", quality=95), LOSSY),
    ("JPEG", encode(IM, "JPEG", quality=95, progressive=True), LOSSY),
    ("MPO", encode(IM, "MPO", quality=95, save_all=True, append_images=[IM.rotate(180)]), LOSSY),
    ("PNG", encode(IM, "PNG"), 0),
    ("WEBP", encode(IM, "WEBP", lossless=True), 0),
    ("WEBP", encode(IM, "WEBP", lossless=True, save_all=True, append_images=[IM.rotate(180)]), 0),
    ("TIFF", encode(IM, "TIFF"), 0),
    ("TIFF", encode(IM, "TIFF", compression="tiff_lzw"), 0),
    ("TIFF", encode(IM, "TIFF", save_all=True, append_images=[IM.rotate(180)]), 0),
    ("BMP", encode(IM, "BMP"), 0),
    ("GIF", encode(IM.quantize(256), "GIF", save_all=True, append_images=[IM.rotate(180)]), 6.0),
    ("AVIF", encode(IM, "AVIF", quality=95), LOSSY),
    ("HEIF", heic(RGB), LOSSY),
    ("HEIF", heic(RGB, brands=(b"mif1", b"mif1", b"heic")), LOSSY),
]


@pytest.mark.parametrize(("image_format", "data", "tolerance"), FORMATS)
def test_every_format_gives_its_first_picture(image_format: str, data: bytes, tolerance: float) -> None:
    photo = read_photo(data)
    assert difference(photo, RGB) <= tolerance
    assert (photo.format, photo.name, photo.width, photo.height) == (image_format, "photo", 96, 64)
    assert photo.rgb.dtype == np.uint8
    assert photo.rgb.flags["C_CONTIGUOUS"]
    assert not photo.rgb.flags["WRITEABLE"]


def test_the_extension_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "liar.tif"
    path.write_bytes(encode(IM, "PNG"))
    assert read_photo(path).format == "PNG"


def test_avif_in_a_container_brand_goes_to_the_avif_decoder() -> None:
    data = encode(IM, "AVIF", quality=95)
    assert data[8:12] == b"avif"
    photo = read_photo(data[:8] + b"mif1" + data[12:])
    assert photo.format == "AVIF"
    assert difference(photo, RGB) <= LOSSY


GREY = np.asarray(IM.convert("L"))
GREY_RGB = np.repeat(GREY[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    "data",
    [
        encode(IM.convert("L"), "PNG"),
        encode(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
        encode(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
        encode(Image.fromarray((GREY.astype(np.uint16) * 257).astype(">u2")), "TIFF"),
        encode(Image.fromarray(GREY.astype(np.int32) * 257), "TIFF"),
        encode(Image.fromarray(GREY.astype(np.int32)), "TIFF"),
        encode(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
        encode(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"),
        encode(Image.fromarray(GREY.astype(np.float32) * 257), "TIFF"),
    ],
    ids=["L", "I;16 png", "I;16", "I;16B", "I 16", "I 8", "F 255", "F 1", "F 65535"],
)
def test_grey_of_every_depth(data: bytes) -> None:
    # 32-bit values hold no range: the picture's largest value, not 255, could be mistaken for white.
    assert np.abs(read_photo(data).rgb.astype(int) - GREY_RGB).max() <= 1


def test_floats_beyond_every_usual_range_are_stretched() -> None:
    wide = (GREY.astype(np.float32) - 100) * 1e6
    expected = (GREY - float(GREY.min())) * 255 / float(GREY.max() - GREY.min())
    assert difference(read_photo(encode(Image.fromarray(wide), "TIFF")).rgb[:, :, 1], expected) <= 1


def test_floats_that_are_no_numbers_are_refused() -> None:
    for bad in (np.nan, np.inf):
        values = GREY.astype(np.float32)
        values[30, 40] = bad
        assert refusal(encode(Image.fromarray(values), "TIFF")).code == "corrupt-image"


def test_one_bit_is_black_and_white() -> None:
    bits = GREY > 128
    rgb = read_photo(encode(Image.fromarray(bits), "PNG")).rgb
    np.testing.assert_array_equal(rgb[:, :, 0], bits * 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_on_white(mode: str) -> None:
    alpha = np.linspace(0, 255, 64 * 96).reshape(64, 96).round().astype(np.uint8)
    im = IM.convert("RGB" if mode == "RGBA" else "L").copy()
    im.putalpha(Image.fromarray(alpha))
    assert im.mode == mode
    base = RGB if mode == "RGBA" else GREY_RGB
    share = alpha[:, :, None] / 255.0
    expected = base * share + 255 * (1 - share)
    assert np.abs(read_photo(encode(im, "PNG")).rgb - expected).max() <= 1.5


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_white(image_format: str) -> None:
    im = IM.quantize(16)
    data = encode(im, image_format, transparency=3)
    clear = np.asarray(im) == 3
    assert clear.any()
    expected = np.where(clear[:, :, None], 255, np.asarray(im.convert("RGB")))
    np.testing.assert_array_equal(read_photo(data).rgb, expected)


def test_a_transparent_rgb_colour_is_white() -> None:
    pixels = RGB.copy()
    pixels[:20] = (1, 2, 3)
    rgb = read_photo(encode(Image.fromarray(pixels), "PNG", transparency=(1, 2, 3))).rgb
    assert (rgb[:20] == 255).all()
    np.testing.assert_array_equal(rgb[20:], RGB[20:])


def test_cmyk_jpeg_of_adobe_is_not_a_negative() -> None:
    cmyk = IM.convert("CMYK")
    assert difference(read_photo(inverted_cmyk_jpeg(cmyk)), np.asarray(cmyk.convert("RGB"))) <= LOSSY
    assert difference(read_photo(encode(cmyk, "TIFF")), np.asarray(cmyk.convert("RGB"))) == 0


# Colour profiles


def test_a_profile_is_applied_and_a_broken_one_ignored() -> None:
    plain, swapped = read_photo(encode(IM, "PNG")).rgb, picture()
    for image_format in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if image_format == "WEBP" else {}
        data = encode(IM, image_format, icc_profile=wide_gamut_profile(), **options)
        # Red and blue primaries are exchanged in the profile, so they are in the picture.
        assert difference(read_photo(data), swapped[:, :, ::-1]) <= 3
    for broken in (b"no profile", bytes(16) + b"RGB " + bytes(200), wide_gamut_profile()[:300]):
        np.testing.assert_array_equal(read_photo(encode(IM, "PNG", icc_profile=broken)).rgb, plain)


def test_an_srgb_profile_changes_nothing() -> None:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(read_photo(encode(IM, "PNG", icc_profile=srgb)).rgb, RGB)


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    data = encode(IM.convert("L"), "PNG", icc_profile=wide_gamut_profile())
    np.testing.assert_array_equal(read_photo(data).rgb, GREY_RGB)


# Orientation, rotation, crop


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_exif_orientation_is_applied_once(image_format: str, orientation: int) -> None:
    options: dict[str, Any] = {"exif": exif(orientation), "quality": 95}
    if image_format == "MPO":
        options |= {"save_all": True, "append_images": [IM]}
    photo = read_photo(encode(IM, image_format, **options))
    expected = TURNS[orientation](RGB)
    assert difference(photo, expected) <= LOSSY
    assert (photo.height, photo.width) == expected.shape[:2]


def test_heic_follows_its_own_rotation_and_not_exif_again() -> None:
    block = exif(6).removeprefix(b"Exif\0\0")
    assert difference(read_photo(heic(RGB, quarters_left=1)), np.rot90(RGB)) <= LOSSY
    assert difference(read_photo(heic(RGB, quarters_left=3, exif=block)), np.rot90(RGB, -1)) <= LOSSY


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, -1), (180, 2), (270, 1), (-90, 1), (450, -1)])
def test_rotate_is_clockwise(degrees: int, turns: int) -> None:
    photo = read_photo(RGB, rotate=degrees)
    np.testing.assert_array_equal(photo.rgb, np.rot90(RGB, turns))
    assert (photo.height, photo.width) == photo.rgb.shape[:2]


def reduced(rgb: NDArray[Any], factor: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).reduce(factor))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crop_and_reduction_equal_the_naive_computation(orientation: int) -> None:
    """Turn all, then crop, then reduce by 3: odd sizes, so a wrong corner would shift the blocks."""
    big = picture(1103, 707)
    data = encode(Image.fromarray(big), "PNG", exif=exif(orientation), compress_level=1)
    upright = np.rot90(TURNS[orientation](big), -1)
    height, width = upright.shape[:2]
    crop = Crop(101, 53, width - 203, height - 100)
    shorter = min(crop.width, crop.height)
    photo = read_photo(data, rotate=90, crop=crop, needed_side=shorter // 3)
    part = upright[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    np.testing.assert_array_equal(photo.rgb, reduced(part, 3))
    assert (photo.width, photo.height) == (width, height)


def test_bands_leave_no_seam() -> None:
    large = picture(2500, 1900)
    np.testing.assert_array_equal(read_photo(large, needed_side=400).rgb, reduced(large, 4))
    np.testing.assert_array_equal(read_photo(large, needed_side=1900).rgb, large)


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_crop_of_a_jpeg_decoded_at_a_reduced_scale(orientation: int) -> None:
    big = picture(1603, 1205)
    data = encode(Image.fromarray(big), "JPEG", quality=95, exif=exif(orientation))
    upright = TURNS[orientation](big)
    crop = Crop(96, 160, 808, 840)
    part = upright[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    photo = read_photo(data, crop=crop, needed_side=100)
    assert min(photo.rgb.shape[:2]) in (100, 101, 102)
    expected = np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(photo.rgb.shape[1::-1], 4))
    assert difference(photo, expected) <= LOSSY
    assert (photo.height, photo.width) == upright.shape[:2]


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(1599, 1000), (1600, 800), (1601, 1601), (2400, 1000), (3000, 2000)])
def test_the_shorter_side_stays_long_enough(image_format: str, size: tuple[int, int]) -> None:
    data = encode(Image.new("RGB", size, "olive"), image_format)
    for needed in (100, 333, 800):
        side = min(read_photo(data, needed_side=needed).rgb.shape[:2])
        assert side >= min(needed, *size)
        assert side < 2 * needed or side == min(size)


def test_the_same_bytes_give_the_same_pixels() -> None:
    data = encode(Image.fromarray(picture(1200, 900)), "JPEG")
    first = read_photo(data, rotate=90, crop=Crop(10, 20, 700, 800), needed_side=200).rgb
    np.testing.assert_array_equal(first, read_photo(data, rotate=90, crop=Crop(10, 20, 700, 800), needed_side=200).rgb)


@pytest.mark.parametrize(
    "crop",
    [Crop(0, 0, 97, 64), Crop(-1, 0, 50, 50), Crop(0, 50, 50, 20), Crop(5, 5, 0, 9), Crop(5, 5, 9, -9)],
)
def test_bad_crop(crop: Crop) -> None:
    for source in (encode(IM, "JPEG"), encode(IM, "PNG"), RGB, IM):
        assert refusal(source, crop=crop).code == "bad-crop"


def test_crop_is_measured_after_rotation() -> None:
    assert read_photo(RGB, rotate=90, crop=Crop(0, 0, 64, 96)).rgb.shape == (96, 64, 3)
    assert refusal(RGB, rotate=90, crop=Crop(0, 0, 96, 64)).code == "bad-crop"
    assert refusal(RGB, crop=cast("Any", Crop)(1.5, 0, 20, 20)).code == "bad-crop"
    assert refusal(RGB, crop=Crop(0, 0, 15, 64)).code == "image-too-small"


def test_crop_parse() -> None:
    assert Crop.parse("10,20,300,400") == Crop(10, 20, 300, 400)
    assert Crop.parse(" 1, 2 ,3,4 ") == Crop(1, 2, 3, 4)
    for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "-1,2,3,4", "١,2,3,4"):
        with pytest.raises(PhotoError) as caught:
            Crop.parse(text)
        assert caught.value.code == "bad-crop"


@pytest.mark.parametrize("rotate", [1, 45, 91, 90.0, "90", None])
def test_bad_rotation(rotate: Any) -> None:
    assert refusal(RGB, rotate=rotate).code == "bad-rotation"


def test_needed_side_must_be_positive() -> None:
    with pytest.raises(UsageError):
        read_photo(RGB, needed_side=0)


# Sources and names


class OnePass(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time, like a socket."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.inner.read(min(len(buffer), 700))
        buffer[: len(part)] = part
        return len(part)


def test_every_kind_of_source_gives_the_same_photo(tmp_path: Path) -> None:
    data = encode(IM, "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    moved = io.BytesIO(data)
    moved.seek(77)
    with path.open("rb") as file:
        sources: list[Any] = [path, str(path), data, bytearray(data), memoryview(data), moved, file, IM, RGB]
        sources.append(OnePass(data))
        for source in sources:
            np.testing.assert_array_equal(read_photo(source).rgb, RGB)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encode(IM, "PNG"))
    monkeypatch.chdir(tmp_path)
    assert read_photo("a.png").name == "a.png"
    assert read_photo(Path("a.png")).name == "a.png"
    assert read_photo("a.png", name="shown").name == "shown"
    assert read_photo(encode(IM, "PNG"), name="").name == "photo"
    with (tmp_path / "a.png").open("rb") as file:
        assert read_photo(file).name == "a.png"
    assert refusal("gone.png").photo == "gone.png"
    assert refusal(b"nothing here", name="upload 1").photo == "upload 1"


def test_a_pillow_image_is_not_changed() -> None:
    data = encode(IM, "JPEG", exif=exif(6))
    im = Image.open(io.BytesIO(data))
    twin = Image.open(io.BytesIO(data))
    photo = read_photo(im, rotate=90, crop=Crop(3, 4, 50, 40))
    assert photo.format == "JPEG"
    np.testing.assert_array_equal(photo.rgb, read_photo(data, rotate=90, crop=Crop(3, 4, 50, 40)).rgb)
    assert (im.size, im.mode, im.info) == (twin.size, twin.mode, twin.info)
    assert im.getexif()[0x0112] == 6
    np.testing.assert_array_equal(np.asarray(im), np.asarray(twin))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, GREY_RGB),
        (GREY[:, :, None], GREY_RGB),
        (RGB, RGB),
        (RGB[::-1, ::-1], RGB[::-1, ::-1]),
        (np.dstack([RGB, np.zeros_like(GREY)]), np.full_like(RGB, 255)),
        (RGB.astype(np.uint16) * 257, RGB),
        (GREY.astype(">u2") * 257, GREY_RGB),
        (RGB / 255, RGB),
        ((RGB / 255).astype(np.float32), RGB),
        (np.ones((64, 64), np.float16), np.full((64, 64, 3), 255)),
    ],
)
def test_arrays(array: NDArray[Any], expected: NDArray[Any]) -> None:
    before = array.copy()
    photo = read_photo(array)
    np.testing.assert_array_equal(photo.rgb, expected)
    np.testing.assert_array_equal(array, before)
    assert photo.format == "array"
    assert not np.shares_memory(photo.rgb, array)


@pytest.mark.parametrize(
    "source",
    [
        RGB.astype(np.int64),
        RGB.astype(bool),
        RGB.astype(object),
        np.full((64, 64), np.nan),
        RGB / 200,
        -(RGB / 255),
        np.zeros((64, 64, 2), np.uint8),
        np.zeros((2, 64, 64, 3), np.uint8),
        np.zeros(64, np.uint8),
        None,
        7,
        ["a.jpg"],
        io.StringIO("text"),
    ],
)
def test_bad_arrays_and_objects(source: Any) -> None:
    assert refusal(source).code == "bad-array"


# Refusals


def test_paths_that_are_no_photo_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling.jpg").symlink_to("gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path is limited to some hundred bytes
        listener.bind("socket.jpg")
        os.chdir(here)
        codes = {
            "gone.jpg": "not-found",
            "empty.jpg/a.jpg": "not-found",
            "a" * 300: "not-found",
            "nul\0.jpg": "not-found",
            "loop": "not-found",
            "dangling.jpg": "not-found",
            ".": "not-a-file",
            "pipe.jpg": "not-a-file",
            "socket.jpg": "not-a-file",
            "empty.jpg": "empty-file",
        }
        started = time.monotonic()
        for name, code in codes.items():
            error = refusal(os.path.join(tmp_path, name))  # noqa: PTH118 - Path would tidy the name
            assert (name, error.code) == (name, code)
            assert str(tmp_path) not in error.detail
        assert time.monotonic() - started < 2
    assert refusal("/dev/zero").code == "not-a-file"


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(encode(IM, "JPEG"))
    if os.geteuid() == 0:  # root may read everything, so the system's answer is put in its mouth

        def denied(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", denied)
    else:
        path.chmod(0)
    assert refusal(path).code == "permission-denied"


def test_a_file_object_that_fails() -> None:
    class Failing:
        def read(self, _: int = -1) -> bytes:
            raise RuntimeError("connection reset")

    assert refusal(cast("BinaryIO", Failing())).code == "unreadable-file"


@pytest.mark.parametrize(("image_format", "data", "_tolerance"), FORMATS)
def test_a_file_cut_anywhere_is_refused_as_truncated(image_format: str, data: bytes, _tolerance: float) -> None:
    first = data
    if image_format == "MPO":
        first = data[: data.index(b"\xff\xd8\xff", 10)]  # a missing second picture is no harm
    elif image_format in ("GIF", "TIFF") or b"ANMF" in data:
        first = data[: len(data) // 2 - 100]  # several pictures: somewhere in the first
    for share in (0.3, 0.5, 0.7, 0.9, 0.97):
        error = refusal(first[: int(len(first) * share)], name="cut.jpg")
        assert (share, error.code, error.photo) == (share, "truncated-image", "cut.jpg")


def test_a_damaged_file_that_is_complete_is_corrupt() -> None:
    for image_format, at in (("PNG", 0.5), ("AVIF", 0.8), ("WEBP", 0.05)):
        data = bytearray(encode(IM, image_format, lossless=True))
        start = int(len(data) * at)
        data[start : start + 60] = b"\xff" * 60
        assert (image_format, refusal(bytes(data)).code) == (image_format, "corrupt-image")


def test_every_limit_names_itself_and_the_value() -> None:
    data = encode(IM, "PNG")
    cases = [
        (data, Limits(max_bytes=1000), "image-too-large", f"{len(data)} bytes"),
        (io.BytesIO(data), Limits(max_bytes=1000), "image-too-large", "1000 bytes"),
        (data, Limits(max_pixels=6000), "image-too-large", "6144"),
        (data, Limits(max_side=95), "image-too-large", "96"),
        (data, Limits(min_side=65), "image-too-small", "64"),
        (RGB, Limits(max_pixels=6000), "image-too-large", "6144"),
        (IM, Limits(max_side=95), "image-too-large", "95"),
    ]
    for source, limits, code, words in cases:
        error = refusal(source, limits=limits)
        assert error.code == code
        assert words in error.detail
    exact = Limits(max_bytes=len(data), max_pixels=6144, max_side=96, min_side=64)
    for source in (data, io.BytesIO(data)):
        assert read_photo(source, limits=exact).width == 96


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(path).code == "image-too-large"
    endless = OnePass(b"")
    read = 0

    def readinto(buffer: Any) -> int:
        nonlocal read
        read += len(buffer)
        return len(buffer)

    endless.readinto = readinto  # type: ignore[method-assign]
    assert refusal(endless, limits=Limits(max_bytes=5_000_000)).code == "image-too-large"
    assert read == 5_000_001


def test_sizes_are_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"):
        data = encode(IM, image_format)
        assert refusal(data, limits=Limits(max_pixels=6000)).code == "image-too-large"


def test_errors_survive_another_process() -> None:
    error = refusal(b"noise and no image", name="a.jpg")
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), twin.photo, twin.detail) == (type(error), "a.jpg", error.detail)


# The host program


def test_no_setting_of_pillow_is_changed_and_no_warning_shown(recwarn: pytest.WarningsRecorder) -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    generous = Limits(max_pixels=10**9, max_side=10**6)
    read_photo(png(9600, 9600), limits=generous)  # more than Pillow warns about
    read_photo(encode(IM, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))
    assert refusal(png(40_000, 20_000, rows=5), limits=generous).code == "image-too-large"
    assert "HEIF" not in Image.OPEN
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert not recwarn.list


def test_threads_leave_no_warning_filter_behind() -> None:
    before = list(warnings.filters)
    data = encode(Image.fromarray(picture(600, 600)), "JPEG")
    threads = [threading.Thread(target=lambda: [read_photo(data, needed_side=100) for _ in range(5)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_location_is_never_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    block = Image.Exif()
    block[0x0112] = 3
    block.get_ifd(0x8825)[2] = (40.0, 26.0, 46.0)
    data = encode(IM, "JPEG", exif=block.tobytes(), quality=95)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)

    def never(_: Image.Exif, tag: int) -> dict[int, Any]:
        raise AssertionError(f"directory {tag:#x} was read")

    monkeypatch.setattr(Image.Exif, "get_ifd", never)
    assert difference(read_photo(data), RGB[::-1, ::-1]) <= LOSSY


def run(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    assert not result.stderr
    return result.stdout


def test_importing_is_cheap() -> None:
    # An empty package in place of `handlens`, whose own imports are not in question here.
    code = (
        "import importlib.util, sys, types\n"
        "package = types.ModuleType('handlens')\n"
        "package.__path__ = importlib.util.find_spec('handlens').submodule_search_locations\n"
        "sys.modules['handlens'] = package\n"
        "import handlens.photo\n"
        "print(*sys.modules)"
    )
    modules = run(code).split()
    assert "handlens.photo_pixels" in modules
    assert not {"pi_heif", "PIL.ImageCms", "PIL.JpegImagePlugin", "onnxruntime"} & set(modules)


def test_a_photo_of_48_megapixels_costs_less_than_100_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(picture(2000, 1500)).resize((8000, 6000)).save(path, quality=90)
    code = (
        "import sys, resource; from handlens.photo import read_photo\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); photo = read_photo(sys.argv[1]); print(peak() - before, *photo.rgb.shape)"
    )
    kilobytes, *shape = (int(word) for word in run(code, str(path)).split())
    assert shape == [1500, 2000, 3]
    assert kilobytes < 100_000


# Three hundred odd files


def test_odd_files_are_the_same_every_time() -> None:
    first, second = list(generate(count=200)), list(generate(count=200))
    assert first == second
    assert len({file.name for file in first}) == 200


def test_no_odd_file_gets_past() -> None:
    wrong = []
    files = list(generate())
    assert len(files) == 300
    for file in files:
        started = time.monotonic()
        try:
            photo = read_photo(file.data, name=file.name)
            answer = "a photo"
            fine = file.expected is None
            assert photo.rgb.shape[2] == 3
        except PhotoError as error:
            answer = error.code
            allowed = file.expected if file.expected is not None else BROKEN
            fine = error.code in allowed and not file.must_open and error.photo == file.name
        except Exception as error:  # noqa: BLE001 - any other class is what this test looks for
            answer, fine = repr(error), False
        if not fine or time.monotonic() - started > 3:
            wrong.append((file.name, answer, round(time.monotonic() - started, 2)))
    assert not wrong
