"""From the grid that the localiser's network answers to a clean mask and a box."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.specimen import MASK_SIDE, MASK_THRESHOLD, Box

__all__ = ["bounding_box", "clean_mask", "components"]

LEAST_PART: Final = 0.1
"""A part of the mask that is smaller than this share of the largest part is taken for a speck."""
PIECE: Final = 0.25
"""One that is not smaller than this share of it is a piece of its own."""


def clean_mask(grid: NDArray[np.floating], *, piece: float = PIECE) -> tuple[NDArray[np.uint8], int]:
    """The mask (128, 128) and its pieces, see `Specimen`, of a square grid of probabilities that a cell belongs to the
    specimen.

    Parts of it (8-connected cells of a half or more) with less than a tenth of the largest part's cells are left out;
    those with the share `piece` of them or more are counted.
    """
    inside = grid >= 0.5
    labels = components(inside)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = np.where(inside & (sizes < LEAST_PART * sizes.max())[labels], 0, grid)
    picture = Image.fromarray(np.rint(255 * kept).astype(np.uint8))
    mask = np.array(picture.resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BILINEAR))
    mask.flags.writeable = False
    return mask, int(np.sum((sizes > 0) & (sizes >= piece * sizes.max())))


def bounding_box(mask: NDArray[np.uint8], width: int, height: int, margin: float) -> Box:
    """The box around the mask in a photo of `width` x `height` pixels, in whole pixels, never outside the photo.

    `margin`: what is added on each side, as a share of the box's longer side. Raises ValueError for an empty mask.
    """
    inside = mask >= MASK_THRESHOLD
    columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    if not len(columns):
        raise ValueError("the mask is empty")
    left, right = columns[0] * width / MASK_SIDE, (columns[-1] + 1) * width / MASK_SIDE
    top, bottom = rows[0] * height / MASK_SIDE, (rows[-1] + 1) * height / MASK_SIDE
    more = margin * max(right - left, bottom - top)
    return Box(
        max(0, math.floor(left - more)),
        max(0, math.floor(top - more)),
        min(width, math.ceil(right + more)),
        min(height, math.ceil(bottom + more)),
    )


def components(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Labels of the 8-connected parts of a grid (R, C): 0 outside, 1, 2, ... in the order of their first cells.

    Works on runs of cells in a row: a run joins the parts of the runs above that it touches, corners included.
    """
    parents = [0]
    labels = np.zeros(inside.shape, np.intp)

    def root(label: int) -> int:
        while parents[label] != label:
            label = parents[label]
        return label

    above: list[tuple[int, int, int]] = []
    for row, cells in enumerate(inside):
        edges = np.flatnonzero(np.diff(cells, prepend=False, append=False)).tolist()
        runs = []
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            touched = sorted({root(label) for low, high, label in above if low <= end and start <= high})
            if not touched:
                touched = [len(parents)]
                parents.append(len(parents))
            for label in touched[1:]:
                parents[label] = touched[0]
            labels[row, start:end] = touched[0]
            runs.append((start, end, touched[0]))
        above = runs
    roots = [root(label) for label in range(len(parents))]
    numbers = {label: number for number, label in enumerate(sorted(set(roots)))}
    return np.array([numbers[label] for label in roots], np.intp)[labels]
