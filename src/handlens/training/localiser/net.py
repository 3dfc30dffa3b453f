"""The localiser's network: EfficientNet-Lite0 frozen as it is, and a small decoder that is trained.

    photo uint8 (N, 192, 192, 3) ──encoder──▶ fine (N, 24, 24, 40), coarse (N, 12, 12, 112), deep (N, 6, 6, 192)
    fine, coarse, deep ──decoder──▶ mask logits (N, 48, 48), fills logit (N,)

The decoder is a small feature pyramid after T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection" (CVPR
2017) with depthwise separable convolutions; it ends on the fine grid with four logits a cell, which are laid out as
2 x 2 cells of the mask (W. Shi et al., "Real-Time Single Image and Video Super-Resolution...", CVPR 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import keras
from keras import layers, ops

from handlens.training.lite import lite_backbone
from handlens.training.weights import load_weights

__all__ = ["LEVELS", "NETWORK", "SIDE", "LocaliserNet", "localiser_net", "served_net"]

NETWORK: Final = "lite0"
SIDE: Final = 192
"""Pixels of a side of the square that the whole photo is stretched to."""
LEVELS: Final = {"fine": "block04_add", "coarse": "block10_add", "deep": "block14_add"}
"""The maps by name, and the layers they come from: the last of strides 8, 16 and 32. The stage after the last is left
out, a fifth of the weights."""
_WIDTH = 64
_DROPOUT = 0.1
_MOMENTUM = 0.97


@dataclass(frozen=True, slots=True)
class LocaliserNet:
    """`encoder`: photo → maps by name; `decoder`: maps by name → logits `mask` and `fills`."""

    encoder: keras.Model
    decoder: keras.Model


def localiser_net(*, side: int = SIDE) -> LocaliserNet:
    """The encoder with its ImageNet weights, and a decoder with random ones. `side`: pixels, a multiple of 32.

    Raises MissingWeightsError.
    """
    backbone = lite_backbone(NETWORK, side=side)
    load_weights(backbone, NETWORK)
    backbone.trainable = False
    maps = {name: backbone.get_layer(layer).output for name, layer in LEVELS.items()}
    inputs = {name: keras.Input(part.shape[1:], name=name) for name, part in maps.items()}
    return LocaliserNet(
        keras.Model(backbone.input, maps, name="encoder"), keras.Model(inputs, _decoder(**inputs), name="decoder")
    )


def served_net(net: LocaliserNet, *, mask_threshold: float, fills_threshold: float) -> keras.Model:
    """The network that ships: photo → `mask` (N, grid, grid) and `fills` (N,), float32 from 0 to 1.

    The thresholds (0 to 1) that were chosen are moved to one half, so that whoever reads a mask needs to know none.
    """
    logits = net.decoder(net.encoder.output)
    outputs = {
        "mask": ops.sigmoid(logits["mask"] - _logit(mask_threshold)),
        "fills": ops.sigmoid(logits["fills"] - _logit(fills_threshold)),
    }
    return keras.Model(net.encoder.input, outputs, name="localiser")


def _logit(probability: float) -> float:
    return float(ops.log(probability) - ops.log(1.0 - probability))


def _decoder(
    fine: keras.KerasTensor, coarse: keras.KerasTensor, deep: keras.KerasTensor
) -> dict[str, keras.KerasTensor]:
    x = _normalised(layers.Conv2D(2 * _WIDTH, 1, use_bias=False, name="deep_in")(deep), "deep_in")
    context = layers.GlobalAveragePooling2D(name="context")(x)
    fills = layers.Dense(1, name="fills")(layers.Dropout(_DROPOUT)(context))
    x = layers.Add()([x, layers.Reshape((1, 1, 2 * _WIDTH))(layers.Dense(2 * _WIDTH, name="context_in")(context))])
    x = _separable(x, "deep")
    for name, lateral in (("coarse", coarse), ("fine", fine)):
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"to_{name}")(x)
        side = layers.Conv2D(_WIDTH, 1, use_bias=False, name=f"{name}_in")(lateral)
        x = _separable(_normalised(layers.Add()([x, side]), f"{name}_in"), name)
    x = layers.Conv2D(4, 3, padding="same", name="mask")(layers.SpatialDropout2D(_DROPOUT)(x))
    rows, columns = x.shape[1:3]
    x = ops.transpose(ops.reshape(x, (-1, rows, columns, 2, 2)), (0, 1, 3, 2, 4))
    cells = layers.Reshape((2 * rows, 2 * columns), name="cells")(x)
    return {"mask": cells, "fills": layers.Reshape((), name="fills_out")(fills)}


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu6")(layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x))


def _separable(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(5, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.Conv2D(_WIDTH, 1, use_bias=False, name=f"{name}_project")(_normalised(x, f"{name}_depthwise"))
    return _normalised(x, f"{name}_project")
