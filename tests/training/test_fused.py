"""A graph whose operators are fused already: the same answers, the same bytes, and less to do when it is opened."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from handlens.onnx_session import cpu_session
from handlens.onnx_wire import read_graph
from handlens.training.classifier import as_onnx, multi_view_classifier
from handlens.training.frozen import views_graph
from handlens.training.fused import fused
from handlens.training.head import LinearHead
from handlens.training.joined_graph import joined_graph
from handlens.training.networks import build_network
from handlens.training.quantise import quantise
from handlens.training.vit import vit_backbone

SIDE = 56
LABELS = ("agate", "quartz", "ruby")


def head(width: int) -> LinearHead:
    rng = np.random.default_rng(width)
    return LinearHead(LABELS, rng.normal(size=(width, 3)).astype(np.float32), np.array([0.1, -0.2, 0.3], np.float32))


def pictures(seed: int, count: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def convolutional() -> bytes:
    """In 8 bits."""
    import keras

    whole = build_network("cnn-1", len(LABELS), side=SIDE)
    net = keras.Model(whole.input, whole.get_layer("logits").input)
    return quantise(as_onnx(multi_view_classifier(net, 1, head(net.output_shape[-1]))), pictures(1, 32))


@pytest.fixture(scope="module")
def transformer() -> bytes:
    """In half precision and 8 bits."""
    net = vit_backbone(side=SIDE)
    rng = np.random.default_rng(0)
    for layer in net.layers:
        for weight in layer.weights:
            spread = weight.shape[0] ** -0.5 if weight.name == "kernel" else 0.1
            weight.assign(rng.normal(size=weight.shape) * spread + (weight.name == "gamma"))
    graph = views_graph(multi_view_classifier(net, 1, head(net.output_shape[-1])))
    assert graph is not None
    return graph


@pytest.fixture(scope="module")
def joined(convolutional: bytes, transformer: bytes) -> bytes:
    return joined_graph([transformer, convolutional])


@pytest.mark.parametrize("which", ["convolutional", "transformer", "joined"])
def test_the_numbers_are_the_same(which: str, request: pytest.FixtureRequest) -> None:
    graph: bytes = request.getfixturevalue(which)
    ready = fused(graph)
    shown = pictures(2)
    views = np.concatenate([shown, pictures(3)], axis=1) if which == "joined" else shown
    for before, after in zip(
        cpu_session(graph, 1).run(["logits", "embedding"], {"views": views}),
        cpu_session(ready, 1).run(["logits", "embedding"], {"views": views}),
        strict=True,
    ):
        np.testing.assert_allclose(after, before, atol=1e-5)
        assert np.ptp(before, axis=0).max() > 1e-3  # the pictures are told apart at all
    assert read_graph(ready) == read_graph(graph)


def test_there_is_less_to_do_when_it_is_opened_and_it_is_not_larger(joined: bytes) -> None:
    before, after = onnx.load_from_string(joined), onnx.load_from_string(fused(joined))
    assert len(after.graph.node) < 0.7 * len(before.graph.node)
    assert len(after.SerializeToString()) < len(joined)
    kinds = {node.op_type for node in after.graph.node}
    assert {"QLinearConv", "DynamicQuantizeMatMul"} <= kinds
    half = [weight for weight in after.graph.initializer if weight.data_type == onnx.TensorProto.FLOAT16]
    assert len(half) == sum(weight.data_type == onnx.TensorProto.FLOAT16 for weight in before.graph.initializer) > 0
    assert {entry.domain for entry in after.opset_import} == {node.domain for node in after.graph.node}


def test_it_is_the_same_file_every_time(joined: bytes) -> None:
    assert fused(joined) == fused(joined)
