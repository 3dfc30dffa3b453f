"""Where the specimen is in the photo: its box, its mask, or "it fills the frame".

No localiser ships yet, so every photo answers that the specimen fills the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Specimen", "locate"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the photo, left and top inclusive, right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Specimen:
    """The place of one specimen; `fills_frame` when it could not be told from a background."""

    box: Box
    fills_frame: bool


def locate(rgb: NDArray[np.uint8]) -> Specimen:
    """The specimen in an upright photo (H, W, 3): for now always the whole frame."""
    height, width = rgb.shape[:2]
    return Specimen(Box(0, 0, width, height), fills_frame=True)
