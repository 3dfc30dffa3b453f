"""ViT-S/14 as an ONNX graph, written straight from its weights: matrices in whole numbers, each step one operator.

What comes out of Keras by way of TensorFlow takes some twenty operators for a normalisation, and twice the time. The
network is that of `vit`, and tests hold the two together.

The large matrices of the later blocks are int8 with a scale an output; what they are multiplied with becomes uint8 when
the graph runs, with a scale a tensor: for all photos of one run, so that they should be run one at a time. In the first
blocks that loses most (half a standard deviation of a feature by the fourth, and little behind it): without ranges,
their matrices are kept in half precision and computed in single. With them (`smoothing`) only the one behind the
attention is; the two behind a normalisation are in whole numbers with smoother scales, and the last of every block is
with outliers apart and a scale a token, which together lose a seventh of a standard deviation. Source: Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from handlens.training.smoothing import GELU, Ranges, ordered, smoothed
from handlens.training.vit import (
    BACKGROUND,
    CHOICE,
    ENOUGH,
    EPSILON,
    HEADS,
    INSIDE_FLOOR,
    NEAR,
    PATCH,
    PIXEL_OFFSET,
    PIXEL_SCALE,
    SPREAD,
    WIDTH,
    patches_at,
    resized_positions,
    spread_order,
)

__all__ = ["TOKENS_BLOCK", "vit_features_graph", "vit_rest_graph", "vit_tokens_graph", "vit_views_graph"]

_OPSET: Final = 20
_IR: Final = 9
_STEPS: Final = 127
_PLAIN_BLOCKS: Final = CHOICE + 1
"""So many blocks are not in whole numbers."""
TOKENS_BLOCK: Final = _PLAIN_BLOCKS - 1
"""The block, counted from 0, after which `vit_tokens_graph` stops: the last that is not in whole numbers."""
_TO_THE_END: Final = 2**31
_OUTLIERS: Final = 128
"""So many of the 1,536 channels behind a GELU, the largest, may be outliers."""
_LEAST_TOP: Final = 0.2
"""What the largest channel of a token is taken for at least: no GELU is less than -0.17."""
Weights = Mapping[str, NDArray[np.float32]]


def vit_features_graph(
    weights: Weights,
    *,
    side: int,
    blocks: Sequence[int],
    patches: int = 0,
    ranges: Ranges | None = None,
    int8: bool = True,
) -> bytes:
    """`photo` uint8 (N, side, side, 3) → `features` float32 (N, 3 * 384 * len(blocks)), those of `vit_backbone`.

    `weights`: arrays named `<layer>/<variable>` as the Keras network has them. `patches`: how many of them are looked
    at, 0 for all. `ranges`: of what leads to matrices (`smoothing`), which are then in whole numbers, too, or more
    exact ones. `int8=False`: in float32 throughout.
    """
    graph = _Graph(weights, [_Size.of(side, patches, side)], ranges, int8=int8)
    features = graph.features(graph.node("Cast", ["photo"], to=TensorProto.FLOAT), tuple(blocks))
    graph.node("Identity", [features], output="features")
    width = 3 * WIDTH * len(blocks)
    return graph.bytes({"photo": ["N", side, side, 3]}, {"features": ["N", width]})


def vit_views_graph(
    weights: Weights,
    head: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    side: int,
    views: int,
    blocks: Sequence[int],
    patches: int = 0,
    ranges: Ranges | None = None,
    int8: bool = True,
    larger: int = 0,
) -> bytes:
    """`views` uint8 (N, V, side, side, 3) → `logits` (N, labels) and `embedding` (N, D), as `multi_view_classifier`.

    `head`: its matrix (V * D, labels) and bias (labels,). `larger`: another side, above `side`, that it takes as well;
    of views of that it looks at as large a share of the patches. The others: as in `vit_features_graph`.
    """
    sizes = [_Size.of(side, patches, side), *([_Size.of(larger, patches, side)] if larger else [])]
    graph = _Graph(weights, sizes, ranges, int8=int8)
    width = 3 * WIDTH * len(blocks)
    matrix, bias = head
    pixels = graph.node("Cast", [graph.node("Reshape", ["views", graph.each_view("views")])], to=TensorProto.FLOAT)
    features = graph.features(pixels, tuple(blocks))
    joined = graph.node("Reshape", [features, graph.constant("joined", np.array([-1, views * width], np.int64))])
    product = graph.node("MatMul", [joined, graph.constant("head", matrix)])
    graph.node("Add", [product, graph.constant("head_bias", bias)], output="logits")
    apart = graph.node("Reshape", [features, graph.constant("apart", np.array([-1, views, width], np.int64))])
    mean = graph.mean(apart, 1)
    graph.node("LpNormalization", [mean], output="embedding", axis=-1, p=2)
    pixels_each = ["side", "side"] if larger else [side, side]
    return graph.bytes(
        {"views": ["N", views, *pixels_each, 3]}, {"logits": ["N", len(bias)], "embedding": ["N", width]}
    )


def vit_tokens_graph(weights: Weights, *, side: int, ranges: Ranges | None = None) -> bytes:
    """`photo` uint8 (N, side, side, 3) → `block_tokens` float32 (N, 1 + P, D), those after the block TOKENS_BLOCK, and
    `inside` (N, 2, P), the weights of the patches in the two means: what `vit_rest_graph` goes on from.
    """
    graph = _Graph(weights, [_Size.of(side, 0, side)], ranges, int8=True)
    inside, tokens = graph.begun(graph.node("Cast", ["photo"], to=TensorProto.FLOAT))
    for number in range(_PLAIN_BLOCKS):
        tokens = graph.block(tokens, number)
    graph.node("Identity", [tokens], output="block_tokens")
    graph.node("Identity", [inside], output="inside")
    return graph.bytes({"photo": ["N", side, side, 3]}, graph.between)


def vit_rest_graph(
    weights: Weights, *, side: int, blocks: Sequence[int], patches: int = 0, ranges: Ranges | None = None
) -> bytes:
    """`block_tokens` and `inside` of `vit_tokens_graph` → `features`, those of `vit_features_graph` in whole numbers.

    `patches` and `ranges`: as in `vit_features_graph`. Raises ValueError for a block of `blocks` before TOKENS_BLOCK.
    """
    if min(blocks) < TOKENS_BLOCK:
        raise ValueError(f"blocks {tuple(blocks)}: the tokens are those after block {TOKENS_BLOCK}")
    graph = _Graph(weights, [_Size.of(side, patches, side)], ranges, int8=True)
    tokens, inside = graph.chosen("block_tokens", "inside")
    parts = graph.parts(tokens, inside) if TOKENS_BLOCK in blocks else []
    features = graph.rest(tokens, inside, _PLAIN_BLOCKS, tuple(blocks), parts)
    graph.node("Identity", [features], output="features")
    return graph.bytes(graph.between, {"features": ["N", 3 * WIDTH * len(blocks)]}, TensorProto.FLOAT)


@dataclass(frozen=True, slots=True)
class _Size:
    """A size of views: `side` in pixels, patches along it (`grid`), and how many of them are looked at."""

    side: int
    grid: int
    looked_at: int

    @classmethod
    def of(cls, side: int, patches: int, own: int) -> _Size:
        """`patches`: looked at where the side is `own`, 0 for all."""
        grid = side // PATCH
        return cls(side, grid, patches_at(side, patches, own) or grid**2)


class _Graph:
    """Nodes and constants of one graph, in the order of their use, so that its bytes are always the same."""

    def __init__(self, weights: Weights, sizes: Sequence[_Size], ranges: Ranges | None, *, int8: bool) -> None:
        """`sizes`: one, or two of which the second is larger: what comes in then tells which it is."""
        self._ranges = ranges if int8 and ranges is not None else {}
        self._weights = ordered(smoothed(weights, self._ranges), self._ranges)
        self._sizes = sizes
        self._which = ""
        self._all = sizes[0].grid ** 2 if len(sizes) == 1 else -1
        self._int8 = int8
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def bytes(
        self,
        inputs: Mapping[str, list[Any]],
        outputs: Mapping[str, list[Any]],
        given: int = TensorProto.UINT8,
    ) -> bytes:
        """The whole file."""
        graph = helper.make_graph(
            self._nodes,
            "vits14",
            [helper.make_tensor_value_info(name, given, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            list(self._constants.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        model.producer_name = "handlens"
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    @property
    def between(self) -> dict[str, list[Any]]:
        """What the first blocks leave to the others, with its shapes."""
        return {"block_tokens": ["N", 1 + self._all, WIDTH], "inside": ["N", 2, self._all]}

    def node(self, operator: str, inputs: Sequence[str], *, output: str = "", **attributes: Any) -> str:
        """Adds a node with one output and gives the output's name."""
        name = f"{operator}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output or f"{name}:0"], name=name, **attributes))
        return output or f"{name}:0"

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A constant, kept once a name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def each_view(self, views: str) -> str:
        """The shape of `views` (N, V, side, side, 3) in a row. Where there are two sizes, tells which it is."""
        if len(self._sizes) == 1:
            side = self._sizes[0].side
            return self.constant("each_view", np.array([-1, side, side, 3], np.int64))
        shape = self.node("Shape", [views])
        given = self._part(shape, 2, 3, axis=0)
        larger = self.node("Greater", [given, self.constant("side", np.array([self._sizes[0].side], np.int64))])
        self._which = self.node("Cast", [larger], to=TensorProto.INT64)
        rows = self.constant("any", np.array([-1], np.int64))
        return self.node("Concat", [rows, self._part(shape, 2, 5, axis=0)], axis=0)

    def _by_size(self, name: str, values: Sequence[int | float], kind: type[np.number[Any]]) -> str:
        """One number a size: that of what comes in, (1,)."""
        table = self.constant(name, np.array(values, kind))
        return table if len(values) == 1 else self.node("Gather", [table, self._which], axis=0)

    def _table(self, name: str, tables: Sequence[NDArray[np.float32]]) -> str:
        """One table of patches (1, P, ...) a size: that of what comes in."""
        whole = self.constant(name, np.concatenate(tables, axis=1))
        if len(tables) == 1:
            return whole
        ends = np.cumsum([table.shape[1] for table in tables]).tolist()
        start, end = (
            self._by_size(f"{name} {part}", places, np.int64)
            for part, places in (("start", [0, *ends[:-1]]), ("end", ends))
        )
        return self.node("Slice", [whole, start, end, self.constant("place 1", np.array([1], np.int64))])

    def number(self, value: float) -> str:
        """A constant of one number."""
        return self.constant(f"number {value!r}", np.array(value, np.float32))

    def mean(self, x: str, axis: int, *, keep: bool = False) -> str:
        """The mean along an axis."""
        axes = self.constant(f"axis {axis}", np.array([axis], np.int64))
        return self.node("ReduceMean", [x, axes], keepdims=int(keep))

    def features(self, pixels: str, blocks: tuple[int, ...]) -> str:
        """Pixels float32 (N, side, side, 3) → (N, 3 * D * blocks)."""
        inside, x = self.begun(pixels)
        return self.rest(x, inside, 0, blocks, [])

    def begun(self, pixels: str) -> tuple[str, str]:
        """Pixels (N, side, side, 3) → the weights of the patches, and the first tokens."""
        first = self.node("Transpose", [pixels], perm=[0, 3, 1, 2])
        inside = self._inside(first)
        return inside, self._tokens(first)

    def rest(self, x: str, inside: str, start: int, blocks: tuple[int, ...], found: list[str]) -> str:
        """Tokens before the block `start` → features; `found`: the parts of them that are there already."""
        for number in range(start, max(blocks) + 1):
            x = self.block(x, number)
            if number == CHOICE:
                x, inside = self.chosen(x, inside)
            if number in blocks:
                found = found + self.parts(x, inside)
        joined = self.node("Concat", found, axis=1)  # a class token, then two means, of each block
        return self.node("Reshape", [joined, self.constant("in_a_row", np.array([0, -1], np.int64))])

    def block(self, x: str, number: int) -> str:
        """The tokens after one more block."""
        return self._block(x, f"block{number:02d}", late=number >= _PLAIN_BLOCKS)

    def parts(self, x: str, inside: str) -> list[str]:
        """What is read of a block's tokens: the class token (N, 1, D) and two means of the others (N, 2, D)."""
        normed = self._norm(x, "norm")
        first, others = self._part(normed, 0, 1), self._part(normed, 1, _TO_THE_END)
        return [first, self.node("MatMul", [inside, others])]

    def _part(self, x: str, start: int, end: int, axis: int = 1) -> str:
        """What is from `start` to `end` along an axis: by default, of tokens (N, 1 + P, D)."""
        places = [self.constant(f"place {value}", np.array([value], np.int64)) for value in (start, end, axis)]
        return self.node("Slice", [x, *places])

    def _inside(self, first: str) -> str:
        """Weights (N, 2, P) of the patches: all alike, and by how much of each is no background; both sum to 1."""
        away = self.node("Abs", [self.node("Sub", [first, self.number(BACKGROUND)])])
        most = self.node("ReduceMax", [away, self.constant("axis 1", np.array([1], np.int64))], keepdims=1)
        seen = self.node("Cast", [self.node("Greater", [most, self.number(NEAR)])], to=TensorProto.FLOAT)
        share = self.node("AveragePool", [seen], kernel_shape=[PATCH, PATCH], strides=[PATCH, PATCH])
        flat = self.node("Reshape", [share, self.constant("patches", np.array([0, 1, self._all], np.int64))])
        weight = self.node("Add", [flat, self.number(INSIDE_FLOOR)])
        inside = self._in_one(weight)
        shares = [1 / size.grid**2 for size in self._sizes]
        share = self.number(shares[0]) if len(shares) == 1 else self._by_size("shares", shares, np.float32)
        alike = self.node("Add", [self.node("Mul", [flat, self.number(0)]), share])
        return self.node("Concat", [alike, inside], axis=1)

    def _in_one(self, weight: str) -> str:
        """Weights of patches (N, n, P) as shares of their sum."""
        total = self.node("ReduceSum", [weight, self.constant("axis 2", np.array([2], np.int64))], keepdims=1)
        return self.node("Div", [weight, total])

    def chosen(self, x: str, inside: str) -> tuple[str, str]:
        """Of tokens (N, 1 + P, D) and weights (N, 2, P) those of the patches that are looked at from here on."""
        if all(size.looked_at == size.grid**2 for size in self._sizes):
            return x, inside
        second = self.node("Gather", [inside, self.constant("second", np.array([1], np.int64))], axis=1)
        weight = self.node("Reshape", [second, self.constant("in_one_row", np.array([0, self._all], np.int64))])
        most = self.node("ReduceMax", [weight, self.constant("axis 1", np.array([1], np.int64))], keepdims=1)
        enough = self.node("Min", [self.node("Div", [weight, most]), self.number(ENOUGH)])
        orders = [SPREAD * spread_order(size.grid)[np.newaxis] for size in self._sizes]
        score = self.node("Add", [enough, self._table("spread", orders)])
        count = self._by_size("looked_at", [size.looked_at for size in self._sizes], np.int64)
        number = len(self._nodes)
        found = [f"{part}{number}" for part in ("highest", "places")]
        self._nodes.append(helper.make_node("TopK", [score, count], found, name=f"TopK{number}", axis=1))
        last = self.constant("last", np.array([-1], np.int64))
        places = self.node("Unsqueeze", [found[1], last])
        some = self.node("GatherND", [self._part(x, 1, _TO_THE_END), places], batch_dims=1)
        by_patch = self.node("Transpose", [inside], perm=[0, 2, 1])
        kept = self.node("Transpose", [self.node("GatherND", [by_patch, places], batch_dims=1)], perm=[0, 2, 1])
        tokens = self.node("Concat", [self._part(x, 0, 1), some], axis=1)
        return tokens, self._in_one(kept)

    def _tokens(self, first: str) -> str:
        """Pixels (N, 3, side, side) → tokens (N, 1 + P, D); scaling of the pixels is in the first matrix."""
        kernel, bias = self._weights["patches/kernel"], self._weights["patches/bias"]
        scale = np.array(PIXEL_SCALE, np.float64)
        offset = np.array(PIXEL_OFFSET, np.float64)
        scaled = (kernel * scale[:, np.newaxis]).transpose(3, 2, 0, 1).astype(np.float32)
        moved = (bias + np.einsum("ijcd,c->d", kernel.astype(np.float64), offset)).astype(np.float32)
        kept = [self.constant("patches/kernel", scaled), self.constant("patches/bias", moved)]
        x = self.node("Conv", [first, *kept], kernel_shape=[PATCH, PATCH], strides=[PATCH, PATCH])
        x = self.node("Reshape", [x, self.constant("tokens", np.array([0, WIDTH, self._all], np.int64))])
        x = self.node("Transpose", [x], perm=[0, 2, 1])
        each = [resized_positions(self._weights["tokens/positions"], size.grid) for size in self._sizes]
        x = self.node("Add", [x, self._table("positions", [positions[:, 1:] for positions in each])])
        class_token = self.constant("class_token", self._weights["tokens/class_token"] + each[0][:, :1])
        one = self._part(x, 0, 1)
        first_token = self.node("Add", [self.node("Mul", [one, self.number(0)]), class_token])
        return self.node("Concat", [first_token, x], axis=1)

    def _norm(self, x: str, name: str) -> str:
        kept = [self.constant(f"{name}/{part}", self._weights[f"{name}/{part}"]) for part in ("gamma", "beta")]
        return self.node("LayerNormalization", [x, *kept], axis=-1, epsilon=EPSILON)

    def _block(self, x: str, name: str, *, late: bool) -> str:
        """One block, see `vit`."""
        y = self._behind_norm(x, f"{name}_norm1", f"{name}_qkv", late=late)
        thirds = self.constant("thirds", np.array([WIDTH] * 3, np.int64))
        parts = [f"{name}_{part}" for part in ("query", "key", "value")]
        self._nodes.append(helper.make_node("Split", [y, thirds], parts, name=f"{name}_split", axis=-1))
        heads = self.constant("heads", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
        apart = [self.node("Reshape", [part, heads]) for part in parts]
        query = self.node("Transpose", [apart[0]], perm=[0, 2, 1, 3])
        key = self.node("Transpose", [apart[1]], perm=[0, 2, 3, 1])
        value = self.node("Transpose", [apart[2]], perm=[0, 2, 1, 3])
        scaled = self.node("Mul", [query, self.number((WIDTH // HEADS) ** -0.5)])
        weight = self.node("Softmax", [self.node("MatMul", [scaled, key])], axis=-1)
        y = self.node("Transpose", [self.node("MatMul", [weight, value])], perm=[0, 2, 1, 3])
        y = self.node("Reshape", [y, self.constant("together", np.array([0, 0, WIDTH], np.int64))])
        x = self.node("Add", [x, self._dense(y, f"{name}_projection", whole=late)])
        y = self._behind_norm(x, f"{name}_norm2", f"{name}_up", late=late)
        y = self.node("Gelu", [y], approximate="none")
        largest = self._ranges.get(f"{name}_{GELU}")
        if largest is None:
            return self.node("Add", [x, self._dense(y, f"{name}_down", whole=late)])
        return self.node("Add", [x, self._outliers_apart(y, f"{name}_down", np.sort(largest)[::-1])])

    def _behind_norm(self, x: str, norm: str, name: str, *, late: bool) -> str:
        """What is normalised, times a matrix: in whole numbers in the late blocks, and where its range is known."""
        return self._dense(self._norm(x, norm), name, whole=late or norm in self._ranges)

    def _dense(self, x: str, name: str, *, whole: bool) -> str:
        """A matrix and its bias, `whole` in whole numbers."""
        kernel, bias = self._weights[f"{name}/kernel"], self.constant(f"{name}/bias", self._weights[f"{name}/bias"])
        if not self._int8:
            return self.node("Add", [self.node("MatMul", [x, self.constant(f"{name}/kernel", kernel)]), bias])
        if not whole:
            return self.node("Add", [self.node("MatMul", [x, self._half(f"{name}/kernel", kernel)]), bias])
        return self.node("Add", [self._in_whole_numbers(x, name), bias])

    def _half(self, name: str, kernel: NDArray[np.float32]) -> str:
        """A constant that is kept in half precision; the runtime makes it single once, when it makes a session."""
        return self.node("Cast", [self.constant(name, kernel.astype(np.float16))], to=TensorProto.FLOAT)

    def _in_whole_numbers(self, x: str, name: str) -> str:
        """`x` times a matrix."""
        kernel = self._weights[f"{name}/kernel"]
        scale = np.maximum(np.abs(kernel).max(axis=0), 1e-12) / _STEPS
        steps = self.constant(f"{name}/kernel", np.rint(kernel / scale).astype(np.int8))
        number = len(self._nodes)
        rows, its_scale, its_zero = (f"rows{number}:{place}" for place in range(3))
        self._nodes.append(
            helper.make_node("DynamicQuantizeLinear", [x], [rows, its_scale, its_zero], name=f"rows{number}")
        )
        product = self.node("MatMulInteger", [rows, steps, its_zero])
        scales = self.node("Mul", [its_scale, self.constant(f"{name}/scale", scale.astype(np.float32))])
        return self.node("Mul", [self.node("Cast", [product], to=TensorProto.FLOAT), scales])

    def _outliers_apart(self, x: str, name: str, largest: NDArray[np.float32]) -> str:
        """What comes out of a GELU (N, T, channels) times a matrix, and its bias: in whole numbers but for what the
        first channels have beyond the size of the others, each token with a scale of its own. `largest`: of each
        channel, in falling order.
        """
        kernel, limit = self._weights[f"{name}/kernel"], float(largest[_OUTLIERS])
        limits = np.full(len(largest), np.finfo(np.float32).max, np.float32)
        limits[:_OUTLIERS] = limit
        within = self.node("Min", [x, self.constant(f"{name}/limits", limits)])
        beyond = self.node("Relu", [self.node("Sub", [self._part(x, 0, _OUTLIERS, axis=2), self.number(limit)])])
        apart = self.node("MatMul", [beyond, self._half(f"{name}/outliers", kernel[:_OUTLIERS])])
        last = self.constant("axis -1", np.array([-1], np.int64))
        top = self.node("Max", [self.node("ReduceMax", [within, last], keepdims=1), self.number(_LEAST_TOP)])
        made = self.node("Mul", [self._in_whole_numbers(self.node("Div", [within, top]), name), top])
        bias = self.constant(f"{name}/bias", self._weights[f"{name}/bias"])
        return self.node("Add", [self.node("Add", [made, bias]), apart])
