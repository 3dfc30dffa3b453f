"""EfficientNet-Lite: all before the last blocks is left as it is; a step sees whole looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.training.classifier import as_onnx
from handlens.training.lite import lite_backbone
from handlens.training.tuning.tokens import Tokens
from handlens.training.tuning.trunk import Weights, filled
from handlens.training.weights import weights_digest

__all__ = ["LiteTrunk"]

_TOGETHER: Final = 64
"""Photos whose features are taken together."""


@dataclass(frozen=True, slots=True)
class LiteTrunk:
    """See `trunk.Trunk`. What is kept of a look is the map after its last frozen block, (P, C) for its P places."""

    network: str
    side: int
    unfrozen: int

    def identity(self, *, training: bool) -> str:  # noqa: ARG002 - both are in full precision
        """Depends on where it is cut."""
        return f"{weights_digest(self.network)}:without-last-{self.unfrozen}"

    def frozen(self, weights: Weights, *, training: bool) -> bytes:  # noqa: ARG002
        """Up to the cut."""
        net = filled(lite_backbone(self.network, side=self.side), weights)
        cut = self._cut(net)
        row = layers.Reshape((-1, cut.shape[-1]), name="in_a_row")(cut)
        return as_onnx(keras.Model(net.input, {"block_tokens": row}, name=self.network))

    def rest(self, weights: Weights, kept: float) -> keras.Model:  # noqa: ARG002 - no place can be left out
        """Behind the cut."""
        net = filled(lite_backbone(self.network, side=self.side), weights)
        # In the precision of training the mean over places would be rounded.
        behind = keras.Model(self._cut(net), layers.Activation("linear", dtype="float32")(net.output))
        for layer in behind.layers:
            # In half precision, convolutions of single channels take many times as long.
            if isinstance(layer, layers.DepthwiseConv2D):
                layer.dtype_policy = keras.DTypePolicy("float32")
        return behind

    def shown(
        self,
        tokens: Tokens,
        rows: NDArray[np.intp],
        looks: NDArray[np.intp],
        kept: float,  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Sequence[NDArray[np.float32]]:
        """The maps, (N, H, W, C)."""
        flat = np.stack([tokens.at(row, look) for row, look in zip(rows, looks, strict=True)]).astype(np.float32)
        side = math.isqrt(flat.shape[1])
        return (flat.reshape(len(flat), side, side, -1),)

    def features(self, weights: Weights, tokens: Tokens, *, quiet: bool) -> NDArray[np.float32]:
        """In full precision."""
        net, never = self.rest(weights, 1.0), np.random.default_rng(0)
        found = np.zeros((len(tokens.read), int(net.output_shape[-1])), np.float32)
        places = np.flatnonzero(tokens.read)
        for start in tqdm(range(0, len(places), _TOGETHER), desc="features", unit="batch", disable=quiet):
            rows = places[start : start + _TOGETHER]
            found[rows] = net(*self.shown(tokens, rows, np.zeros_like(rows), 1.0, never), training=False)
        return found

    def _cut(self, net: keras.Model) -> keras.KerasTensor:
        """What comes out of the last frozen block."""
        names = [layer.name for layer in net.layers if layer.name.startswith("block")]
        last = f"block{int(names[-1][5:7]) - self.unfrozen:02d}"
        return net.get_layer([name for name in names if name.startswith(last)][-1]).output
