"""How much of a picture is print: a label card or a notice in place of a specimen.

Marks that are darker or lighter than what is around them are taken for letters when they have a letter's proportions
and stand in a line with others of their height, in one ink on an even ground. The score is the share of the picture's
edges that belong to such lines: near 1 for a card, near 0 for a stone, little for a stone with a watermark.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from handlens.dataset.check.scores import reduced_grey

__all__ = ["text_score"]

Boxes = NDArray[np.int64]
"""(N, 4): left, top, width, height in pixels."""

_SIDE: Final = 640
_WIDEST_STROKE: Final = 15
_LEAST_CONTRAST: Final = 40
_LEAST_EDGE: Final = 24
_HEIGHTS: Final = (6, 90)
_LEAST_LETTERS: Final = 4
_LEAST_GROUND: Final = 0.15
_UNEVEN: Final = 14.0
"""Standard deviation in levels that the ground between letters may have."""
_TWO_TONES: Final = 2.0


def text_score(rgb: NDArray[np.uint8]) -> float:
    """Share of the edges of a photo (H, W, 3) uint8 that are print, 0 to 1."""
    grey = reduced_grey(rgb, _SIDE)
    edges = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    edges = np.where(edges >= _LEAST_EDGE, edges, 0).astype(np.float64)
    total = edges.sum()
    if not total:
        return 0.0
    print_ = np.zeros(grey.shape, bool)
    kernel = np.ones((_WIDEST_STROKE, _WIDEST_STROKE), np.uint8)
    for operation in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT):
        marks = cv2.morphologyEx(grey, operation, kernel) >= _LEAST_CONTRAST
        for left, top, right, bottom in _lines(_letters(marks)):
            if _printed(grey[top:bottom, left:right], marks[top:bottom, left:right]):
                print_[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = True
    return float(edges[print_].sum() / total)


def _letters(marks: NDArray[np.bool_]) -> Boxes:
    _, _, stats, _ = cv2.connectedComponentsWithStats(marks.astype(np.uint8), connectivity=8)
    left, top, width, height, area = stats[1:].astype(np.int64).T
    filled = area / np.maximum(1, width * height)
    good = (height >= _HEIGHTS[0]) & (height <= _HEIGHTS[1]) & (width <= 6 * height) & (filled > 0.15) & (filled < 0.95)
    return np.asarray(np.stack([left, top, width, height], axis=1)[good])


def _lines(boxes: Boxes) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom of the lines that letters stand in."""
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")]
    lines: list[list[NDArray[np.int64]]] = []
    for box in boxes[:2000]:
        for line in lines:
            last = line[-1]
            gap, tall = box[0] - (last[0] + last[2]), max(box[3], last[3])
            level = abs((box[1] + box[3] / 2) - (last[1] + last[3] / 2)) <= 0.4 * tall
            if level and min(box[3], last[3]) >= 0.45 * tall and -0.3 * tall <= gap <= 1.3 * tall:
                line.append(box)
                break
        else:
            lines.append([box])
    found = []
    for line in lines:
        if len(line) >= _LEAST_LETTERS:
            part = np.array(line)
            right, bottom = (part[:, :2] + part[:, 2:]).max(axis=0)
            left, top = part[:, :2].min(axis=0)
            found.append((int(left), int(top), int(right), int(bottom)))
    return found


def _printed(levels: NDArray[np.uint8], marks: NDArray[np.bool_]) -> bool:
    """Whether a line is of two tones: an even ground, and ink that stands out from it by more than either varies."""
    ground = cv2.dilate(marks.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    if ground.mean() <= _LEAST_GROUND:
        return False
    paper, ink = levels[ground].astype(np.float64), levels[marks].astype(np.float64)
    tone = np.median(ink)
    spread = paper.std() + np.abs(ink - tone).mean()
    return bool(paper.std() <= _UNEVEN and abs(np.median(paper) - tone) >= _TWO_TONES * spread)
