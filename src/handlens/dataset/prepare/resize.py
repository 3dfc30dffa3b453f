"""A photo of any size → a picture of the size wanted."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Fit", "Resampling", "resized"]

Fit = Literal["inside", "pad", "crop", "stretch"]
Resampling = Literal["lanczos", "bicubic"]

_FILTERS: Final = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}


def resized(
    rgb: NDArray[np.uint8], side: int, fit: Fit, *, resampling: Resampling = "lanczos", fill: int = 127
) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 at `side` pixels; small ones are enlarged.

    "inside": the longer side has `side` pixels, the shape is kept (h, w, 3). The others give (side, side, 3): "pad" is
    that in the middle of a square of grey `fill`, "crop" the centre square (odd remainders: half a pixel up and left),
    "stretch" the whole, its shape not kept.
    """
    height, width = rgb.shape[:2]
    if fit == "crop":
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        rgb = np.ascontiguousarray(rgb[top : top + edge, left : left + edge])
    size = (side, side)
    if fit in ("inside", "pad"):
        scale = side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = np.asarray(Image.fromarray(rgb).resize(size, _FILTERS[resampling]))
    if fit != "pad":
        return picture
    square = np.full((side, side, 3), fill, np.uint8)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    square[top : top + size[1], left : left + size[0]] = picture
    return square
