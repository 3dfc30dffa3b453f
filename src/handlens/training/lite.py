"""EfficientNet-Lite in plain Keras layers.

Source: M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), and
the Lite family as published with the TensorFlow TPU models: no squeeze-and-excitation, ReLU6 in place of swish, and
stem, head and the repeats of the first and last stage not scaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
from keras import layers

__all__ = ["LITE_FAMILY", "LiteScale", "lite_backbone"]

_BATCH_NORM_EPSILON = 1e-3
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280


@dataclass(frozen=True)
class LiteScale:
    """How one member of the family is scaled: width and depth multipliers and the input side in pixels."""

    width: float
    depth: float
    side: int


LITE_FAMILY = {
    "lite0": LiteScale(1.0, 1.0, 224),
    "lite1": LiteScale(1.0, 1.1, 240),
    "lite2": LiteScale(1.1, 1.2, 260),
}
"""Scales by name. Source: the published EfficientNet-Lite parameters."""


@dataclass(frozen=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def _scaled_filters(filters: int, width: float) -> int:
    """Filters times width, rounded to a multiple of 8 and never more than 10 % below the product."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _normalised(x: keras.KerasTensor, name: str, *, activate: bool = True) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x) if activate else x


def _block(x: keras.KerasTensor, stage: _Stage, stride: int, filters: int, name: str) -> keras.KerasTensor:
    """One inverted residual: expand 1x1, depthwise, project 1x1, and the shortcut where shapes allow it."""
    shortcut, width = x, int(x.shape[-1])
    if stage.expansion != 1:
        x = layers.Conv2D(width * stage.expansion, 1, padding="same", use_bias=False, name=f"{name}_expand")(x)
        x = _normalised(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(
        x
    )
    x = _normalised(x, f"{name}_depthwise")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    x = _normalised(x, f"{name}_project", activate=False)
    return layers.Add(name=f"{name}_add")([x, shortcut]) if stride == 1 and width == filters else x


def lite_backbone(variant: str = "lite2", *, side: int | None = None) -> keras.Model:
    """The network without its classifier: uint8 RGB (N, side, side, 3) → pooled features float32 (N, 1280).

    `side` is the input side in pixels, that of the family by default. Normalisation, (x - 127) / 128, is a layer of
    the network, so nobody can feed it wrongly scaled numbers. Weights are random until loaded
    (`handlens.training.weights`). Raises KeyError for an unknown variant.
    """
    scale = LITE_FAMILY[variant]
    side = side or scale.side
    inputs = keras.Input((side, side, 3), dtype="uint8", name="photo")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="normalise")(inputs)
    x = layers.Conv2D(_STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = _normalised(x, "stem")
    last = len(_STAGES) - 1
    number = 0
    for index, stage in enumerate(_STAGES):
        filters = _scaled_filters(stage.filters, scale.width)
        repeats = stage.repeats if index in (0, last) else math.ceil(stage.repeats * scale.depth)
        for repeat in range(repeats):
            x = _block(x, stage, stage.stride if repeat == 0 else 1, filters, f"block{number:02d}")
            number += 1
    x = layers.Conv2D(_HEAD_FILTERS, 1, padding="same", use_bias=False, name="head")(x)
    x = _normalised(x, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x, name=variant)
