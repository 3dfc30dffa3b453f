"""More looks at a photo than the network takes by itself: slower answers that are right more often. No I/O.

A bundle whose network looks at one view may bring linear heads for others. Each view goes through the network alone;
its head reads the embedding, and the logits of all views are averaged, the network's own among them.
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
_MOST_VIEWS: Final = 4


class BadThoroughError(ValueError):
    """The stored heads are damaged or contradict the network."""


@dataclass(frozen=True, slots=True)
class Thorough:
    """`preprocessing`: the network's own view, then K others. `heads` (K, D + 1, labels): weights of the embedding and,
    in the last row, biases. `scale`: what the averaged logits are multiplied with, so that the bundle's temperature
    fits them, too.
    """

    preprocessing: Preprocessing
    heads: NDArray[np.float32]
    scale: float

    def logits(self, own: NDArray[np.floating], embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
        """(labels,) from the network's own logits (labels,) and the embeddings (K, D) of the other views."""
        # Not `@`: threads of BLAS wait for more work after every product, and take the processors from the network.
        others = np.einsum("kd,kdl->kl", embeddings, self.heads[:, :-1]) + self.heads[:, -1]
        return np.asarray(self.scale * np.concatenate([own[np.newaxis], others]).mean(axis=0), np.float32)

    def files(self) -> dict[str, bytes]:
        """Its array as a bundle has it, in half precision."""
        file = io.BytesIO()
        np.save(file, self.heads.astype(np.float16))
        return {HEADS_FILE: file.getvalue()}

    def numbers(self) -> dict[str, Any]:
        """Its other part, for bundle.json."""
        return {"views": self.preprocessing.as_dict()["views"][1:], "scale": round(self.scale, 6)}

    @classmethod
    def read(cls, numbers: Mapping[str, Any], files: Mapping[str, bytes], own: Preprocessing) -> Thorough:
        """From `thorough` of bundle.json, the bundle's files and its preprocessing.

        Raises BadThoroughError; BadPreprocessingError for views that make no sense.
        """
        stored = own.as_dict()
        if len(stored["views"]) != 1:
            raise BadThoroughError("a network with more than one view of its own cannot look at others")
        scale = numbers["scale"]
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not (math.isfinite(scale) and scale > 0):
            raise BadThoroughError(f"the scale of the thorough logits {scale!r} is no number above 0")
        preprocessing = Preprocessing.from_dict(stored | {"views": [*stored["views"], *numbers["views"]]})
        count = len(preprocessing.views) - 1
        if not 1 <= count <= _MOST_VIEWS:
            raise BadThoroughError(f"{count} more views: there must be 1 to {_MOST_VIEWS}")
        if preprocessing.needs_specimen != own.needs_specimen:
            raise BadThoroughError("the other views need to know where the specimen is, the network's own does not")
        return cls(preprocessing, _heads(files, count), float(scale))


def _heads(files: Mapping[str, bytes], count: int) -> NDArray[np.float32]:
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
    return array.astype(np.float32)
