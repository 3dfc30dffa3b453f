"""Sharpness, brightness and contrast of a photo, each 0 to 1 and the same for any size of the same picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Scores", "reduced_grey", "scores"]

_SIDE: Final = 416
_REACH: Final = 11
"""Pixels over which the second blurring averages, as in the paper."""
_TAIL: Final = 1.0
"""Per cent of the pixels at either end that do not count: hot pixels, a thin frame, a watermark."""


@dataclass(frozen=True, slots=True)
class Scores:
    """`sharpness`, `brightness` and `contrast` from 0 to 1, and the mean `colour`, red, green and blue from 0 to 1."""

    sharpness: float
    brightness: float
    contrast: float
    colour: tuple[float, float, float]


def scores(rgb: NDArray[np.uint8]) -> Scores:
    """Scores of a photo (H, W, 3) uint8 sRGB.

    Sharpness: 1 minus the perceptual blur of Crete, Dolmiere, Ladret and Nicolas (The Blur Effect, 2007): how much of
    the differences between neighbours a second blurring takes away; the worse of the two directions.
    Brightness: the 99th percentile of luma, so that a specimen on black is not dark. Contrast: what lies between the
    1st and the 99th percentile of the channel in which that is most.
    """
    small = _reduced(rgb, _SIDE)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    low, high = np.percentile(small.reshape(-1, 3), [_TAIL, 100 - _TAIL], axis=0)
    red, green, blue = (float(level) for level in small.reshape(-1, 3).mean(axis=0) / 255)
    return Scores(
        sharpness=1 - max(_blur(grey), _blur(np.ascontiguousarray(grey.T))),
        brightness=float(np.percentile(grey, 100 - _TAIL)) / 255,
        contrast=float((high - low).max()) / 255,
        colour=(red, green, blue),
    )


def reduced_grey(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Luma of a photo, its longest side reduced to `side` pixels where it is longer."""
    return np.asarray(cv2.cvtColor(_reduced(rgb, side), cv2.COLOR_RGB2GRAY))


def _reduced(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    if max(height, width) <= side:
        return np.ascontiguousarray(rgb)
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def _blur(grey: NDArray[np.uint8]) -> float:
    """Blur along rows, 0 (sharp) to 1."""
    levels = grey.astype(np.float32)
    before = np.abs(np.diff(levels, axis=1))
    after = np.abs(np.diff(cv2.blur(levels, (_REACH, 1)), axis=1))
    total = float(before.sum())
    return 1 - float(np.maximum(before - after, 0).sum()) / total if total else 1.0
