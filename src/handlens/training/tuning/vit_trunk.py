"""ViT-S/14: the first four blocks are left as they are, and a step sees some of the patches of a look."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.onnx_session import cpu_session
from handlens.processors import processors
from handlens.training.tuning.tokens import Tokens
from handlens.training.tuning.trunk import Weights, filled
from handlens.training.vit import DEPTH, EPSILON, FEATURE_BLOCKS, PATCH, WIDTH, vit_block
from handlens.training.vit_graph import TOKENS_BLOCK, vit_rest_graph, vit_tokens_graph
from handlens.training.weights import kept_ranges, ranges_digest, weights_digest

__all__ = ["VitTrunk", "rest_of_vit"]

_FLOOR: Final = 1e-6


@dataclass(frozen=True, slots=True)
class VitTrunk:
    """See `trunk.Trunk`. `patches`: how many of a view are looked at in the end, 0 for all; training draws from all."""

    network: str
    side: int
    unfrozen: int
    patches: int

    def identity(self, *, training: bool) -> str:
        """Training draws from looks in full precision; what is looked at in the end is as the bundle has it."""
        return weights_digest(self.network) + ("" if training else f":int8-{ranges_digest(self.network)}")

    def frozen(self, weights: Weights, *, training: bool) -> bytes:
        """Tokens after the block TOKENS_BLOCK."""
        return vit_tokens_graph(weights, side=self.side, ranges=None if training else kept_ranges(self.network))

    def rest(self, weights: Weights, kept: float) -> keras.Model:
        """The blocks behind it."""
        return filled(rest_of_vit(1 + self._kept(kept), FEATURE_BLOCKS, self.unfrozen), weights)

    def shown(
        self, tokens: Tokens, rows: NDArray[np.intp], looks: NDArray[np.intp], kept: float, rng: np.random.Generator
    ) -> Sequence[NDArray[np.float32]]:
        """Tokens of some patches, drawn anew for each photo, and their weights inside the specimen."""
        patches = tokens.inside.shape[-1]
        seen = np.argsort(rng.random((len(rows), patches)), axis=1)[:, : self._kept(kept)]
        each = list(zip(rows, looks, seen, strict=True))
        shown = np.stack([tokens.at(row, look)[np.r_[0, 1 + some]] for row, look, some in each]).astype(np.float32)
        inside = np.stack([tokens.inside[row, look, 1, some] for row, look, some in each]) + _FLOOR
        return shown, inside / inside.sum(axis=1, keepdims=True)

    def features(self, weights: Weights, tokens: Tokens, *, quiet: bool) -> NDArray[np.float32]:
        """By the network in whole numbers, as the bundle has it."""
        ranges = kept_ranges(self.network)
        graph = vit_rest_graph(weights, side=self.side, blocks=FEATURE_BLOCKS, patches=self.patches, ranges=ranges)
        # A photo at a time, as its numbers in 8 bits have one scale for all that runs together.
        session = cpu_session(graph, 1)
        width = int(session.get_outputs()[0].shape[-1])

        def features(row: int) -> NDArray[np.float32]:
            if not tokens.read[row]:
                return np.zeros(width, np.float32)
            given = {"block_tokens": tokens.at(row, 0)[np.newaxis].astype(np.float32), "inside": tokens.inside[row]}
            return np.asarray(session.run(["features"], given)[0][0])

        rows = range(len(tokens.read))
        with ThreadPoolExecutor(processors()) as pool:
            found = list(tqdm(pool.map(features, rows), desc="features", total=len(rows), disable=quiet))
        return np.stack(found)

    def _kept(self, share: float) -> int:
        return max(1, round(share * (self.side // PATCH) ** 2))


def rest_of_vit(tokens: int, blocks: Sequence[int], unfrozen: int = 0) -> keras.Model:
    """Tokens after TOKENS_BLOCK (N, `tokens`, D) and weights of the patches (N, `tokens` - 1), which sum to 1, → the
    features of `vit_backbone`. The last `unfrozen` blocks are trained, nothing else.
    """
    inputs = keras.Input((tokens, WIDTH)), keras.Input((tokens - 1,))
    x, inside = inputs[0], inputs[1][..., None]
    norm = layers.LayerNormalization(epsilon=EPSILON, name="norm")
    found = []
    for number in range(TOKENS_BLOCK, max(blocks) + 1):
        if number > TOKENS_BLOCK:
            x = vit_block(x, tokens, f"block{number:02d}")
        if number in blocks:
            one = norm(x)
            found += [
                one[:, 0],
                ops.mean(one[:, 1:], axis=1),
                ops.sum(one[:, 1:] * ops.cast(inside, one.dtype), axis=1),
            ]
    net = keras.Model(inputs, layers.Concatenate(name="features", dtype="float32")(found))
    trained = {f"block{number:02d}" for number in range(DEPTH - unfrozen, DEPTH)}
    for layer in net.layers:
        layer.trainable = layer.name.partition("_")[0] in trained
    return net
