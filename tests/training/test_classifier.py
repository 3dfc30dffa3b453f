"""Several views through one backbone into one head: in Keras and, to the same numbers, in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers
from numpy.typing import NDArray

from handlens.onnx_wire import read_graph
from handlens.training.classifier import agreement, as_onnx, multi_view_classifier
from handlens.training.head import LinearHead

SIDE, VIEWS, WIDTH = 32, 3, 24
LABELS = ("agate", "quartz", "ruby", "topaz")


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    """Every kind of layer that the Lite networks have, and few of each: their own export takes tens of seconds."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="photo")
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = shortcut = layers.ReLU(max_value=6.0)(layers.BatchNormalization(epsilon=1e-3)(x))
    x = layers.DepthwiseConv2D(5, padding="same", use_bias=False)(x)
    x = layers.Add()([layers.BatchNormalization(epsilon=1e-3)(x), shortcut])
    x = layers.Conv2D(WIDTH, 1, padding="same", use_bias=False)(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU(max_value=6.0)(x))
    net = keras.Model(inputs, x, name="small")
    rng = np.random.default_rng(7)
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    return net


@pytest.fixture(scope="module")
def head() -> LinearHead:
    rng = np.random.default_rng(8)
    return LinearHead(
        LABELS,
        rng.normal(0, 1.0, (VIEWS * WIDTH, len(LABELS))).astype(np.float32),
        rng.normal(size=len(LABELS)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def net(backbone: keras.Model, head: LinearHead) -> keras.Model:
    return multi_view_classifier(backbone, VIEWS, head)


@pytest.fixture(scope="module")
def graph(net: keras.Model) -> bytes:
    return as_onnx(net)


@pytest.fixture(scope="module")
def session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def views(photos: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (photos, VIEWS, SIDE, SIDE, 3), np.uint8)


def in_keras(net: keras.Model, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(value) for name, value in net(pixels, training=False).items()}


def test_logits_are_the_head_over_the_views_side_by_side(
    backbone: keras.Model, head: LinearHead, net: keras.Model
) -> None:
    pixels = views(2)
    features = np.stack([np.asarray(backbone(photo, training=False)).reshape(-1) for photo in pixels])
    found = in_keras(net, pixels)["logits"]
    np.testing.assert_allclose(found, head.logits(features), atol=1e-3)
    assert np.ptp(found, axis=1).min() > 0.1  # the answer is not flat


def test_the_order_of_the_views_matters_to_logits_and_not_to_the_embedding(net: keras.Model) -> None:
    pixels = views(1)
    one, other = in_keras(net, pixels), in_keras(net, pixels[:, ::-1])
    assert np.abs(one["logits"] - other["logits"]).max() > 1e-2
    np.testing.assert_allclose(one["embedding"], other["embedding"], atol=1e-5)


def test_the_embedding_is_the_mean_over_views_of_length_one(backbone: keras.Model, net: keras.Model) -> None:
    pixels = views(2)
    embedding = in_keras(net, pixels)["embedding"]
    assert embedding.shape == (2, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, atol=1e-5)
    mean = np.asarray(backbone(pixels[1], training=False)).mean(axis=0)
    np.testing.assert_allclose(embedding[1], mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("photos", [1, 3])
def test_keras_and_onnx_agree(
    net: keras.Model, session: onnxruntime.InferenceSession, head: LinearHead, photos: int
) -> None:
    pixels = views(photos, seed=photos)
    logits, embedding = session.run(["logits", "embedding"], {"views": pixels})
    expected = in_keras(net, pixels)
    assert logits.shape == (photos, len(LABELS))
    assert embedding.shape == (photos, WIDTH)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)
    np.testing.assert_allclose(embedding, expected["embedding"], atol=1e-4)
    assert agreement(net, logits, pixels) < 1e-4
    assert agreement(net, logits + np.array([0.5, 0, 0, 0], np.float32), pixels) == pytest.approx(0.5, abs=1e-3)


def test_photos_of_one_batch_do_not_mix(session: onnxruntime.InferenceSession) -> None:
    pixels = views(3)
    together = session.run(["logits"], {"views": pixels})[0]
    alone = np.concatenate([session.run(["logits"], {"views": photo[np.newaxis]})[0] for photo in pixels])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_names_and_shapes_of_the_graph(graph: bytes, session: onnxruntime.InferenceSession) -> None:
    info = read_graph(graph)  # the reader of the core, which also refuses external data
    assert {name: shape[1:] for name, shape in info.inputs.items()} == {"views": (VIEWS, SIDE, SIDE, 3)}
    assert {name: shape[1:] for name, shape in info.outputs.items()} == {
        "logits": (len(LABELS),),
        "embedding": (WIDTH,),
    }
    for shape in [*info.inputs.values(), *info.outputs.values()]:
        assert shape[0] is None
    assert session.get_inputs()[0].type == "tensor(uint8)"


def test_exporting_again_gives_the_same_bytes(net: keras.Model, graph: bytes) -> None:
    assert as_onnx(net) == graph


def test_column_i_is_label_i(backbone: keras.Model) -> None:
    for place in range(len(LABELS)):
        bias = np.zeros(len(LABELS), np.float32)
        bias[place] = 9.0
        head = LinearHead(LABELS, np.zeros((VIEWS * WIDTH, len(LABELS)), np.float32), bias)
        logits = in_keras(multi_view_classifier(backbone, VIEWS, head), views(1))["logits"]
        np.testing.assert_allclose(logits[0], bias, atol=1e-5)


def test_the_backbone_alone_exports_too(backbone: keras.Model) -> None:
    session = onnxruntime.InferenceSession(as_onnx(backbone), providers=["CPUExecutionProvider"])
    pixels = views(1)[0]
    ((name,), (taken,)) = ([value.name for value in part] for part in (session.get_outputs(), session.get_inputs()))
    assert name == "features"
    found = session.run(None, {taken: pixels})[0]
    np.testing.assert_allclose(found, np.asarray(backbone(pixels, training=False)), atol=1e-4)


def test_the_network_survives_saving(net: keras.Model, tmp_path: Any) -> None:
    net.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(in_keras(loaded, views(1))["logits"], in_keras(net, views(1))["logits"], atol=1e-5)
