"""A graph in whole numbers: it answers as before, is a quarter as large, and is the same file every time."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers, ops
from numpy.typing import NDArray
from onnx import numpy_helper

from bundles import write_bundle
from handlens.bundle import open_bundle
from handlens.errors import UsageError
from handlens.model import Model
from handlens.onnx_session import cpu_session
from handlens.onnx_wire import BadGraphError, read_graph
from handlens.training.classifier import as_onnx
from handlens.training.networks import build_network
from handlens.training.quantise import _move_normalisation, quantise
from handlens.views import Preprocessing, View

SIDE = 32
PREPROCESSING = Preprocessing(SIDE, (View("crop", 1.0),))
COLOURS = {"ruby": (190, 30, 60), "topaz": (210, 160, 60), "agate": (150, 120, 100), "quartz": (220, 220, 225)}
LABELS = tuple(COLOURS)


def pictures(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Noisy patches of the labels' colours on grounds of any grey, with what they are."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, len(LABELS), count)
    made = np.empty((count, 1, SIDE, SIDE, 3), np.uint8)
    for picture, place in zip(made, classes, strict=True):
        noisy = np.full((SIDE, SIDE, 3), rng.integers(0, 256)) + rng.normal(0, 25, (SIDE, SIDE, 3))
        top, left, height, width = rng.integers(2, 12, 4)
        noisy[top : top + 10 + height, left : left + 10 + width] += np.array(COLOURS[LABELS[place]]) - noisy.mean()
        picture[0] = noisy.clip(0, 255)
    return made, classes


@pytest.fixture(scope="module")
def net() -> keras.Model:
    """`cnn-2`, trained so little that it makes mistakes, as a bundle has it."""
    keras.utils.set_random_seed(3)
    small = build_network("cnn-2", len(LABELS), side=SIDE)
    seen, classes = pictures(256, seed=1)
    small.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    small.fit(seen[:, 0], classes, batch_size=32, epochs=8, verbose=0)
    for layer in small.layers:
        if isinstance(layer, layers.BatchNormalization):  # so short a training leaves them far from the data
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma * np.linspace(0.5, 2, len(gamma)), beta + 0.1, mean, variance])
    views = keras.Input((1, SIDE, SIDE, 3), dtype="uint8", name="views")
    head = small.get_layer("logits")
    logits, features = keras.Model(small.inputs, [head.output, head.input])(ops.reshape(views, (-1, SIDE, SIDE, 3)))
    embedding = layers.UnitNormalization(name="embedding")(features)
    return keras.Model(views, {"logits": logits, "embedding": embedding}, name="cnn_2_views")


@pytest.fixture(scope="module")
def graph(net: keras.Model) -> bytes:
    return as_onnx(net)


@pytest.fixture(scope="module")
def small(graph: bytes) -> bytes:
    return quantise(graph, pictures(64, seed=2)[0])


def run(graph: bytes, views: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    logits, embedding = cpu_session(graph, 1).run(["logits", "embedding"], {"views": views})
    return logits, embedding


def test_it_answers_as_the_graph_does(graph: bytes, small: bytes) -> None:
    views, classes = pictures(300, seed=4)
    (wanted, place), (found, other) = run(graph, views), run(small, views)
    right = wanted.argmax(axis=1) == classes
    assert 0.4 < right.mean() < 1, "the network must know something and be sure of less"
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.95
    assert (found.argmax(axis=1) == classes).mean() >= right.mean() - 0.03
    assert 0 < np.abs(found - wanted).mean() < 0.03 * wanted.std()
    assert (place * other).sum(axis=1).min() > 0.97
    np.testing.assert_allclose(np.linalg.norm(other, axis=1), 1.0, atol=1e-5)


def test_it_is_a_quarter_as_large(graph: bytes, small: bytes) -> None:
    assert len(small) <= 0.3 * len(graph)
    model = onnx.load_from_string(small).graph
    weights = {weight.name: numpy_helper.to_array(weight) for weight in model.initializer}
    filters = {name: weight for name, weight in weights.items() if weight.dtype == np.int8 and weight.ndim == 4}
    # Two products of the first with pixels fit in 16 bits.
    largest = {weight.shape[1]: int(np.abs(weight.astype(int)).max()) for weight in filters.values()}
    assert largest == {3: 64, 32: 127, 64: 127, 128: 127}
    scales = {node.input[0]: node.input[1] for node in model.node if node.op_type == "DequantizeLinear"}
    for name, weight in filters.items():
        assert weights[scales[name]].shape == weight.shape[:1]


def test_the_same_graph_and_views_give_the_same_bytes(graph: bytes, small: bytes) -> None:
    assert quantise(graph, pictures(64, seed=2)[0]) == small
    assert quantise(graph, pictures(64, seed=5)[0]) != small


def test_a_bundle_takes_it_in_place_of_the_graph(graph: bytes, small: bytes, tmp_path: Path) -> None:
    assert read_graph(small) == read_graph(graph)
    bundle = open_bundle(write_bundle(tmp_path / "b", labels=LABELS, preprocessing=PREPROCESSING, graph=small))
    views, _ = pictures(5, seed=6)
    together = Model(bundle, threads=1).run(views)
    alone = [Model(bundle, threads=1).run(photo[np.newaxis]).logits[0] for photo in views]
    np.testing.assert_allclose(together.logits, alone, atol=1e-5)


def test_the_runtime_computes_in_whole_numbers(small: bytes, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(small, options, providers=["CPUExecutionProvider"])
    used = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert used.count("QLinearConv") == 4
    assert "Conv" not in used
    assert "MaxPool" not in used or "NhwcMaxPool" in used


@pytest.mark.parametrize("negative", [False, True])
def test_moving_normalisation_changes_no_answer(net: keras.Model, graph: bytes, negative: bool) -> None:
    model = onnx.load_from_string(graph)
    if negative:
        scale = next(node for node in model.graph.node if node.op_type == "Mul" and node.output[0] == _shifted(model))
        weight = next(weight for weight in model.graph.initializer if weight.name in scale.input)
        values = numpy_helper.to_array(weight).copy()
        values.flat[3] *= -1
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    before = model.SerializeToString()
    assert len(_move_normalisation(model.graph)) == (3 if negative else 4)
    onnx.checker.check_model(model, full_check=True)
    views, _ = pictures(20, seed=7)
    for wanted, found in zip(run(before, views), run(model.SerializeToString(), views), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    if negative:
        agree = run(quantise(before, views), views)[0].argmax(axis=1) == run(before, views)[0].argmax(axis=1)
        assert agree.mean() >= 0.9


def _shifted(model: onnx.ModelProto) -> str:
    """What the second pooling's shift is added to: the output of its scale."""
    pools = [node for node in model.graph.node if node.op_type == "MaxPool"]
    shift = next(node for node in model.graph.node if node.output[0] == pools[1].input[0])
    weights = {weight.name for weight in model.graph.initializer}
    return str(next(name for name in shift.input if name not in weights))


def test_what_is_no_graph_and_views_of_another_graph(graph: bytes) -> None:
    views, _ = pictures(4, seed=8)
    with pytest.raises(BadGraphError):
        quantise(b"no graph", views)
    for wrong in (views[:, 0], views[:, :, :16], views[:0], np.repeat(views, 2, axis=1)):
        with pytest.raises(UsageError, match="the graph takes"):
            quantise(graph, wrong)
