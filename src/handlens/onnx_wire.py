"""Reads just enough of an ONNX file's wire format to check it before it is run.

The core has no `onnx` package, and a session must not be made from a file that points outside itself. The field
numbers are those of onnx.proto3 (ONNX IR version 3 and later); the encoding is that of Protocol Buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from handlens.errors import HandlensError

__all__ = ["BadGraphError", "GraphInfo", "read_graph"]

_DEPTH_LIMIT: Final = 32
_LARGEST_TAG: Final = 2**32 - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field numbers by message: which fields hold a message that may (in the end) hold a tensor.
_MODEL_GRAPH = 7
_NESTED: Final = {
    "model": {7: "graph", 25: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_GRAPH_INPUT, _GRAPH_OUTPUT = 11, 12

Dimension = int | None


class BadGraphError(HandlensError):
    """The bytes are no ONNX graph, or one that keeps tensors in other files (`bad-graph`)."""

    code = "bad-graph"


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """Names and shapes of a graph's inputs and outputs; None stands for a free dimension."""

    inputs: dict[str, tuple[Dimension, ...]]
    outputs: dict[str, tuple[Dimension, ...]]


def read_graph(data: bytes) -> GraphInfo:
    """Inputs and outputs of an ONNX model; raises BadGraphError for other bytes or a tensor with external data."""
    view = memoryview(data)
    try:
        _refuse_external_data(view, "model", 0)
        graphs = [part for number, part in _fields(view) if number == _MODEL_GRAPH and isinstance(part, memoryview)]
        if len(graphs) != 1:
            raise BadGraphError("the file holds no ONNX graph")
        return GraphInfo(_values(graphs[0], _GRAPH_INPUT), _values(graphs[0], _GRAPH_OUTPUT))
    except (IndexError, ValueError) as error:
        raise BadGraphError("the file is damaged or no ONNX graph") from error


def _refuse_external_data(message: memoryview, kind: str, depth: int) -> None:
    if depth > _DEPTH_LIMIT:
        raise BadGraphError("the graph is nested too deeply")
    if kind == "tensor":
        for number, value in _fields(message):
            if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0):
                raise BadGraphError("the graph keeps tensors in other files (external data), which is not allowed")
        return
    nested = _NESTED[kind]
    for number, value in _fields(message):
        if number in nested and isinstance(value, memoryview):
            _refuse_external_data(value, nested[number], depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values, integers or bytes; raises IndexError or ValueError on damage."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        # A runtime that keeps 32 bits of a longer tag would find another field here than this reader.
        if not 8 <= tag <= _LARGEST_TAG:
            raise ValueError("a tag that names no field")
        wire = tag & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if wire == _BYTES:
            length, position = _varint(message, position)
        elif wire == _FIXED64:
            length = 8
        elif wire == _FIXED32:
            length = 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > end:
            raise ValueError("a field runs past the end")
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _values(graph: memoryview, field: int) -> dict[str, tuple[Dimension, ...]]:
    """ValueInfoProto: name = 1, type = 2 → tensor_type = 1 → shape = 2 → dim = 1 → dim_value = 1."""
    values = {}
    for number, value in _fields(graph):
        if number != field or not isinstance(value, memoryview):
            continue
        name = b"".join(bytes(part) for number, part in _fields(value) if number == 1 and isinstance(part, memoryview))
        dimensions = _messages(_messages(_messages(_messages([value], 2), 1), 2), 1)
        shape = []
        for dimension in dimensions:
            sizes = [size for number, size in _fields(dimension) if number == 1 and isinstance(size, int)]
            shape.append(sizes[-1] if sizes else None)
        values[name.decode("utf-8")] = tuple(shape)
    return values


def _messages(parents: list[memoryview], field: int) -> list[memoryview]:
    return [
        value
        for parent in parents
        for number, value in _fields(parent)
        if number == field and isinstance(value, memoryview)
    ]
