"""A bundle's graph in whole numbers: static quantisation to int8.

Weights become int8 with a scale a channel, what is between layers uint8 with a scale a tensor, found by running the
graph on pictures. Three things are done so that this loses little, is fast, and is the same on every processor:

- *Batch normalisation between a ReLU and a max pooling* is y = s x + b a channel. Where no s is negative, s goes into
  the convolution, which it passes the ReLU to get to, and b is added behind the pooling, on a quarter of the pixels:
  ReLU(s x) = s ReLU(x) and max(s x + b) = s max(x) + b. It cannot go on into the next convolution, whose border is
  padded with zeros, not with b. The addition stays in floating point, since b would need a scale of its own.
- *What comes behind the last pooling* is a thousandth of the work: only its large matrices are made small.
- *The first convolution* has weights of 7 bits. Processors without instructions for whole numbers (AVX2 without VNNI)
  add two products in 16 bits, which those of bright pixels with weights of 8 bits go beyond.

Source of the scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (CVPR 2018).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quant_pre_process, quantize_static

from handlens.errors import UsageError
from handlens.onnx_wire import read_graph

__all__ = ["quantise"]

_ROWS: Final = 8
"""Photos run at a time: every value between layers is held for them."""
_POOLINGS: Final = ("GlobalAveragePool", "ReduceMean")
_LARGE: Final = 2**15
"""Weights of a matrix behind the last pooling that is worth quantising."""


def quantise(graph: bytes, views: NDArray[np.uint8]) -> bytes:
    """The int8 form of a bundle's float graph, about a quarter of its size; inputs and outputs stay as they are.

    `views`: uint8 (N, V, side, side, 3) of some hundred photos such as it was trained on, by which the ranges of values
    are measured. The same graph and views give the same bytes. Raises BadGraphError for other bytes, UsageError where
    the views are not those that the graph takes.
    """
    taken = read_graph(graph).inputs.get("views")
    if taken is None or not len(views) or views.shape[1:] != taken[1:]:
        raise UsageError(f"views {views.shape} to quantise by: the graph takes {taken}")
    model = onnx.load_from_string(graph)
    kept = _move_normalisation(model.graph) + _small_tail(model.graph)
    seven_bits = [{"quant_type": QuantType.QInt8, "axis": 0, "reduce_range": True}]
    with tempfile.TemporaryDirectory() as folder:
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "quantised.onnx"
        # The graph is simplified already; this adds shapes.
        quant_pre_process(model, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            _Rows(views),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": dict.fromkeys(_first_filters(model.graph), seven_bits)},
        )
        made = onnx.load(quantised)
    del made.graph.value_info[:], made.metadata_props[:]
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


class _Rows:
    """A few photos at a time, as the runtime asks for them."""

    def __init__(self, views: NDArray[np.uint8]) -> None:
        self._rows: Iterator[NDArray[np.uint8]] = (views[at : at + _ROWS] for at in range(0, len(views), _ROWS))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        rows = next(self._rows, None)
        return None if rows is None else {"views": rows}


def _move_normalisation(graph: Any) -> list[str]:
    """Scales into convolutions and shifts behind poolings, see above; gives the names of the shifts."""
    weights = {weight.name: weight for weight in graph.initializer}
    makers = {made: node for node in graph.node for made in node.output}
    moved = []
    for pool in [node for node in graph.node if node.op_type == "MaxPool"]:
        chain = [pool]  # from the pooling up to the convolution
        for wanted in ("Add", "Mul", "Relu", "Conv"):
            found = [makers[name] for name in chain[-1].input if name in makers and name not in weights]
            if len(found) != 1 or found[0].op_type != wanted or _uses(graph, found[0].output[0]) != 1:
                break
            chain.append(found[0])
        else:
            _, shift, scale, relu, conv = chain
            factors = _constant(scale, weights).reshape(-1)
            if len(factors) == len(_array(weights, conv.input[1])) and (factors >= 0).all():
                _scale(conv, factors, weights)
                _behind(graph, relu, scale, shift, pool)
                moved.append(shift.name)
    used = {name for node in graph.node for name in node.input}
    for weight in [weight for weight in graph.initializer if weight.name not in used]:
        graph.initializer.remove(weight)
    return moved


def _uses(graph: Any, name: str) -> int:
    used = [value.name for value in graph.output] + [used for node in graph.node for used in node.input]
    return used.count(name)


def _array(weights: dict[str, Any], name: str) -> NDArray[np.float32]:
    return np.asarray(numpy_helper.to_array(weights[name]))


def _constant(node: Any, weights: dict[str, Any]) -> NDArray[np.float32]:
    return _array(weights, next(name for name in node.input if name in weights))


def _scale(conv: Any, factors: NDArray[np.float32], weights: dict[str, Any]) -> None:
    """Multiplies what a convolution gives by a factor a channel."""
    for name in conv.input[1:]:  # filters (out, in, h, w) and, where there is one, the bias (out,)
        old = _array(weights, name)
        new = old * factors.reshape(-1, *[1] * (old.ndim - 1))
        weights[name].CopyFrom(numpy_helper.from_array(new.astype(np.float32), name))


def _behind(graph: Any, relu: Any, scale: Any, shift: Any, pool: Any) -> None:
    """conv, relu, scale, shift, pool → conv, relu, pool, shift."""
    result, between = pool.output[0], shift.output[0]
    shift.input[:] = [between if name == scale.output[0] else name for name in shift.input]
    pool.input[0], pool.output[0], shift.output[0] = relu.output[0], between, result
    graph.node.remove(scale)
    graph.node.remove(shift)
    graph.node.insert(list(graph.node).index(pool) + 1, shift)


def _small_tail(graph: Any) -> list[str]:
    """Names of the nodes behind the last pooling, all but the large matrices."""
    sizes = {weight.name: int(np.prod(weight.dims)) for weight in graph.initializer}
    lead_on: set[str] = set()  # to a convolution
    for node in reversed(graph.node):
        if node.op_type == "Conv" or lead_on & set(node.output):
            lead_on.update(node.input)
    pooled: set[str] = set()
    tail = []
    for node in graph.node:
        if pooled & set(node.input):
            large = node.op_type in ("MatMul", "Gemm") and max(sizes.get(name, 0) for name in node.input) >= _LARGE
            tail += [] if large else [node.name]
            pooled.update(node.output)
        elif node.op_type in _POOLINGS and not lead_on & set(node.output):
            pooled.update(node.output)
    return tail


def _first_filters(graph: Any) -> list[str]:
    """Names of the weights of the convolutions that look at pixels."""
    behind: set[str] = set()  # a convolution
    first = []
    for node in graph.node:
        if behind & set(node.input):
            behind.update(node.output)
        elif node.op_type == "Conv":
            first.append(node.input[1])
            behind.update(node.output)
    return first
