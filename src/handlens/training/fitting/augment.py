"""Changes to training pictures, by name. A validation picture is never changed.

All that moves pixels (turn, shift, shear, zoom, flip, crop) is put into one affine map a picture, so that each is
interpolated once; beyond its edges the nearest pixel is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = ["AUGMENTATIONS", "augmented"]

AUGMENTATIONS: Final = {
    "origin": "turned by up to 30 degrees, shifted by up to a tenth, sheared by up to 10 degrees, zoomed by 0.7 to 1.3 "
    "each way, mirrored",
    "flip": "mirrored left to right, every second",
    "turn": "turned by any angle",
    "crop": "a random 0.35 to 1 of the area, of sides 3:4 to 4:3, in place of the whole",
    "colour": "brightness, contrast, saturation and the gain of each channel",
    "erase": "every second with a rectangle of noise over 0.02 to 0.25 of the area",
    "mixup": "blended with another picture, labels too (Beta 0.2)",
    "cutmix": "every second with a rectangle of another picture, labels by area",
}
"""Name and what it does."""
_ORIGIN_TURN, _ORIGIN_SHIFT, _ORIGIN_SHEAR, _ORIGIN_ZOOM = math.radians(30), 0.1, math.radians(10), 0.3
_MIXUP_ALPHA: Final = 0.2
_GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)

Pictures = NDArray[np.uint8]
Targets = NDArray[np.float32]


def augmented(
    pictures: Pictures, targets: Targets, names: Sequence[str], rng: np.random.Generator
) -> tuple[Pictures, Targets]:
    """Changed copies of pictures (N, side, side, 3) and their targets (N, classes), by the numbers of `rng` alone."""
    if not names:
        return pictures, targets
    count, side = pictures.shape[:2]
    moves = np.tile(np.eye(3), (count, 1, 1))
    for name in names:
        if name in _MOVES:
            moves = moves @ _MOVES[name](count, rng)
    values = pictures.astype(np.float32)
    if any(name in _MOVES for name in names):
        values = _moved(values, moves, side)
    if "colour" in names:
        values = _coloured(values, rng)
    if "erase" in names:
        values = _erased(values, rng)
    if "mixup" in names:
        values, targets = _mixed(values, targets, rng)
    if "cutmix" in names:
        values, targets = _patched(values, targets, rng)
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8), targets


def _moved(values: NDArray[np.float32], moves: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Pictures seen through maps (N, 3, 3) from output to input, in units of half a side about the centre."""
    half = (side - 1) / 2
    to_unit = np.array([[1 / half, 0, -1], [0, 1 / half, -1], [0, 0, 1]])
    whole = np.linalg.inv(to_unit) @ moves @ to_unit
    rows = np.concatenate([whole[:, 0], whole[:, 1], np.zeros((len(whole), 2))], axis=1).astype(np.float32)
    return np.asarray(
        tf.raw_ops.ImageProjectiveTransformV3(
            images=values,
            transforms=rows,
            output_shape=(side, side),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
    )


def _linear(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps (N, 3, 3) from the rows (N, 2) of their linear part."""
    maps = np.tile(np.eye(3), (len(first), 1, 1))
    maps[:, 0, :2], maps[:, 1, :2] = first, second
    return maps


def _turns(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return _linear(np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1))


def _flip(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    maps = np.tile(np.eye(3), (count, 1, 1))
    maps[:, 0, 0] = rng.choice([-1.0, 1.0], count)
    return maps


def _turn(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return _turns(rng.uniform(-math.pi, math.pi, count))


def _crop(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    area = rng.uniform(0.35, 1.0, count)
    ratio = np.exp(rng.uniform(-math.log(4 / 3), math.log(4 / 3), count) / 2)
    width, height = np.minimum(np.sqrt(area) * ratio, 1.0), np.minimum(np.sqrt(area) / ratio, 1.0)
    maps = np.tile(np.eye(3), (count, 1, 1))
    maps[:, 0, 0], maps[:, 1, 1] = width, height
    maps[:, 0, 2], maps[:, 1, 2] = rng.uniform(-1, 1, count) * (1 - width), rng.uniform(-1, 1, count) * (1 - height)
    return maps


def _origin(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    shift = np.tile(np.eye(3), (count, 1, 1))
    shift[:, :2, 2] = 2 * rng.uniform(-_ORIGIN_SHIFT, _ORIGIN_SHIFT, (count, 2))
    shear = rng.uniform(-_ORIGIN_SHEAR, _ORIGIN_SHEAR, count)
    sheared = _linear(
        np.stack([np.ones(count), -np.sin(shear)], axis=1), np.stack([np.zeros(count), np.cos(shear)], axis=1)
    )
    zoom = np.tile(np.eye(3), (count, 1, 1))
    zoom[:, 0, 0], zoom[:, 1, 1] = rng.uniform(1 - _ORIGIN_ZOOM, 1 + _ORIGIN_ZOOM, (2, count))
    return _turns(rng.uniform(-_ORIGIN_TURN, _ORIGIN_TURN, count)) @ shift @ sheared @ zoom @ _flip(count, rng)


_MOVES: Final = {"origin": _origin, "flip": _flip, "turn": _turn, "crop": _crop}


def _coloured(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    count = len(values)

    def factor(low: float, high: float, channels: int = 1) -> NDArray[np.float32]:
        return rng.uniform(low, high, (count, 1, 1, channels)).astype(np.float32)

    values = values * factor(0.7, 1.3) * factor(0.9, 1.1, 3)
    mean = values.mean(axis=(1, 2, 3), keepdims=True)
    values = mean + (values - mean) * factor(0.7, 1.3)
    grey = (values @ _GREY)[..., np.newaxis]
    return np.asarray(grey + (values - grey) * factor(0.6, 1.4), np.float32)


def _rectangles(side: int, areas: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N, side, side): a rectangle of each area (share of the whole) somewhere, cut off at the picture's edges."""
    count = len(areas)
    ratio = np.exp(rng.uniform(-math.log(2), math.log(2), count) / 2)
    centre = rng.uniform(0, side, (2, count, 1))
    place = np.arange(side)[np.newaxis]
    rows = np.abs(place - centre[0]) <= (np.sqrt(areas) * ratio * side / 2)[:, np.newaxis]
    columns = np.abs(place - centre[1]) <= (np.sqrt(areas) / ratio * side / 2)[:, np.newaxis]
    return np.asarray(rows[:, :, np.newaxis] & columns[:, np.newaxis, :])


def _erased(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    count, side = values.shape[:2]
    chosen = rng.random((count, 1, 1)) < 0.5
    areas = np.asarray(rng.uniform(0.02, 0.25, count))
    inside = _rectangles(side, areas, rng) & chosen
    noise = rng.integers(0, 256, values.shape).astype(np.float32)
    return np.where(inside[..., np.newaxis], noise, values)


def _mixed(
    values: NDArray[np.float32], targets: Targets, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Targets]:
    count = len(values)
    other, share = rng.permutation(count), rng.beta(_MIXUP_ALPHA, _MIXUP_ALPHA, count).astype(np.float32)
    kept = share[:, np.newaxis, np.newaxis, np.newaxis]
    return (
        kept * values + (1 - kept) * values[other],
        share[:, np.newaxis] * targets + (1 - share[:, np.newaxis]) * targets[other],
    )


def _patched(
    values: NDArray[np.float32], targets: Targets, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Targets]:
    count, side = values.shape[:2]
    other, areas, chosen = (
        rng.permutation(count),
        np.asarray(rng.beta(1.0, 1.0, count)),
        rng.random((count, 1, 1)) < 0.5,
    )
    inside = _rectangles(side, areas, rng) & chosen
    share = 1 - inside.mean(axis=(1, 2), dtype=np.float32)[:, np.newaxis]
    return np.where(inside[..., np.newaxis], values[other], values), share * targets + (1 - share) * targets[other]
