"""Bytes, a path, a file, a Pillow image or an array → one safe, upright sRGB photo, or a typed refusal.

Every limit and every refusal of a photo lives here and in the `photo_*` modules beside it. Sizes are checked
before anything is decoded; the format is decided by content, never by extension; orientation, then `rotate`,
then `crop` are applied; colours end as sRGB on white. Large photos are reduced by a whole factor, a JPEG
already while it is decoded.
"""

from __future__ import annotations

import contextlib
import operator
import os
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.errors import UsageError
from handlens.photo_decode import decoding, draft, open_image, readable_format, scaled_box, tile_pixels
from handlens.photo_errors import (
    BadArrayError,
    BadCropError,
    BadRotationError,
    CorruptImageError,
    EmptyFileError,
    ImageTooLargeError,
    ImageTooSmallError,
    NotAFileError,
    NotAnImageError,
    PhotoError,
    PhotoNotFoundError,
    PhotoPermissionError,
    TruncatedImageError,
    UnreadableFileError,
    UnsupportedFormatError,
)
from handlens.photo_format import webp_size
from handlens.photo_pixels import Box, Turn, upright_rgb
from handlens.photo_source import check_bytes, default_name, path_bytes, stream_bytes

__all__ = [
    "DEFAULT_LIMITS",
    "DEFAULT_NEEDED_SIDE",
    "BadArrayError",
    "BadCropError",
    "BadRotationError",
    "CorruptImageError",
    "Crop",
    "EmptyFileError",
    "ImageTooLargeError",
    "ImageTooSmallError",
    "Limits",
    "NotAFileError",
    "NotAnImageError",
    "Photo",
    "PhotoError",
    "PhotoNotFoundError",
    "PhotoPermissionError",
    "PhotoSource",
    "TruncatedImageError",
    "UnreadableFileError",
    "UnsupportedFormatError",
    "read_photo",
]

PhotoSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.generic]
"""A path, the bytes of a file, an open binary file, a Pillow image, or an array (see `read_photo`)."""

DEFAULT_NEEDED_SIDE = 800
"""Pixels that the shorter side of the (cropped) photo keeps when a larger one is reduced."""

_CROP = re.compile(r"\s*([0-9]{1,7})\s*,\s*([0-9]{1,7})\s*,\s*([0-9]{1,7})\s*,\s*([0-9]{1,7})\s*")


@dataclass(frozen=True)
class Limits:
    """The most bytes, pixels in all and pixels a side that a photo may have, and the least pixels a side."""

    max_bytes: int = 25 * 2**20
    max_pixels: int = 64_000_000
    min_side: int = 16
    max_side: int = 20_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Crop:
    """A rectangle in pixels of the upright photo after `rotate` (what a person sees), origin top left."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Crop:
        """Read "x,y,w,h", four whole numbers; anything else is a `BadCropError` (whose `photo` is "")."""
        match = _CROP.fullmatch(text)
        if match is None:
            detail = "A crop is four whole numbers of pixels, x,y,width,height: for example 40,60,800,600."
            raise BadCropError("", detail)
        x, y, width, height = (int(number) for number in match.groups())
        return cls(x, y, width, height)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo ready to be looked at.

    `rgb` is (H, W, 3) uint8 sRGB, C-contiguous and read-only: upright, cropped, perhaps reduced.
    `width` and `height` are the upright size (after `rotate`) in original pixels, before crop and reduction.
    `format` is "JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", or "array" for pixels that
    came without a file format.
    """

    name: str
    rgb: NDArray[np.uint8]
    width: int
    height: int
    format: str


@dataclass(frozen=True)
class _Wish:
    """What the caller asked for, past the source itself."""

    name: str
    crop: Crop | None
    quarters: int
    needed_side: int
    limits: Limits


def read_photo(
    source: PhotoSource,
    *,
    name: str | None = None,
    crop: Crop | None = None,
    rotate: int = 0,
    needed_side: int = DEFAULT_NEEDED_SIDE,
    limits: Limits = DEFAULT_LIMITS,
) -> Photo:
    """Read one photo: upright (EXIF), then turned by `rotate`, then cropped, as sRGB on white.

    `source`: JPEG, MPO, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC as a path, bytes or binary file (a seekable
    file is read from its start); a Pillow image, which is not modified; or an array (H, W), (H, W, 1),
    (H, W, 3) RGB or (H, W, 4) RGBA of uint8, uint16 (0 to 65535) or floats from 0 to 1. Of several frames the
    first is taken.
    `name`: what results and errors call the photo; by default the path as typed, an open file's base name, or
    "photo". `rotate`: degrees clockwise, a multiple of 90, negative allowed. `needed_side`: pixels (>= 1); a
    photo whose shorter side has twice as many is reduced by a whole factor that leaves that many or more.
    Raises a subclass of `PhotoError` for whatever is wrong with the photo; `UsageError` for `needed_side`.
    """
    if needed_side < 1:
        raise UsageError("needed_side must be 1 pixel or more.")
    name = name or default_name(source)
    wish = _Wish(name, crop, _quarters(name, rotate), needed_side, limits)
    if isinstance(source, Image.Image):
        return _from_image(source, wish)
    if isinstance(source, np.ndarray):
        return _from_image(_array_image(source, wish), wish)
    if isinstance(source, bytes | bytearray | memoryview):
        check_bytes(memoryview(source).nbytes, name, limits.max_bytes)
        return _from_bytes(bytes(source), wish)
    if isinstance(source, str | os.PathLike):
        return _from_bytes(path_bytes(source, name, limits.max_bytes), wish)
    if hasattr(source, "read"):
        return _from_bytes(stream_bytes(source, name, limits.max_bytes), wish)
    raise BadArrayError(name, "A photo is a path, bytes, a binary file, a Pillow image or a NumPy array.")


def _quarters(name: str, rotate: int) -> int:
    try:
        quarters, rest = divmod(operator.index(rotate), 90)
    except TypeError:
        quarters, rest = 0, 1
    if rest:
        detail = "A photo can be rotated by 0, 90, 180 or 270 degrees (or -90, -180, -270)."
        raise BadRotationError(name, detail)
    return quarters % 4


def _from_bytes(data: bytes, wish: _Wish) -> Photo:
    kind = readable_format(data, wish.name)
    if kind == "WEBP" and (size := webp_size(data)):
        _check_size(size, wish)
    with decoding(wish.name, kind, data), contextlib.closing(open_image(data, kind)) as im:
        _check_size(im.size, wish)
        _check_tile(tile_pixels(im), wish)
        if kind == "JPEG":
            # The only format that is decoded at a reduced scale, so the region has to be known beforehand.
            size, turn = im.size, Turn.of(im, wish.quarters)
            draft(im, _stored_region(size, turn, wish), wish.needed_side)
            im.load()
        else:
            im.load()
            _check_size(im.size, wish)  # a HEIF container's claim and its codec's may differ
            # Pillow turns a TIFF upright while loading it; pi-heif and Pillow's AVIF leave one orientation.
            size = im.size
            turn = Turn(False, wish.quarters) if kind == "TIFF" else Turn.of(im, wish.quarters)
        box = scaled_box(_stored_region(size, turn, wish), size, im.size)
        rgb = upright_rgb(im, box, turn, wish.needed_side)
        return Photo(wish.name, rgb, *turn.upright_size(size), im.format or kind)


def _from_image(im: Image.Image, wish: _Wish) -> Photo:
    _check_size(im.size, wish)
    with decoding(wish.name, "image", b""):
        im.load()
        turn = Turn.of(im, wish.quarters)
        rgb = upright_rgb(im, _stored_region(im.size, turn, wish), turn, wish.needed_side)
        return Photo(wish.name, rgb, *turn.upright_size(im.size), im.format or "array")


def _array_image(array: NDArray[Any], wish: _Wish) -> Image.Image:
    name = wish.name
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        detail = "A photo array is (height, width), optionally with 1, 3 (RGB) or 4 (RGBA) channels."
        raise BadArrayError(name, detail)
    _check_size((array.shape[1], array.shape[0]), wish)
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array))
    is_uint16 = array.dtype.kind == "u" and array.dtype.itemsize == 2
    if not is_uint16 and array.dtype.kind != "f":
        raise BadArrayError(name, "A photo array holds uint8, uint16, or floats from 0 to 1.")
    pixels = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), 256):  # in parts, to spare a float copy of the whole
        part = array[start : start + 256].astype(np.float64)
        if not is_uint16 and not ((part >= 0) & (part <= 1)).all():  # false for NaN, too
            raise BadArrayError(name, "A photo array of floats holds numbers from 0 to 1 and nothing else.")
        pixels[start : start + 256] = np.rint(part * (255.0 / 65535.0 if is_uint16 else 255.0))
    return Image.fromarray(pixels)


def _check_size(size: tuple[int, int], wish: _Wish) -> None:
    (width, height), limits = size, wish.limits
    found = f"The photo has {width} by {height} pixels"
    if max(size) > limits.max_side:
        raise ImageTooLargeError(wish.name, f"{found}; the longest side allowed is {limits.max_side}.")
    if width * height > limits.max_pixels:
        detail = f"{found}, {width * height} in all; the most allowed is {limits.max_pixels}."
        raise ImageTooLargeError(wish.name, detail)
    if min(size) < limits.min_side:
        raise ImageTooSmallError(wish.name, f"{found}; each side needs at least {limits.min_side}.")


def _check_tile(pixels: int, wish: _Wish) -> None:
    limit = wish.limits.max_pixels
    if pixels > max(limit, 1 << 16):  # a small picture in one ordinary tile is no offence
        raise ImageTooLargeError(wish.name, f"The TIFF has tiles of {pixels} pixels; the limit is {limit}.")


def _stored_region(size: tuple[int, int], turn: Turn, wish: _Wish) -> Box:
    """Where the wanted part of the upright photo lies in the picture as stored."""
    (width, height), crop = turn.upright_size(size), wish.crop
    if crop is None:
        return 0, 0, *size
    try:
        x, y = operator.index(crop.x), operator.index(crop.y)
        wide, high = operator.index(crop.width), operator.index(crop.height)
    except TypeError as error:
        raise BadCropError(wish.name, "The crop's four numbers must be whole pixels.") from error
    if wide < 1 or high < 1:
        raise BadCropError(wish.name, "The crop is empty: its width and height must be 1 pixel or more.")
    if min(x, y) < 0 or x + wide > width or y + high > height:
        detail = f"The crop reaches outside the photo, which has {width} by {height} pixels."
        raise BadCropError(wish.name, detail)
    if min(wide, high) < wish.limits.min_side:
        detail = f"The crop keeps {wide} by {high} pixels; each side needs at least {wish.limits.min_side}."
        raise ImageTooSmallError(wish.name, detail)
    return turn.stored_box((x, y, x + wide, y + high), size)
