"""ViT-S/14 in plain Keras layers: a second backbone, seen by its patches.

Sources: A. Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021) for the network; M. Oquab et al., "DINOv2"
(2023) for this size and its training. The residual branches' LayerScale is folded into the matrices before it, which
changes no number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

__all__ = [
    "DEPTH",
    "FEATURE_BLOCKS",
    "VITS",
    "VIT_SIDE",
    "Tokens",
    "patches_at",
    "resized_positions",
    "spread_order",
    "vit_backbone",
    "vit_block",
]

VITS: Final = ("vits14",)
"""Their names."""
VIT_SIDE: Final = 224
"""Pixels of a side by default: 16 x 16 patches."""
FEATURE_BLOCKS: Final = (3, 6, 9, 11)
"""The blocks, counted from 0, whose outputs are features. Colours and textures are told early, things at the end."""
PATCH: Final = 14
WIDTH: Final = 384
DEPTH: Final = 12
HEADS: Final = 6
EPSILON: Final = 1e-6
_MEAN: Final = (0.485, 0.456, 0.406)
_DEVIATION: Final = (0.229, 0.224, 0.225)
PIXEL_SCALE: Final = tuple(1 / (255 * deviation) for deviation in _DEVIATION)
PIXEL_OFFSET: Final = tuple(-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True))
BACKGROUND: Final = 127
"""The grey of what is no specimen in a view (`Preprocessing.fill`)."""
NEAR: Final = 2.5
"""A pixel is background where no channel is further from that grey."""
INSIDE_FLOOR: Final = 1e-3
"""The weight of a patch of nothing but background, beside 1 of one without: a view may have no other."""
CHOICE: Final = 3
"""The block behind which patches are left out: the first ones need the neighbours of each."""
ENOUGH: Final = 0.5
"""A patch with so much of the specimen, beside the one with most, is as good as any where not all are looked at."""
SPREAD: Final = 0.3
"""And this is what the place in `spread_order` counts beside it."""
_OFFSET: Final = 0.1
_CUBIC: Final = -0.75


@keras.saving.register_keras_serializable(package="handlens")
class Tokens(layers.Layer):
    """Patches (N, P, D) → tokens (N, 1 + P, D): the class token before them, and the place of each added."""

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes `class_token` (1, 1, D) and `positions` (1, 1 + P, D)."""
        _, patches, width = input_shape
        assert patches is not None
        self.class_token = self.add_weight(shape=(1, 1, width), name="class_token", initializer="zeros")
        self.positions = self.add_weight(shape=(1, 1 + patches, width), name="positions", initializer="zeros")

    def call(self, patches: Any) -> Any:
        """The tokens."""
        # Added to a slice of zeros of the batch's size: a token repeated by a shape would be dynamic in the graph.
        first = ops.zeros_like(patches[:, :1]) + self.class_token
        return ops.concatenate([first, patches], axis=1) + self.positions


def vit_backbone(
    *,
    side: int = VIT_SIDE,
    blocks: Sequence[int] = FEATURE_BLOCKS,
    patches: int = 0,
    tokens: bool = False,
    name: str = "vits14",
) -> keras.Model:
    """uint8 RGB (N, side, side, 3) → features float32 (N, 3 * 384 * len(blocks)).

    `side`: pixels, a multiple of 14. Of the output of each of `blocks`, normalised: the class token, the mean of the
    patches' tokens, and their mean inside the specimen: each weighs as much as it shows no pixel of the grey that views
    have in place of the background. `patches`: only so many are looked at from the output of the block CHOICE on, 0 for
    all: those that show most of the specimen (from half of a patch on it is enough), as evenly spread as can be. With
    `tokens` all tokens instead, (N, len(blocks), 1 + P, 384), of all patches. Scaling of the pixels is a layer of the
    network. Weights are random until loaded (`handlens.training.weights`). Raises ValueError for another side, for a
    block that there is not, and for more patches than there are.

    Leaving out patches: Y. Li et al., "Scaling Language-Image Pre-training via Masking" (CVPR 2023) do so in training.
    """
    if side % PATCH or side < PATCH:
        raise ValueError(f"a side of {side} pixels is no multiple of {PATCH}")
    if not blocks or not set(blocks) <= set(range(DEPTH)):
        raise ValueError(f"blocks {tuple(blocks)}: there are 0 to {DEPTH - 1}")
    inputs = keras.Input((side, side, 3), dtype="uint8", name="photo")
    x = layers.Rescaling(list(PIXEL_SCALE), offset=list(PIXEL_OFFSET), name="normalise")(inputs)
    x = layers.Conv2D(WIDTH, PATCH, strides=PATCH, name="patches")(x)
    count = (side // PATCH) ** 2
    if not 0 <= patches <= count or (patches and tokens):
        raise ValueError(f"{patches} patches: there are {count}, and tokens are those of all")
    x = Tokens(name="tokens")(layers.Reshape((count, WIDTH), name="in_a_row")(x))
    inside = _inside(inputs, side // PATCH)
    norm = layers.LayerNormalization(epsilon=EPSILON, name="norm")
    found = []
    for number in range(max(blocks) + 1):
        x = vit_block(x, 1 + count, f"block{number:02d}")
        if number == CHOICE and 0 < patches < count:
            places = _places(inside, side // PATCH, patches)
            x = ops.concatenate([x[:, :1], ops.take_along_axis(x[:, 1:], places, axis=1)], axis=1)
            inside, count = ops.take_along_axis(inside, places, axis=1), patches
            inside = inside / ops.sum(inside, axis=1, keepdims=True)
        if number in blocks:
            one = norm(x)
            means = ops.mean(one[:, 1:], axis=1), ops.sum(one[:, 1:] * inside, axis=1)
            found += [one] if tokens else [one[:, 0], *means]
    if tokens:
        return keras.Model(inputs, ops.stack(found, axis=1), name=name)
    return keras.Model(inputs, layers.Concatenate(name="features")(found), name=name)


def _inside(pixels: keras.KerasTensor, grid: int) -> keras.KerasTensor:
    """Weights (N, P, 1) of the patches by how much of each is no background; they sum to 1."""
    away = ops.max(ops.abs(ops.cast(pixels, "float32") - BACKGROUND), axis=-1, keepdims=True)
    share = ops.average_pool(ops.cast(away > NEAR, "float32"), PATCH, PATCH)
    weight = ops.reshape(share, (-1, grid * grid, 1)) + INSIDE_FLOOR
    out: keras.KerasTensor = weight / ops.sum(weight, axis=1, keepdims=True)
    return out


def _places(inside: keras.KerasTensor, grid: int, patches: int) -> keras.KerasTensor:
    """Which patches are looked at (N, `patches`, 1)."""
    share = inside[:, :, 0] / ops.max(inside, axis=1)
    score = ops.minimum(share, ENOUGH) + SPREAD * spread_order(grid)[np.newaxis]
    out: keras.KerasTensor = ops.top_k(score, patches)[1][..., None]
    return out


def spread_order(grid: int) -> NDArray[np.float32]:
    """Numbers above 0 up to 1, one a patch of a square of them (grid * grid,), no two alike: however many of the
    highest are taken, they lie evenly over the square.

    Source: the threshold matrix of ordered dither, B. Bayer, IEEE International Conference on Communications (1973).
    """
    places = np.zeros((1, 1), np.intp)
    while len(places) < grid:
        places = np.block([[4 * places, 4 * places + 2], [4 * places + 3, 4 * places + 1]])
    return (1 - places[:grid, :grid].reshape(-1) / places.size).astype(np.float32)


def patches_at(side: int, patches: int, own: int) -> int:
    """How many patches to look at in a view of `side` pixels: as large a share as `patches`, 0 for all, are of one of
    the `own` side, in whole eights.
    """
    if not patches or side == own:
        return patches
    return min(-(-round(patches * (side / own) ** 2) // 8) * 8, (side // PATCH) ** 2)


def vit_block(x: keras.KerasTensor, tokens: int, name: str) -> keras.KerasTensor:
    """Attention and a perceptron, each on the normalised tokens and added to them."""
    y = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm1")(x)
    y = layers.Dense(3 * WIDTH, name=f"{name}_qkv")(y)
    y = ops.transpose(ops.reshape(y, (-1, tokens, 3, HEADS, WIDTH // HEADS)), (2, 0, 3, 1, 4))
    query, key, value = ops.unstack(y, 3, axis=0)  # y[0], y[1], y[2] have gradients that take a tenth of a step
    weight = ops.softmax(ops.matmul(query * (WIDTH // HEADS) ** -0.5, ops.swapaxes(key, -1, -2)))
    y = ops.reshape(ops.swapaxes(ops.matmul(weight, value), 1, 2), (-1, tokens, WIDTH))
    x = layers.Add(name=f"{name}_add1")([x, layers.Dense(WIDTH, name=f"{name}_projection")(y)])
    y = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm2")(x)
    y = layers.Dense(4 * WIDTH, name=f"{name}_up")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    out: keras.KerasTensor = layers.Add(name=f"{name}_add2")([x, layers.Dense(WIDTH, name=f"{name}_down")(y)])
    return out


def resized_positions(positions: NDArray[np.floating], grid: int) -> NDArray[np.float32]:
    """Places of a square of patches (1, 1 + g * g, D) for `grid` x `grid` of them: the class token's stays.

    Bicubic without smoothing, with the half pixels' offset that DINOv2 resizes them with.
    """
    old = math.isqrt(positions.shape[1] - 1)
    table = positions[0, 1:].astype(np.float64).reshape(old, old, -1)
    if old != grid:
        rows = _cubic(old, grid)
        table = np.einsum("ij,jkd->ikd", rows, table)
        table = np.einsum("ij,kjd->kid", rows, table)
    return np.concatenate([positions[0, :1], table.reshape(grid * grid, -1)])[np.newaxis].astype(np.float32)


def _cubic(old: int, new: int) -> NDArray[np.float64]:
    """Weights (new, old) of a cubic convolution. Source: R. Keys, IEEE TASSP 29 (1981), with a = -0.75."""
    weights = np.zeros((new, old))
    for row in range(new):
        centre = (row + 0.5) * old / (new + _OFFSET) - 0.5
        first = math.floor(centre)
        for place in range(first - 1, first + 3):
            weights[row, min(max(place, 0), old - 1)] += _kernel(abs(centre - place))
    return weights


def _kernel(distance: float) -> float:
    if distance <= 1:
        return ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    if distance < 2:
        return ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC
    return 0.0
