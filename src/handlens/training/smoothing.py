"""What makes a transformer bear 8 bits: smoother scales, and outliers apart.

A few channels of what is multiplied into a matrix are far larger than the others, and with one scale for all of them
the others are left with few steps. Behind a normalisation each channel is divided by a factor, in the normalisation
itself, and its row of the matrix multiplied with it: nothing that the network says changes, but the steps go round.
Source: G. Xiao et al., "SmoothQuant" (ICML 2023).

Behind a GELU there is nothing that could take the factor. There the largest channels come first (`ordered`), and what
they have beyond the others is multiplied apart, in single precision. Source: T. Dettmers et al., "LLM.int8()" (NeurIPS
2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["GELU", "MATRIX_BEHIND", "Ranges", "ordered", "smoothed"]

Ranges = Mapping[str, NDArray[np.float32]]
"""By `block<number>_<norm1, norm2 or gelu>` the largest magnitude (D,) of each channel that comes out of it over some
photos."""
MATRIX_BEHIND: Final = {"norm1": "qkv", "norm2": "up"}
"""The matrix that each of a block's normalisations leads to."""
GELU: Final = "gelu"
_POWER: Final = 0.75
"""How much of the unevenness the matrix takes over; 1 would be all."""
_LEAST: Final = 1e-5


def smoothed(weights: Mapping[str, NDArray[np.float32]], ranges: Ranges) -> dict[str, NDArray[np.float32]]:
    """The same network with the channels of the normalisations in `ranges` evened out; `weights` by
    `<layer>/<variable>`.
    """
    found = dict(weights)
    for norm, largest in ranges.items():
        block, _, which = norm.partition("_")
        if which not in MATRIX_BEHIND:
            continue
        kernel = f"{block}_{MATRIX_BEHIND[which]}/kernel"
        rows = np.abs(weights[kernel]).max(axis=1)
        factor = np.maximum(largest, _LEAST) ** _POWER / np.maximum(rows, _LEAST) ** (1 - _POWER)
        factor = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        for part in ("gamma", "beta"):
            found[f"{norm}/{part}"] = weights[f"{norm}/{part}"] / factor
        found[kernel] = weights[kernel] * factor[:, np.newaxis]
    return found


def ordered(weights: Mapping[str, NDArray[np.float32]], ranges: Ranges) -> dict[str, NDArray[np.float32]]:
    """The same network with the channels between the two matrices around a GELU in `ranges` in another order: the
    largest first. `weights` by `<layer>/<variable>`, of whole blocks.
    """
    found = dict(weights)
    for gelu, largest in ranges.items():
        block, _, which = gelu.partition("_")
        if which != GELU or f"{block}_up/kernel" not in weights:
            continue
        order = np.argsort(-largest, kind="stable")
        found[f"{block}_up/kernel"] = weights[f"{block}_up/kernel"][:, order]
        found[f"{block}_up/bias"] = weights[f"{block}_up/bias"][order]
        found[f"{block}_down/kernel"] = weights[f"{block}_down/kernel"][order]
    return found
