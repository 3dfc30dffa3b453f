"""More looks at a photo than the network takes by itself: slower answers that are right more often. No I/O.

A bundle may name more views, each look as many as its network takes; they may be larger than the network's own, where
its graph takes views of any size, and then stand in for them. Each look goes through the network alone, and the logits
of all looks are averaged, the network's own among them where nothing stands in for it. Where the bundle brings linear
heads for the other looks, those read the embedding in place of the network's head.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlens.views import Preprocessing

__all__ = ["HEADS_FILE", "BadThoroughError", "Thorough"]

HEADS_FILE: Final = "thorough_heads.npy"
_MOST_LOOKS: Final = 4


class BadThoroughError(ValueError):
    """The stored heads are damaged or contradict the network."""


@dataclass(frozen=True, slots=True)
class Thorough:
    """`preprocessing`: the views of K other looks. `heads` (K, D + 1, labels): weights of the embedding and, in the
    last row, biases; None where the network's own head is used. `scale`: what the averaged logits are multiplied with,
    so that the bundle's temperature fits them, too. `taken`: how many views a look has. `instead`: the logits of the
    network's own look do not count.
    """

    preprocessing: Preprocessing
    heads: NDArray[np.floating] | None
    scale: float
    taken: int = 1
    instead: bool = False

    def logits(
        self, own: NDArray[np.floating], others: NDArray[np.floating], embeddings: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """(labels,) from the network's own logits (labels,), and its logits (K, labels) and embeddings (K, D) of the
        other looks.
        """
        if self.heads is not None:
            # Not `@`: threads of BLAS wait for more work after every product, and take the processors from the network.
            # In half precision until they are asked for: most runs open a bundle for a usual look.
            heads = self.heads.astype(np.float32)
            others = np.einsum("kd,kdl->kl", embeddings, heads[:, :-1]) + heads[:, -1]
        counting = others if self.instead else np.concatenate([own[np.newaxis], others])
        return np.asarray(self.scale * counting.mean(axis=0), np.float32)

    def files(self) -> dict[str, bytes]:
        """Its array as a bundle has it, in half precision, where it has one."""
        if self.heads is None:
            return {}
        file = io.BytesIO()
        np.save(file, self.heads.astype(np.float16))
        return {HEADS_FILE: file.getvalue()}

    def numbers(self) -> dict[str, Any]:
        """Its other part, for bundle.json."""
        own = ({"own_head": True} if self.heads is None else {}) | ({"instead": True} if self.instead else {})
        stored = self.preprocessing.as_dict()
        return {"side": stored["side"], "views": stored["views"], "scale": round(self.scale, 6)} | own

    @classmethod
    def read(cls, numbers: Mapping[str, Any], files: Mapping[str, bytes], own: Preprocessing) -> Thorough:
        """From `thorough` of bundle.json, the bundle's files and its preprocessing. Without a side, views have that of
        the network's own.

        Raises BadThoroughError; BadPreprocessingError for views that make no sense.
        """
        stored, taken = own.as_dict(), len(own.views)
        scale = numbers["scale"]
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not (math.isfinite(scale) and scale > 0):
            raise BadThoroughError(f"the scale of the thorough logits {scale!r} is no number above 0")
        side = numbers.get("side", own.side)
        preprocessing = Preprocessing.from_dict(stored | {"side": side, "views": [*numbers["views"]]})
        count, rest = divmod(len(preprocessing.views), taken)
        if rest or not 1 <= count <= _MOST_LOOKS:
            raise BadThoroughError(
                f"{len(preprocessing.views)} more views: there must be those of 1 to {_MOST_LOOKS} looks, "
                f"{taken} of each"
            )
        if preprocessing.needs_specimen and not own.needs_specimen:
            raise BadThoroughError("the other views need to know where the specimen is, the network's own does not")
        if not isinstance(instead := numbers.get("instead", False), bool):
            raise BadThoroughError(f"whether other looks stand in for the network's own is {instead!r}")
        heads = None if numbers.get("own_head", False) is True else _heads(files, count)
        return cls(preprocessing, heads, float(scale), taken, instead)


def _heads(files: Mapping[str, bytes], count: int) -> NDArray[np.floating]:
    if HEADS_FILE not in files:
        raise BadThoroughError(f"{HEADS_FILE} is missing, which more views need")
    try:
        array = np.lib.format.read_array(io.BytesIO(files[HEADS_FILE]))  # refuses objects by itself
    except (ValueError, EOFError, MemoryError, OverflowError, SyntaxError, TypeError, OSError) as error:
        raise BadThoroughError(f"{HEADS_FILE} cannot be read: {error}") from error
    if array.ndim != 3 or array.dtype.kind != "f" or len(array) != count:
        raise BadThoroughError(f"{HEADS_FILE} is no head for each of {count} views")
    if not np.isfinite(array).all():
        raise BadThoroughError(f"{HEADS_FILE} holds values that are no numbers")
    return array
