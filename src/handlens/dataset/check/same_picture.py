"""Whether two pictures are copies of one: their thumbnails are laid on each other and compared.

Hashes of two stones on one studio's background can be near; a pair that an index proposes is believed only when, after
the best alignment by an affine map (the enhanced correlation coefficient of Evangelidis and Psarakis, 2008, as OpenCV
has it), fine detail correlates, colours are near, and the map is one that cropping up to some 8 % a side could have
made. The limits are measured, see docs/data-checks.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.dataset.check.looks import MARGIN, pose_pixels

__all__ = ["Resemblance", "Thumbnail", "resemblance"]

Plane = NDArray[np.float32]

_LUMA: Final = 48
_CHROMA: Final = 16
_MOST_MOVED: Final = 0.12
"""Share of the side by which alignment may move a corner."""
_MOST_COLOUR: Final = 25.0
_MOST_CAST: Final = 10.0
"""Levels by which the mean colours may differ; not worth aligning above it."""
_STEPS: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
_SMOOTHED: Final = 5
"""Cells of the Gaussian that lets the alignment find its way from some cells off."""
_WELL_ALIGNED: Final = 0.9
_EVERYWHERE: Final = np.ones((_LUMA, _LUMA), np.uint8)
_CORNERS: Final = np.array([[0, 0, _LUMA - 1, _LUMA - 1], [0, _LUMA - 1, 0, _LUMA - 1]], np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class Thumbnail:
    """A picture stretched to a square: `luma` (48, 48) and `chroma` (2, 16, 16), Cb and Cr, uint8."""

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]

    @classmethod
    def of(cls, rgb: NDArray[np.uint8]) -> Thumbnail:
        """The thumbnail of a picture (H, W, 3) uint8."""
        im = Image.fromarray(rgb).resize((_LUMA, _LUMA), Image.Resampling.BILINEAR).convert("YCbCr")
        chroma = im.resize((_CHROMA, _CHROMA), Image.Resampling.BOX)
        return cls(np.asarray(im)[:, :, 0], np.moveaxis(np.asarray(chroma)[:, :, 1:], -1, 0))

    def to_bytes(self) -> bytes:
        """Luma, then chroma: 2,816 bytes."""
        return self.luma.tobytes() + self.chroma.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Thumbnail:
        """A thumbnail from `to_bytes`."""
        cells = np.frombuffer(data, np.uint8)
        luma, chroma = cells[: _LUMA**2], cells[_LUMA**2 :]
        return cls(luma.reshape(_LUMA, _LUMA), chroma.reshape(2, _CHROMA, _CHROMA))

    def posed(self, pose: int) -> Thumbnail:
        """The thumbnail in another orientation, see `looks.POSES`."""
        return Thumbnail(*(np.ascontiguousarray(pose_pixels(part, pose)) for part in (self.luma, self.chroma)))


@dataclass(frozen=True, slots=True)
class Resemblance:
    """How alike two pictures are once aligned.

    `detail`: correlation of what is finer than 3 cells of 48, -1 to 1. `colour`: difference of colour in levels of 255,
    which 95 % of the picture stays under. `moved`: the farthest that a corner moved, as share of the side.
    """

    detail: float
    colour: float
    moved: float

    def is_copy(self, least_detail: float) -> bool:
        """Whether the two are copies of one picture, of which at most some 8 % a side was cut."""
        return self.detail >= least_detail and self.colour <= _MOST_COLOUR and self.moved <= _MOST_MOVED


def resemblance(one: Thumbnail, other: Thumbnail) -> Resemblance | None:
    """Aligns two thumbnails of the same orientation; None where their mean colours are too far apart or it fails."""
    cast = one.chroma.mean(axis=(1, 2)) - other.chroma.mean(axis=(1, 2))
    if float(np.hypot(*cast)) > _MOST_CAST:
        return None
    fixed, moving = one.luma.astype(np.float32), other.luma.astype(np.float32)
    as_they_are = _compared(one, other, np.eye(2, 3, dtype=np.float32))
    if as_they_are.detail >= _WELL_ALIGNED:
        return as_they_are
    placed = _aligned(fixed, moving)
    return None if placed is None else _compared(one, other, placed)


def _compared(one: Thumbnail, other: Thumbnail, placed: Plane) -> Resemblance:
    moved = float(np.abs(placed[:, :2] @ _CORNERS + placed[:, 2:] - _CORNERS).max() / _LUMA)
    if moved > _MOST_MOVED:
        return Resemblance(-1.0, 255.0, moved)
    fixed, moving = one.luma.astype(np.float32), other.luma.astype(np.float32)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    inside = cv2.warpAffine(np.ones_like(moving), placed, moving.shape, flags=flags) > 0
    detail = _correlation(_detail(fixed)[inside], _detail(_warped(moving, placed))[inside])
    smaller = _scaled(placed, _CHROMA / _LUMA)
    laid = [_warped(plane.astype(np.float32), smaller) for plane in other.chroma]
    apart = np.hypot(*(plane - there for plane, there in zip(one.chroma, laid, strict=True)))
    return Resemblance(detail, float(np.percentile(apart, 95)), moved)


def _aligned(fixed: Plane, moving: Plane) -> Plane | None:
    """The affine map from places in `fixed` to places in `moving`, starting from either view; None if neither holds."""
    best: tuple[float, Plane] | None = None
    for scale in (1.0, 1 - 2 * MARGIN):
        shift = (1 - scale) * (_LUMA - 1) / 2
        start = np.array([[scale, 0, shift], [0, scale, shift]], np.float32)
        try:
            fit, placed = cv2.findTransformECC(fixed, moving, start, cv2.MOTION_AFFINE, _STEPS, _EVERYWHERE, _SMOOTHED)
        except cv2.error:  # it did not converge: one colour, or nothing in common
            continue
        if best is None or fit > best[0]:
            best = fit, np.asarray(placed, np.float32)
        if fit >= _WELL_ALIGNED:
            break
    return None if best is None else best[1]


def _warped(plane: Plane, placed: Plane) -> Plane:
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(plane, placed, plane.shape[::-1], flags=flags, borderMode=border), np.float32)


def _scaled(placed: Plane, factor: float) -> Plane:
    """The same map between smaller pictures, whose cells have their centres at half numbers."""
    offset = 0.5 / factor - 0.5
    shift = (placed[:, :2].sum(axis=1) * offset + placed[:, 2] - offset) * factor
    return np.concatenate([placed[:, :2], shift[:, None]], axis=1).astype(np.float32)


def _detail(plane: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.8) - cv2.GaussianBlur(plane, (0, 0), 3.0), np.float32)


def _correlation(one: Plane, other: Plane) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum() + 1e-6))
