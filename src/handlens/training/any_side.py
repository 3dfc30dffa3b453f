"""A convolutional network's graph that takes views of any side, from one of a certain side."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from handlens.onnx_wire import BadGraphError

__all__ = ["for_any_side"]

_VIEWS: Final = "views"


def for_any_side(graph: bytes) -> bytes:
    """The same graph with `views` uint8 (N, V, side, side, 3) of a free side; at the old one it answers as before.

    How wide a convolution's border is depends on the side where it takes steps: it is told the rule in place of the
    width, that of Keras ("same"). Raises BadGraphError where another one was in use, or the views are not put in a row
    first.
    """
    model = onnx.load_from_string(graph)
    nodes = model.graph.node
    constants = {weight.name: weight for weight in model.graph.initializer}
    row = next((node for node in nodes if node.op_type == "Reshape" and node.input[0] == _VIEWS), None)
    side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    if row is None or _values(constants, row.input[1]) != [-1, side, side, 3]:
        raise BadGraphError("the graph does not begin with its views in a row")
    for value in model.graph.input[0].type.tensor_type.shape.dim[2:4]:
        value.dim_param = "side"
    made = {
        "side rows": np.array([-1], np.int64),
        "side start": np.array([2], np.int64),
        "side end": np.array([5], np.int64),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())
    for place, node in enumerate(
        (
            helper.make_node("Shape", [_VIEWS], ["side shape"], "side shape"),
            helper.make_node("Slice", ["side shape", "side start", "side end"], ["side each"], "side each"),
            helper.make_node("Concat", ["side rows", "side each"], ["side row"], "side row", axis=0),
        )
    ):
        nodes.insert(place, node)
    row.input[1] = "side row"
    for node in nodes:
        if node.op_type == "Conv":
            _free(node)
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _free(conv: Any) -> None:
    given = {attribute.name: attribute for attribute in conv.attribute}
    steps = list(given["strides"].ints) if "strides" in given else [1, 1]
    if steps == [1, 1]:
        return
    sizes, pads = list(given["kernel_shape"].ints), list(given["pads"].ints) if "pads" in given else [0] * 4
    # Together less than the filter by the step where the side is a multiple of it, else by less, down to one.
    for axis, (size, step) in enumerate(zip(sizes, steps, strict=True)):
        first, last = pads[axis], pads[axis + 2]
        if not max(size - step, 0) <= first + last <= size - 1 or last - first not in (0, 1):
            raise BadGraphError(f"a convolution has borders of {pads}, which is not the rule of Keras")
    kept = [attribute for attribute in conv.attribute if attribute.name not in ("pads", "auto_pad")]
    del conv.attribute[:]
    conv.attribute.extend([*kept, helper.make_attribute("auto_pad", "SAME_UPPER")])


def _values(constants: dict[str, Any], name: str) -> list[int] | None:
    return numpy_helper.to_array(constants[name]).tolist() if name in constants else None
