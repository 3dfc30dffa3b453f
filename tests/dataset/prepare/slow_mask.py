"""The origin's mask as its definition reads, pixel by pixel and with exact fractions: slow, and hard to get wrong."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

Pixel = tuple[int, int]
SIDE = 256
FOUR = ((-1, 0), (1, 0), (0, -1), (0, 1))
EIGHT = (*FOUR, (-1, -1), (-1, 1), (1, -1), (1, 1))


def slow_mask(square: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Steps 2 to 6; only Canny is OpenCV's."""
    return slow_judged(square, slow_outlined(square))


def slow_outlined(square: NDArray[np.uint8]) -> NDArray[np.bool_]:
    edge = cv2.Canny(square, 75, 100) > 0
    # The Gaussian 3 x 3 is more than 0 around every edge; the border is mirrored, which adds nothing.
    wide = np.pad(edge, 1)
    thick = {
        (row, column) for row in range(SIDE) for column in range(SIDE) if wide[row : row + 3, column : column + 3].any()
    }
    # What cannot be reached from outside the picture without crossing an edge lies within an outline.
    outside = {(-1, -1)}
    queue = deque(outside)
    while queue:
        row, column = queue.popleft()
        for down, right in FOUR:
            near = (row + down, column + right)
            if min(near) >= -1 and max(near) <= SIDE and near not in thick and near not in outside:
                outside.add(near)
                queue.append(near)
    return np.array([[(row, column) not in outside for column in range(SIDE)] for row in range(SIDE)])


def slow_judged(square: NDArray[np.uint8], outlined: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask = outlined.copy()
    inside = [(row, column) for row in range(SIDE) for column in range(SIDE) if outlined[row, column]]
    outside = [(row, column) for row in range(SIDE) for column in range(SIDE) if not outlined[row, column]]
    if not inside:
        return mask
    foreground = _mean(square, inside)
    others = [(Fraction(0),) * 3, (Fraction(1),) * 3, *([_mean(square, outside)] if outside else [])]
    for component in _components(set(outside), EIGHT):
        mean = _mean(square, component)
        spread = sum(part * part for part in mean) / 3 - (sum(mean) / 3) ** 2
        nearer = all(_distance(mean, foreground) < _distance(mean, other) for other in others)
        if 3 * len(component) < SIDE * SIDE and spread > Fraction(1, 100) and nearer:
            for row, column in component:
                mask[row, column] = True
    inside = [(row, column) for row in range(SIDE) for column in range(SIDE) if mask[row, column]]
    for component in _components(set(inside), FOUR):
        if 32 * len(component) < SIDE * SIDE:
            for row, column in component:
                mask[row, column] = False
    return mask


def _components(pixels: set[Pixel], neighbours: tuple[Pixel, ...]) -> list[list[Pixel]]:
    found = []
    while pixels:
        component = [pixels.pop()]
        for row, column in component:  # which grows meanwhile
            for down, right in neighbours:
                near = (row + down, column + right)
                if near in pixels:
                    pixels.remove(near)
                    component.append(near)
        found.append(component)
    return found


def _mean(square: NDArray[np.uint8], pixels: list[Pixel]) -> tuple[Fraction, ...]:
    rows, columns = zip(*pixels, strict=True)
    sums = square[list(rows), list(columns)].sum(axis=0, dtype=np.int64)
    return tuple(Fraction(int(part), 255 * len(pixels)) for part in sums)


def _distance(one: tuple[Fraction, ...], other: tuple[Fraction, ...]) -> Fraction:
    return sum(((a - b) ** 2 for a, b in zip(one, other, strict=True)), Fraction(0))
