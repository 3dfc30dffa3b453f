"""The convolutional networks of the project that this one began as.

Each is a row of convolutions, every one with ReLU, batch normalisation and 2 x 2 max pooling behind it, then global
average pooling, dense layers with batch normalisation, and a softmax. Convolutions are padded to the same size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import keras
from keras import layers, regularizers

__all__ = ["CNNS", "CnnShape", "cnn"]


@dataclass(frozen=True, slots=True)
class CnnShape:
    """`convolutions`: filters and kernel side of each; `dense`: units of the layers between pooling and softmax.

    `l2`: penalty on the kernels of the last two convolutions. `dropout`: the share dropped before the softmax.
    """

    convolutions: tuple[tuple[int, int], ...]
    dense: tuple[int, ...]
    l2: float = 0.0
    dropout: float = 0.0


_THIRD: Final = ((64, 5), (128, 5), (256, 3), (512, 3))
CNNS: Final = {
    "cnn-1": CnnShape(((32, 3), (64, 3), (128, 3), (256, 3), (512, 3)), (256, 128)),
    "cnn-2": CnnShape(((32, 3), (64, 3), (128, 3), (256, 3)), (512,)),
    "cnn-3": CnnShape(_THIRD, (256,)),
    "cnn-final": CnnShape(_THIRD, (256,), l2=0.0015, dropout=0.4),
}
"""With 10 classes: 1,739,594 parameters, 529,098, 1,823,882 and 1,823,882."""
_PENALISED: Final = 2
_MOMENTUM: Final = 0.9
"""Of the moving statistics. With the usual 0.99 and a dozen batches an epoch, validation lags ten epochs behind."""

Normalise = Callable[..., keras.layers.Layer]


def cnn(
    name: str,
    classes: int,
    *,
    side: int = 96,
    l2: float | None = None,
    dropout: float | None = None,
    normalisation: Normalise = layers.BatchNormalization,
) -> keras.Model:
    """uint8 RGB `photo` (N, side, side, 3) → `probabilities` float32 (N, classes), with random weights.

    `l2` and `dropout` are those of the shape by default. `normalisation` makes the layers behind convolutions: batch
    normalisation, or one that computes the same faster. Raises KeyError for an unknown name.
    """
    shape = CNNS[name]
    penalty = regularizers.L2(shape.l2 if l2 is None else l2)
    convolve = partial(layers.Conv2D, padding="same", activation="relu")
    inputs = keras.Input((side, side, 3), dtype="uint8", name="photo")
    x = layers.Rescaling(1 / 255, name="normalise")(inputs)
    for number, (filters, kernel) in enumerate(shape.convolutions, 1):
        last = number > len(shape.convolutions) - _PENALISED
        x = convolve(filters, kernel, kernel_regularizer=penalty if last else None, name=f"conv{number}")(x)
        x = normalisation(momentum=_MOMENTUM, name=f"conv{number}_bn")(x)
        x = layers.MaxPooling2D(name=f"conv{number}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    for number, units in enumerate(shape.dense, 1):
        x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
        x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"dense{number}_bn")(x)
    x = layers.Dropout(shape.dropout if dropout is None else dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(logits)
    return keras.Model(inputs, probabilities, name=name)
