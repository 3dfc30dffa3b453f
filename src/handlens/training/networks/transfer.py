"""Networks that begin with weights learnt on ImageNet, under a new softmax."""

from __future__ import annotations

import re
from typing import Final

import keras
from keras import layers

from handlens.training.lite import LITE_FAMILY, lite_backbone
from handlens.training.weights import load_weights

__all__ = ["TRANSFERS", "lite", "under_softmax"]

TRANSFERS: Final = tuple(name for name in LITE_FAMILY if name in ("lite0", "lite2"))
"""Those of the family whose weights are kept in this package."""
_BLOCK: Final = re.compile(r"block(\d+)_")


def lite(
    name: str, classes: int, *, side: int | None = None, dropout: float | None = None, unfrozen: int = 6
) -> keras.Model:
    """EfficientNet-Lite `name` under a new softmax: uint8 `photo` (N, side, side, 3) → `probabilities` (N, classes).

    The last `unfrozen` blocks and the last convolution are trained, what lies before them stays; 0 freezes all.
    Batch normalisation keeps ImageNet's statistics everywhere: those of a few hundred photos are worse, and with them
    what the network knows is lost. Raises KeyError for an unknown name, MissingWeightsError.
    """
    backbone = lite_backbone(name, side=side)
    load_weights(backbone, name)
    blocks = [int(found.group(1)) for layer in backbone.layers if (found := _BLOCK.match(layer.name))]
    first = max(blocks) + 1 - unfrozen
    for layer in backbone.layers:
        found = _BLOCK.match(layer.name)
        late = unfrozen > 0 and (int(found.group(1)) >= first if found else layer.name == "head")
        layer.trainable = late and not isinstance(layer, layers.BatchNormalization)
    return under_softmax(backbone.inputs[0], backbone.outputs[0], classes, dropout=dropout, name=name)


def under_softmax(
    photo: keras.KerasTensor, features: keras.KerasTensor, classes: int, *, dropout: float | None, name: str
) -> keras.Model:
    """The network from `photo` to pooled `features` (N, D) with dropout (0.2 by default), logits and softmax on top."""
    x = layers.Dropout(0.2 if dropout is None else dropout, name="dropout")(features)
    # Small, as the features are not: a large first step would wander off from what the backbone knows.
    first = keras.initializers.RandomNormal(stddev=0.001)
    logits = layers.Dense(classes, kernel_initializer=first, dtype="float32", name="logits")(x)
    return keras.Model(photo, layers.Softmax(dtype="float32", name="probabilities")(logits), name=name)
