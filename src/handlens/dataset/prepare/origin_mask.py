"""The origin's mask pipeline: edges, filled outlines, and small patches of background judged by their colour.

The definition, step by step, on one photo:

1. Centre crop to a square, then 256 x 256 by Lanczos (Pillow). Odd remainders: the crop lies half a pixel up and left.
2. Canny with the thresholds 100 and 75 on the RGB picture, 0 to 255 (Sobel 3 x 3, sum of absolute values).
3. Gaussian 3 x 3 on the edge image; every pixel that is not 0 afterwards is edge, so that edges are 3 pixels wide.
4. External contours, filled, are the foreground. What lies within an outline is foreground, whatever its size;
   background is what reaches the border of the picture.
5. Background components (8-connected) of fewer pixels than a third of the area (65,536 / 3, so at most 21,845) become
   foreground when the population variance of their three channel means exceeds 0.01 and their mean colour is nearer to
   the mean of the foreground than to the mean of the background, to white and to black.
6. Foreground components (4-connected) of fewer pixels than 1/32 of the area (2,048) become background.
7. Everything but the foreground is made black, and the picture is resized to the side wanted (96) by Lanczos.

What the definition leaves open, and what is done here:

- *Order of the thresholds.* OpenCV exchanges them where the first is higher: 75 joins edges, 100 starts one.
- *Scale of the variance.* Means are taken on 0 to 1, where 0.01 is a standard deviation of 0.1 (25 of 255 steps)
  between the channels and parts coloured patches from grey ones, which is what the rule is for. On 0 to 255 the same
  0.01 would let any patch pass that is not grey to a tenth of a step. Canny alone needs 0 to 255, hence it is said of
  that step.
- *Nearer* is strictly nearer, by Euclidean distance: a tie is not rescued.
- *The means* of foreground and background are those of step 4: no rescued patch changes them for the next.
- *An empty foreground* (no edges, or all removed in step 6) gives a black picture; so does the mask, all False.
- *Removed components* are removed after the rescue, so that a rescued patch counts with what it touches.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "MASK_SIDE",
    "centre_square",
    "judged",
    "mask_of_square",
    "masked",
    "origin_mask",
    "origin_picture",
    "outlined",
]

MASK_SIDE: Final = 256
_AREA: Final = MASK_SIDE * MASK_SIDE
_CANNY: Final = (100, 75)
_LARGEST_RESCUED: Final = (_AREA - 1) // 3  # 21,845: fewer than a third
_LEAST_FOREGROUND: Final = _AREA // 32
_LEAST_VARIANCE: Final = 0.01
_LANCZOS: Final = Image.Resampling.LANCZOS


def origin_mask(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the origin's pipeline sees the specimen: (256, 256), of the centre square of an upright photo (H, W, 3)."""
    return mask_of_square(centre_square(rgb))


def origin_picture(rgb: NDArray[np.uint8], side: int = 96) -> NDArray[np.uint8]:
    """What the origin trained on: the centre square of a photo (H, W, 3), background black, (side, side, 3)."""
    square = centre_square(rgb)
    return masked(square, mask_of_square(square), side)


def centre_square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Step 1: the centre square of a photo (H, W, 3) uint8 at 256 x 256."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(rgb[top : top + side, left : left + side])
    return np.asarray(Image.fromarray(square).resize((MASK_SIDE, MASK_SIDE), _LANCZOS))


def mask_of_square(square: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Steps 2 to 6 on a picture (256, 256, 3) uint8 RGB: True where the specimen is."""
    return judged(square, outlined(square))


def outlined(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Steps 2 to 4: 1 within the outlines of a picture (256, 256, 3), else 0."""
    edges = cv2.GaussianBlur(_edges(square), (3, 3), 0)
    outlines, _ = cv2.findContours(edges, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
    cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED)
    return mask


def judged(square: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Steps 5 and 6 on a picture (256, 256, 3) and its filled outlines (256, 256), 0 or 1: True on the specimen."""
    mask = _rescued(square, mask)
    labels = _components(mask, 4)
    large = np.bincount(labels.ravel()) >= _LEAST_FOREGROUND
    large[0] = False  # the background
    return large.take(labels)


def masked(square: NDArray[np.uint8], mask: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    """Step 7: the picture (256, 256, 3) with its background black, at (side, side, 3)."""
    black = np.zeros_like(square)
    cv2.copyTo(square, mask.view(np.uint8), black)
    return np.asarray(Image.fromarray(black).resize((side, side), _LANCZOS))


def _rescued(square: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Step 5, for all components at once."""
    background_mask = 1 - mask
    labels = _components(background_mask, 8)
    areas = np.bincount(labels.ravel())
    small = areas <= _LARGEST_RESCUED
    small[0] = False  # the foreground
    if not (areas[0] and small.any()):
        return mask
    # Only the pixels of small components are looked at: the large ones hold nearly all of the background.
    pixels = np.flatnonzero(small.take(labels))
    component, colours = labels.ravel()[pixels], square.reshape(-1, 3).take(pixels, axis=0)
    sums = [np.bincount(component, colours[:, channel], len(areas)) for channel in range(3)]
    means = np.stack(sums, axis=1) / (255.0 * np.maximum(areas, 1)[:, None])
    rescued = small & (means.var(axis=1) > _LEAST_VARIANCE)
    if not rescued.any():
        return mask
    foreground, background = (np.array(cv2.mean(square, part)[:3]) / 255.0 for part in (mask, background_mask))
    near = _squares(means - foreground)
    for other in (background, 1.0, 0.0):
        rescued &= near < _squares(means - other)
    mask = mask.copy()
    mask[rescued.take(labels)] = 1
    return mask


def _edges(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`cv2.Canny(square, 100, 75)` in two thirds of its time.

    Canny goes by the channel with the steepest gradient at each pixel, the first of equally steep ones. OpenCV looks
    for it pixel by pixel; here it is chosen by whole arrays, and Canny gets its gradient.
    """
    across, down, steepest = _gradient(square[..., 0])
    for channel in (1, 2):
        other_across, other_down, steep = _gradient(square[..., channel])
        steeper = cv2.compare(steep, steepest, cv2.CMP_GT)
        for other, chosen in ((other_across, across), (other_down, down), (steep, steepest)):
            cv2.copyTo(other, steeper, chosen)
    return np.asarray(cv2.Canny(across, down, *_CANNY), np.uint8)


def _gradient(channel: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
    """The Sobel derivatives across and down, and the sum of their absolute values."""
    across, down = cv2.spatialGradient(np.ascontiguousarray(channel), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(across), np.asarray(down), np.abs(across) + np.abs(down)


def _components(mask: NDArray[np.uint8], connectivity: int) -> NDArray[np.int32]:
    """The component of each pixel, from 1, and 0 where the mask is 0. Counting them is left to `bincount`, because
    connectedComponentsWithStats takes seven times as long.
    """
    _, labels = cv2.connectedComponents(mask, connectivity=connectivity)
    return np.asarray(labels, np.int32)


def _squares(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((difference * difference).sum(axis=1))
