"""What tf2onnx lacks for Keras networks of other people's layers. Importing this module adds operators to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tf2onnx import utils
from tf2onnx.handler import tf_op

__all__ = ["exportable"]


@contextmanager
def exportable(net: keras.Model) -> Iterator[None]:
    """Within it the layers of `net` can be traced for an ONNX graph; only there, as they cannot all be run.

    Tensors that layers keep beside their weights, such as the numbers of positions, are arrays: those become constants
    of the graph, tensors would become inputs that nobody feeds. Grouped convolutions are TensorFlow's, which the
    processor cannot run but ONNX can; Keras compiles its own by XLA, which ONNX knows nothing of.
    """
    kept: list[tuple[Any, dict[str, Any]]] = []
    for layer in net._flatten_layers():
        changed: dict[str, Any] = {
            name: value.numpy() for name, value in vars(layer).items() if isinstance(value, tf.Tensor)
        }
        if isinstance(layer, keras.layers.Conv2D) and layer.groups > 1:
            changed["convolution_op"] = partial(_grouped, layer)
        kept.append((layer, {name: vars(layer)[name] for name in changed if name in vars(layer)}))
        # Past Keras, which would begin to track them.
        vars(layer).update(changed)
    try:
        yield
    finally:
        for layer, before in kept:
            vars(layer).pop("convolution_op", None)
            vars(layer).update(before)


def _grouped(layer: Any, inputs: Any, kernel: Any) -> Any:
    return tf.nn.convolution(
        inputs, kernel, strides=layer.strides, padding=layer.padding.upper(), dilations=layer.dilation_rate
    )


@tf_op("Erfc")
class _Erfc:
    """erfc(x) = 1 - erf(x), of the exact GELU of vision transformers. ONNX has Erf since its version 9."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
        """Puts Sub(1, Erf(x)) in the place of `node`."""
        shapes, dtypes = node.output_shapes, node.output_dtypes
        one = ctx.make_const(utils.make_name("one"), np.array(1, utils.map_onnx_to_numpy_type(dtypes[0])))
        erf = ctx.make_node("Erf", [node.input[0]], shapes=shapes, dtypes=dtypes)
        inputs = [one.output[0], erf.output[0]]
        ctx.remove_node(node.name)
        ctx.make_node("Sub", inputs, name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes)
