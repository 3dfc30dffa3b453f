"""What a training needs to go on as if nothing had been: kept at the end of every epoch in one file.

`state.npz` holds the weights (`w0`, `w1`, ...), the optimiser's variables (`o0`, ...), the best weights so far (`b0`,
...) and, as UTF-8 text in `record`, the fingerprint of settings and photos, the finished epochs' figures and what the
callbacks remember. It is written beside its place and renamed: a kill leaves the state of the epoch before.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlens.errors import HandlensError
from handlens.training.arrays import read_arrays

__all__ = ["DiskFullError", "State", "read_state", "write_state"]

FILE: Final = "state.npz"
Arrays = Sequence[NDArray[Any]]


class DiskFullError(HandlensError):
    """The disk has no room for what a training keeps (`disk-full`)."""

    code = "disk-full"


@dataclass(frozen=True, slots=True)
class State:
    """`history`: one mapping an epoch. `callbacks`: attributes by a callback's name. `stopped`: training has ended."""

    fingerprint: str
    weights: Arrays
    optimizer: Arrays
    best: Arrays
    history: tuple[Mapping[str, float], ...]
    callbacks: Mapping[str, Mapping[str, Any]]
    stopped: bool


def write_state(folder: Path, state: State) -> None:
    """Replaces the state in `folder`. Raises DiskFullError; the state before it then stays."""
    record = {
        "fingerprint": state.fingerprint,
        "history": list(state.history),
        "callbacks": state.callbacks,
        "stopped": state.stopped,
        "counts": [len(state.weights), len(state.optimizer), len(state.best)],
    }
    arrays: dict[str, Any] = {
        f"{letter}{number}": value
        for letter, values in (("w", state.weights), ("o", state.optimizer), ("b", state.best))
        for number, value in enumerate(values)
    }
    arrays["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    temporary = folder / f".{FILE}"
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        temporary.replace(folder / FILE)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        done = len(state.history) - 1
        raise DiskFullError(f"{folder}: no space left; the same command goes on after epoch {done}") from error


def read_state(folder: Path) -> State | None:
    """The state in `folder`, or None where there is none or it is damaged."""
    try:
        arrays = read_arrays(folder / FILE)
        record = json.loads(arrays["record"].tobytes())
        weights, optimizer, best = (
            [arrays[f"{letter}{number}"] for number in range(count)]
            for letter, count in zip("wob", record["counts"], strict=True)
        )
        return State(
            fingerprint=record["fingerprint"],
            weights=weights,
            optimizer=optimizer,
            best=best,
            history=tuple(record["history"]),
            callbacks=record["callbacks"],
            stopped=record["stopped"],
        )
    except (KeyError, ValueError, TypeError):
        return None
