"""A backbone and a head over several views as one Keras network, and as one ONNX graph."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
from keras import layers, ops
from numpy.typing import NDArray

from handlens.training.head import LinearHead
from handlens.training.onnx_ready import exportable
from handlens.training.onnx_rewrite import name_values, only_used_versions, rewritten

__all__ = ["agreement", "as_onnx", "multi_view_classifier", "one_view_classifier"]

_OPSET = 17


def multi_view_classifier(backbone: keras.Model, views: int, head: LinearHead) -> keras.Model:
    """uint8 views (N, V, side, side, 3) → `logits` (N, labels) and `embedding` (N, D).

    The head reads the pooled features of all views side by side; the embedding is their mean over the views, of length
    1, so that the dot product of two embeddings is their cosine.
    """
    _, side, _, channels = backbone.input_shape
    width = int(backbone.output_shape[-1])
    inputs = keras.Input((views, side, side, channels), dtype="uint8", name="views")
    features = backbone(ops.reshape(inputs, (-1, side, side, channels)))
    dense = layers.Dense(len(head.labels), name="logits")
    logits = dense(ops.reshape(features, (-1, views * width)))
    mean = ops.mean(ops.reshape(features, (-1, views, width)), axis=1)
    embedding = layers.UnitNormalization(name="embedding")(mean)
    net = keras.Model(inputs, {"logits": logits, "embedding": embedding}, name=f"{backbone.name}_views")
    dense.set_weights([head.weights, head.bias])
    return net


def one_view_classifier(net: keras.Model) -> keras.Model:
    """The same of a network `photo` (N, side, side, 3) → softmax with the layer `logits` before it: one view."""
    _, side, _, channels = net.input_shape
    last = net.get_layer("logits")
    inner = keras.Model(net.input, {"logits": last.output, "embedding": last.input})
    inputs = keras.Input((1, side, side, channels), dtype="uint8", name="views")
    found = inner(ops.reshape(inputs, (-1, side, side, channels)))
    embedding = layers.UnitNormalization(name="embedding")(found["embedding"])
    # An identity with the name that the output shall have.
    logits = layers.Activation("linear", name="logits")(found["logits"])
    return keras.Model(inputs, {"logits": logits, "embedding": embedding}, name=net.name)


def as_onnx(net: keras.Model) -> bytes:
    """The network as one ONNX file without external data; inputs and outputs have the Keras names, N is free."""
    # The exporter refuses a network that was never called, even one whose shapes are all known.
    net(np.zeros((1, *net.inputs[0].shape[1:]), np.uint8), training=False)
    with tempfile.TemporaryDirectory() as folder, exportable(net):
        path = Path(folder) / "model.onnx"
        net.export(path, format="onnx", verbose=False, opset_version=_OPSET)
        exported = path.read_bytes()
    # Constants folded and batch normalisation in the convolutions, in standard operators only: what the runtime would
    # otherwise do again each time a session is made.
    graph = rewritten(exported, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    outputs = net.output if isinstance(net.output, dict) else {"features": net.output}
    _name_outputs(graph, list(outputs))
    _name_input(graph, net.inputs[0].name)
    for value in [*graph.graph.input, *graph.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    only_used_versions(graph)
    graph.graph.name = net.name
    graph.graph.doc_string = graph.doc_string = ""
    name_values(graph)
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString(deterministic=True))


def _name_input(graph: Any, name: str) -> None:
    old = graph.graph.input[0].name
    for node in graph.graph.node:
        node.input[:] = [name if used == old else used for used in node.input]
    graph.graph.input[0].name = name


def _name_outputs(graph: Any, names: list[str]) -> None:
    """Exported outputs stand in the order of the sorted keys of the network's output."""
    for value, name in zip(graph.graph.output, sorted(names), strict=True):
        for node in graph.graph.node:
            node.output[:] = [name if made == value.name else made for made in node.output]
            node.input[:] = [name if used == value.name else used for used in node.input]
        value.name = name


def agreement(net: keras.Model, session_logits: NDArray[np.float32], views: NDArray[np.uint8]) -> float:
    """The largest absolute difference between the Keras logits of `views` and `session_logits`."""
    return float(np.abs(np.asarray(net(views, training=False)["logits"]) - session_logits).max())
