"""From a decoded picture of any mode to upright sRGB: turning, cropping, reducing, colour.

The picture is worked on in bands, so a large one costs its decoded size and little more. Bands are cut in the
upright frame: the answer is exactly that of turning the whole picture first, then cropping, then reducing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""

_BAND_PIXELS = 1 << 20
_MAX_PROFILE_BYTES = 8 << 20
_ORIENTATION_TAG = 0x0112
# EXIF 2.32, tag 274: orientation -> (mirrored left to right first?, then how many quarter turns clockwise).
_ORIENTATIONS = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 3),
    6: (False, 1),
    7: (True, 1),
    8: (False, 3),
}
_CLOCKWISE = {1: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_90}
# Not every profile whose name starts with sRGB is sRGB ("sRGB-elle-V2-g10" is linear).
_SRGB_NAME = re.compile(r"srgb([ _-]?(built-in|iec ?61966.*|2014|profile|v4.*))?", re.I)
_PROFILE_SPACE = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}


@dataclass(frozen=True)
class Turn:
    """How a stored picture becomes upright: mirror it left to right or not, then turn it clockwise."""

    mirrored: bool
    quarters: int

    @classmethod
    def of(cls, im: Image.Image, extra_quarters: int) -> Turn:
        """The turn that the picture's EXIF orientation asks for, and then `extra_quarters` more clockwise."""
        try:
            # Only this one tag is asked for: the location, among others, is never looked at.
            orientation = im.getexif().get(_ORIENTATION_TAG, 1)
            mirrored, quarters = _ORIENTATIONS.get(orientation, _ORIENTATIONS[1])
        except Exception:  # noqa: BLE001 - damaged EXIF fails in many ways, and the picture is fine without it
            mirrored, quarters = _ORIENTATIONS[1]
        return cls(mirrored, (quarters + extra_quarters) % 4)

    def upright_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the upright picture, from those of the stored one."""
        return (size[1], size[0]) if self.quarters % 2 else size

    def stored_box(self, box: Box, size: tuple[int, int]) -> Box:
        """Where a box of the upright picture lies in the stored picture of this `size`."""
        left, top, right, bottom = box
        width, height = self.upright_size(size)
        for _ in range(self.quarters):
            left, top, right, bottom = top, width - right, bottom, width - left
            width, height = height, width
        if self.mirrored:
            left, right = width - right, width - left
        return left, top, right, bottom

    def apply(self, im: Image.Image) -> Image.Image:
        """The upright picture."""
        if self.mirrored:
            im = im.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return im.transpose(_CLOCKWISE[self.quarters]) if self.quarters else im


def upright_rgb(im: Image.Image, box: Box, turn: Turn, needed_side: int) -> NDArray[np.uint8]:
    """Cut `box` (stored pixels) out of a decoded picture, turn it upright, reduce it and convert it to sRGB.

    The factor is the largest whole number that leaves the shorter side at `needed_side` pixels or more.
    Returns (H, W, 3), C-contiguous and read-only.
    """
    left, top = box[:2]
    stored = (box[2] - left, box[3] - top)
    width, height = turn.upright_size(stored)
    factor = max(1, min(width, height) // needed_side)
    rows = max(1, _BAND_PIXELS // (width * factor)) * factor
    value_range = _value_range(im)
    canvas: Image.Image | None = None
    for upper in range(0, height, rows):
        lower = min(height, upper + rows)
        part = turn.stored_box((0, upper, width, lower), stored)
        band = im.crop((part[0] + left, part[1] + top, part[2] + left, part[3] + top))
        band = turn.apply(_flat(band, value_range))
        if factor > 1:
            band = band.reduce(factor)
        if canvas is None:
            canvas = Image.new(band.mode, (-(-width // factor), -(-height // factor)))
        canvas.paste(band, (0, upper // factor))
    assert canvas is not None
    rgb = np.ascontiguousarray(np.asarray(_srgb(canvas, im.info.get("icc_profile")), dtype=np.uint8))
    rgb.setflags(write=False)
    return rgb


def _value_range(im: Image.Image) -> tuple[float, float]:
    """The values that become black and white in a grey picture of more than 8 bits; (0, 255) for other modes.

    16-bit modes use their whole range. 32-bit integers (I) and floats (F) carry none, so the smallest usual
    range that holds all values is taken: 0 to 1 (floats only), to 255 or to 65535; or else the picture's own.
    """
    if im.mode.startswith("I;16"):
        return 0.0, 65535.0
    if im.mode not in ("I", "F"):
        return 0.0, 255.0
    low, high = (float(value) for value in np.asarray(im.getextrema(), dtype=np.float64))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("values that are no numbers")
    for usual in (1.0, 255.0, 65535.0) if im.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= usual:
            return 0.0, usual
    return low, high if high > low else low + 1.0


def _flat(band: Image.Image, value_range: tuple[float, float]) -> Image.Image:
    """The band as L, RGB, CMYK or LAB: 8 bits, no palette, and white where it was transparent."""
    if band.mode[0] == "I" or band.mode == "F":
        low, high = value_range
        values = np.asarray(band).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("values that are no numbers")
        grey = np.rint((values - low) * (255.0 / (high - low))).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey)
    if band.mode in ("La", "RGBa"):
        band = band.convert(band.mode.upper())
    if band.mode == "PA" or band.has_transparency_data:
        base = "L" if band.mode in ("1", "L", "LA") else "RGB"
        clear = band.convert("LA" if base == "L" else "RGBA")
        white = Image.new(base, band.size, "white")
        return Image.composite(clear.convert(base), white, clear.getchannel("A"))
    if band.mode == "1":
        return band.convert("L")
    return band if band.mode in ("L", "RGB", "CMYK", "LAB") else band.convert("RGB")


def _srgb(im: Image.Image, profile: object) -> Image.Image:
    """Convert L, RGB, CMYK or LAB to sRGB, with the picture's own profile where it has a usable one."""
    if im.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        return _transformed(im, transform)
    if isinstance(profile, bytes) and _PROFILE_SPACE[im.mode] == profile[16:20]:
        managed = _managed(im, profile)
        if managed is not None:
            return managed
    return im.convert("RGB")


def _managed(im: Image.Image, profile: bytes) -> Image.Image | None:
    """Apply an ICC profile (perceptual intent); None where it is sRGB already, broken or absurdly large."""
    import io

    from PIL import ImageCms

    if len(profile) > _MAX_PROFILE_BYTES:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if im.mode == "RGB" and _SRGB_NAME.fullmatch(ImageCms.getProfileDescription(opened).strip()):
            return None
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(opened, srgb, im.mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        return _transformed(im, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _transformed(im: Image.Image, transform: object) -> Image.Image:
    from PIL import ImageCms

    assert isinstance(transform, ImageCms.ImageCmsTransform)
    result = ImageCms.applyTransform(im, transform)
    assert result is not None  # None is only for in-place use
    return result
