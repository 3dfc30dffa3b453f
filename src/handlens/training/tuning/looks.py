"""Random looks at a view for training: parts of it, mirrored or not, under other lights. No I/O."""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.training.vit import BACKGROUND, NEAR

__all__ = ["LARGER", "random_looks"]

LARGER: Final = 10 / 7
"""A view that parts are cut from has so many times the side of a look."""
_LEAST_PART: Final = 0.55
_COLOUR, _STRENGTH, _GAMMA = 0.10, 0.15, 0.2
"""Deviations of the logarithms of a lamp's colour, its strength, and the camera's gamma."""


def random_looks(view: NDArray[np.uint8], side: int, count: int, name: str) -> NDArray[np.uint8]:
    """(count, side, side, 3) of a view (larger, larger, 3); always the same for a photo of this `name`."""
    rng = np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogateescape")))
    looks = [_lit(_part(view, side, rng), rng) for _ in range(count)]
    return np.stack(looks) if looks else np.zeros((0, side, side, 3), np.uint8)


def _part(view: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    edge = rng.uniform(_LEAST_PART, 1) * len(view)
    left, top = rng.uniform(0, len(view) - edge, 2)
    area = (left, top, left + edge, top + edge)
    part = np.asarray(Image.fromarray(view).resize((side, side), Image.Resampling.BICUBIC, area))
    return np.ascontiguousarray(part[:, ::-1]) if rng.random() < 0.5 else part


def _lit(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """It under a lamp of another colour and strength; the background stays as it is."""
    gain = np.exp(rng.normal(0, _COLOUR, 3) + rng.normal(0, _STRENGTH))
    gamma = np.exp(rng.normal(0, _GAMMA))
    light = np.clip(255 * (view / 255.0) ** gamma * gain, 0, 255)
    specimen = np.abs(view.astype(np.float32) - BACKGROUND).max(axis=-1, keepdims=True) > NEAR
    return np.where(specimen, light.round(), view).astype(np.uint8)
