"""How far a photo is from all that the labels show: from its embedding, no I/O.

Two things are told apart. What is no mineral specimen at all has an embedding far outside those of specimens, beside
the directions in which they differ: the residual of Wang et al., "ViM: Out-Of-Distribution with Virtual-logit Matching"
(CVPR 2022). A specimen of a mineral that is no label looks like one of those that are; it is told only by a linear
score that has seen others such: outlier exposure, Hendrycks, Mazeika and Dietterich (ICLR 2019).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIRECTIONS_FILE", "SCALES_FILE", "BadOpenSetError", "Novelty", "OpenSet"]

DIRECTIONS_FILE: Final = "open_set_directions.npy"
SCALES_FILE: Final = "open_set_scales.npy"
_ROWS: Final = 3
"""Of the scales: mean, deviation, and the weights of the linear score."""
_LEAST: Final = 1e-12
_DIGITS: Final = 9


class BadOpenSetError(ValueError):
    """The stored statistics are damaged or contradict the network."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """Two probabilities, 0 to 1: `far`, that a photo shows no mineral specimen, and `near`, that it shows one of a
    mineral that is no label.
    """

    far: float
    near: float

    @property
    def unknown(self) -> float:
        """That it shows no label, for either reason."""
        return 1 - (1 - self.far) * (1 - self.near)

    @classmethod
    def of_photos(cls, several: Sequence[Novelty]) -> Novelty:
        """The mean over the photos of one specimen."""
        count = len(several)
        return cls(sum(one.far for one in several) / count, sum(one.near for one in several) / count)

    def as_dict(self) -> dict[str, float]:
        """To 9 significant digits, so that weighing anew from them is exact to more than answers are rounded to."""
        return {"far": float(f"{self.far:.{_DIGITS}g}"), "near": float(f"{self.near:.{_DIGITS}g}")}


@dataclass(frozen=True, slots=True)
class OpenSet:
    """What a bundle knows of embeddings (D,): their `mean` and `deviation` (D,), the `directions` (k, D), orthonormal,
    in which standardised ones differ most, and `weights` (D,) with `bias` of the linear score, zero and minus infinity
    where no unknown mineral was there to learn from.

    `centre`: the logarithm of the mean squared residual at which a photo is as likely no specimen as one; `width`: by
    how much it rises until it is e times as likely.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    directions: NDArray[np.float32]
    centre: float
    width: float
    weights: NDArray[np.float32]
    bias: float

    def novelty(self, embedding: NDArray[np.floating]) -> Novelty:
        """Of one photo's embedding (D,)."""
        shown = self.standardised(embedding[np.newaxis])
        far = _logistic((float(self.residual(shown)[0]) - self.centre) / self.width)
        near = _logistic(float(shown[0] @ self.weights.astype(np.float64)) + self.bias)
        return Novelty(far, near)

    def standardised(self, embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, D) → (n, D)."""
        return (embeddings.astype(np.float64) - self.mean) / self.deviation

    def residual(self, shown: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardised (n, D) → logarithm of the mean square of what lies beside the directions, (n,)."""
        # Not `@`: threads of BLAS wait for more work after every product, and take the processors from the network.
        # Nor does this need a copy of the directions in double precision.
        inner = np.einsum("nd,kd->nk", shown, self.directions)
        beside = (np.square(shown).sum(axis=1) - np.square(inner).sum(axis=1)) / shown.shape[1]
        return np.asarray(np.log(np.maximum(beside, _LEAST)))

    def files(self) -> dict[str, bytes]:
        """Its arrays as a bundle has them: directions in half precision."""
        scales = np.stack([self.mean, self.deviation, self.weights]).astype(np.float32)
        return {DIRECTIONS_FILE: _bytes(self.directions.astype(np.float16)), SCALES_FILE: _bytes(scales)}

    def numbers(self) -> dict[str, Any]:
        """Its other part, for bundle.json."""
        exposed = math.isfinite(self.bias)
        return {
            "score": "residual and exposure" if exposed else "residual",
            "residual": {"centre": round(self.centre, 6), "width": round(self.width, 6)},
        } | ({"exposure": {"bias": round(self.bias, 6)}} if exposed else {})

    @classmethod
    def read(cls, numbers: Mapping[str, Any], files: Mapping[str, bytes]) -> OpenSet | None:
        """From `open_set` of bundle.json and the bundle's files; None where they say that there is none.

        Raises BadOpenSetError.
        """
        if "residual" not in numbers:
            return None
        for name in (DIRECTIONS_FILE, SCALES_FILE):
            if name not in files:
                raise BadOpenSetError(f"{name} is missing, which the unknown score needs")
        directions, scales = _array(DIRECTIONS_FILE, files), _array(SCALES_FILE, files)
        if scales.shape[0] != _ROWS or scales.shape[1:] != directions.shape[1:] or not len(directions):
            raise BadOpenSetError(f"{DIRECTIONS_FILE} {directions.shape} and {SCALES_FILE} {scales.shape} do not fit")
        mean, deviation, weights = scales
        centre, width = _number(numbers["residual"], "centre"), _number(numbers["residual"], "width")
        bias = _number(numbers["exposure"], "bias") if "exposure" in numbers else -math.inf
        if not (width > 0 and (deviation > 0).all()):
            raise BadOpenSetError("the width and the deviations of the unknown score must be more than 0")
        return cls(mean, deviation, directions, centre, width, weights, bias)


def _logistic(x: float) -> float:
    power = math.exp(-abs(x))  # never overflows
    return 1 / (1 + power) if x >= 0 else power / (1 + power)


def _bytes(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _array(name: str, files: Mapping[str, bytes]) -> NDArray[np.float32]:
    """A finite float matrix of the file, float32."""
    try:
        array = np.lib.format.read_array(io.BytesIO(files[name]))  # refuses objects by itself
    except (ValueError, EOFError, MemoryError, OverflowError, SyntaxError, TypeError, OSError) as error:
        raise BadOpenSetError(f"{name} cannot be read: {error}") from error
    if array.ndim != 2 or array.dtype.kind != "f":
        raise BadOpenSetError(f"{name} is no matrix of numbers")
    if not np.isfinite(array).all():
        raise BadOpenSetError(f"{name} holds values that are no numbers")
    return array.astype(np.float32)


def _number(numbers: Mapping[str, Any], key: str) -> float:
    value = numbers[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadOpenSetError(f"the unknown score's {key} {value!r} is no number")
    return float(value)
