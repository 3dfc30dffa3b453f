"""A graph for views of any side: what Keras says at each, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import helper, numpy_helper

from handlens.onnx_session import cpu_session
from handlens.onnx_wire import BadGraphError, read_graph
from handlens.training.any_side import for_any_side
from handlens.training.classifier import as_onnx, multi_view_classifier
from handlens.training.head import LinearHead


def small_network(side: int) -> keras.Model:
    """Two strides, of filters of 3 and 5; always of the same weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((side, side, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    for filters, kernel in ((4, 3), (6, 5)):
        x = layers.Conv2D(filters, kernel, strides=2, padding="same", activation="relu")(x)
        x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    rng = np.random.default_rng(0)
    head = LinearHead(("a", "b"), rng.normal(size=(12, 2)).astype(np.float32), np.zeros(2, np.float32))
    return multi_view_classifier(keras.Model(inputs, x), 2, head)


@pytest.fixture(scope="module")
def graph() -> bytes:
    return as_onnx(small_network(24))


@pytest.mark.parametrize("side", [16, 22, 23, 24, 25, 30, 35])
def test_it_says_what_keras_says_at_every_side(graph: bytes, side: int) -> None:
    views = np.random.default_rng(side).integers(0, 256, (3, 2, side, side, 3)).astype(np.uint8)
    expected = small_network(side)(views, training=False)
    logits, embedding = cpu_session(for_any_side(graph), 1).run(["logits", "embedding"], {"views": views})
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)
    np.testing.assert_allclose(embedding, expected["embedding"], atol=1e-4)


def test_its_input_has_a_free_side(graph: bytes) -> None:
    assert read_graph(for_any_side(graph)).inputs == {"views": (None, 2, None, None, 3)}
    assert read_graph(for_any_side(graph)).outputs == read_graph(graph).outputs


def test_another_rule_of_borders_is_refused(graph: bytes) -> None:
    model = onnx.load_from_string(graph)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    for attribute in conv.attribute:
        if attribute.name == "pads":
            attribute.CopyFrom(helper.make_attribute("pads", [1, 1, 0, 0]))  # as much, but on the other side
    with pytest.raises(BadGraphError, match=r"borders of \[1, 1, 0, 0\]"):
        for_any_side(model.SerializeToString())


def test_views_that_are_not_put_in_a_row_are_refused(graph: bytes) -> None:
    model = onnx.load_from_string(graph)
    row = next(node for node in model.graph.node if node.op_type == "Reshape" and node.input[0] == "views")
    for weight in model.graph.initializer:
        if weight.name == row.input[1]:
            weight.CopyFrom(numpy_helper.from_array(np.array([-1, 24, 24 * 3, 1]), weight.name))
    with pytest.raises(BadGraphError, match="in a row"):
        for_any_side(model.SerializeToString())
