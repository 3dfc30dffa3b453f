"""Where the specimen is in the photo: its box and mask, or "it fills the frame".

`specimen_localiser` finds it; whoever looks at whole photos asks `whole_frame`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

__all__ = ["MASK_SIDE", "MASK_THRESHOLD", "Box", "Specimen", "grey_background", "whole_frame"]

MASK_SIDE: Final = 128
"""Cells of a side of a mask."""
MASK_THRESHOLD: Final = 128
"""The least value of a cell that belongs to the specimen."""
_EDGE_CELLS: Final = 0.75


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
    """The place of one specimen; `fills_frame` when it could not be told from a background.

    `mask` is read-only uint8 (128, 128), or None where the specimen fills the frame: the whole photo stretched to the
    square, so that cell (r, c) of a photo (H, W) covers its rows from r * H / 128 and its columns from c * W / 128.
    0 is background, 255 surely specimen, and 128 or more counts as specimen. `box` holds all of that, with a margin.
    `pieces`: parts of the mask that are not much smaller than the largest: 2 or more where several stones lie apart.
    """

    box: Box
    fills_frame: bool
    mask: NDArray[np.uint8] | None = field(default=None, compare=False)
    pieces: int = 1


def whole_frame(rgb: NDArray[np.uint8]) -> Specimen:
    """The answer "it fills the frame" for an upright photo (H, W, 3)."""
    height, width = rgb.shape[:2]
    return Specimen(Box(0, 0, width, height), fills_frame=True)


def grey_background(rgb: NDArray[np.uint8], specimen: Specimen, fill: int = 127) -> NDArray[np.uint8]:
    """A copy of the photo (H, W, 3), uint8, with the grey `fill` (0 to 255) in place of the background.

    The edge is soft: from half a cell of the mask inside it to two cells outside it (1/64 of the frame) the photo fades
    to grey. A specimen that fills the frame has no background.
    """
    if specimen.mask is None:
        return rgb.copy()
    height, width = rgb.shape[:2]
    inside = Image.fromarray(np.where(specimen.mask >= MASK_THRESHOLD, 255, 0).astype(np.uint8))
    # Blurred so little, every cell of the mask keeps about a half, even in a corner or a needle; doubled, it is whole.
    soft = inside.filter(ImageFilter.GaussianBlur(_EDGE_CELLS)).point([min(255, 2 * value) for value in range(256)])
    weight = soft.resize((width, height), Image.Resampling.BILINEAR)
    grey = Image.new("RGB", (width, height), (fill, fill, fill))
    return np.array(Image.composite(Image.fromarray(rgb), grey, weight))
