"""Layers that tf2onnx does not convert by itself come out the same in ONNX Runtime, and work in Keras afterwards."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers, ops

from handlens.training.classifier import as_onnx, one_view_classifier

SIDE = 16


@keras.saving.register_keras_serializable("handlens-tests")
class WithPositions(layers.Layer):
    """Adds an embedding of each column's number, which it keeps as a tensor."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.embedding = layers.Embedding(
            int(shape[2] or 0), int(shape[3] or 0), embeddings_initializer="random_normal"
        )
        self.embedding.build((1, shape[2]))
        self.numbers = ops.arange(shape[2])

    def call(self, inputs: Any) -> Any:
        return inputs + self.embedding(self.numbers)


def network(middle: layers.Layer) -> keras.Model:
    keras.utils.set_random_seed(5)
    photo = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="photo")
    x = layers.Conv2D(8, 3, padding="same")(layers.Rescaling(1 / 128, -1)(photo))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, strides=2, activation="tanh")(middle(x)))
    logits = layers.Dense(4, name="logits")(x)
    return keras.Model(photo, layers.Softmax(name="probabilities")(logits))


@pytest.mark.parametrize(
    "middle",
    [
        layers.Activation("gelu"),
        layers.Conv2D(8, 3, groups=8, strides=2, padding="same"),
        layers.Conv2D(16, 3, groups=2, dilation_rate=2),
        WithPositions(),
    ],
    ids=["gelu", "depthwise", "grouped", "positions"],
)
def test_keras_and_onnx_agree(middle: layers.Layer) -> None:
    net = one_view_classifier(network(middle))
    views = np.random.default_rng(2).integers(0, 256, (3, 1, SIDE, SIDE, 3), np.uint8)
    expected = np.asarray(net(views, training=False)["logits"])
    session = onnxruntime.InferenceSession(as_onnx(net), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["views"]
    np.testing.assert_allclose(session.run(["logits"], {"views": views})[0], expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the pictures are told apart
    np.testing.assert_array_equal(np.asarray(net(views, training=False)["logits"]), expected)
    assert "convolution_op" not in vars(middle)


def test_gelu_far_from_zero() -> None:
    photo = keras.Input((1, 1, 3), dtype="uint8", name="photo")
    logits = layers.Activation("gelu", name="logits")(layers.Flatten()(layers.Rescaling(0.1, -12.75)(photo)))
    net = one_view_classifier(keras.Model(photo, layers.Softmax(name="probabilities")(logits)))
    views = np.arange(255, dtype=np.uint8).reshape(85, 1, 1, 1, 3)
    session = onnxruntime.InferenceSession(as_onnx(net), providers=["CPUExecutionProvider"])
    found = session.run(["logits"], {"views": views})[0]
    np.testing.assert_allclose(found, np.asarray(net(views, training=False)["logits"]), atol=1e-5)
