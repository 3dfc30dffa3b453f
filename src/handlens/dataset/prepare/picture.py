"""One photo → the picture to train from, and where its specimen is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.prepare.localiser import Finder
from handlens.dataset.prepare.origin_mask import MASK_SIDE, centre_square, mask_of_square, masked
from handlens.dataset.prepare.resize import resized
from handlens.dataset.prepare.settings import PrepareSettings
from handlens.photo import DEFAULT_NEEDED_SIDE, Photo, read_photo
from handlens.specimen import MASK_THRESHOLD, grey_background

__all__ = ["Prepared", "make_picture"]

_ORIGIN_NEEDS: Final = 8 * MASK_SIDE
"""Below twice this many pixels of the shorter side the origin's pipeline sees the photo unreduced."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """`picture`: (h, w, 3) uint8. `box`: left, top, right, bottom of the specimen in pixels of the upright photo, ()
    where it was not looked for or not found. `area`: the share of the photo that is specimen, 0 to 1, None where it was
    not looked for.
    """

    picture: NDArray[np.uint8]
    box: tuple[int, ...] = ()
    area: float | None = None


def make_picture(path: Path, name: str, settings: PrepareSettings, localiser: Finder | None) -> Prepared:
    """Reads a photo and prepares it. Raises PhotoError for one that cannot be read."""
    if settings.mode == "origin-mask":
        return _origin(read_photo(path, name=name, needed_side=_ORIGIN_NEEDS), settings.pixels)
    if localiser is not None:
        needed = max(2 * settings.pixels, DEFAULT_NEEDED_SIDE)
        return _specimen(read_photo(path, name=name, needed_side=needed), settings, localiser)
    photo = read_photo(path, name=name, needed_side=2 * settings.pixels)
    return Prepared(_fitted(photo.rgb, settings))


def _fitted(rgb: NDArray[np.uint8], settings: PrepareSettings) -> NDArray[np.uint8]:
    return resized(rgb, settings.pixels, settings.fit, resampling=settings.resampling, fill=settings.fill)


def _origin(photo: Photo, side: int) -> Prepared:
    square = centre_square(photo.rgb)
    mask = mask_of_square(square)
    edge = min(photo.width, photo.height)
    area = float(mask.mean()) * edge * edge / (photo.width * photo.height)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Prepared(masked(square, mask, side), (), 0.0)
    left, top = (photo.width - edge) // 2, (photo.height - edge) // 2
    scale = edge / MASK_SIDE
    box = (
        left + math.floor(columns[0] * scale),
        top + math.floor(rows[0] * scale),
        left + math.ceil((columns[-1] + 1) * scale),
        top + math.ceil((rows[-1] + 1) * scale),
    )
    return Prepared(masked(square, mask, side), box, area)


def _specimen(photo: Photo, settings: PrepareSettings, localiser: Finder) -> Prepared:
    found = localiser.locate(photo.rgb)
    box, rgb = found.box, photo.rgb
    if settings.specimen in ("grey", "both"):
        rgb = grey_background(rgb, found, settings.fill)
    if settings.specimen in ("crop", "both"):
        rgb = np.ascontiguousarray(rgb[box.top : box.bottom, box.left : box.right])
    height, width = photo.rgb.shape[:2]  # reduced, perhaps, while it was read
    across, down = photo.width / width, photo.height / height
    place = (round(box.left * across), round(box.top * down), round(box.right * across), round(box.bottom * down))
    area = 1.0 if found.mask is None else float(np.mean(found.mask >= MASK_THRESHOLD))
    return Prepared(_fitted(rgb, settings), place, area)
