"""The history of a training, epoch by epoch, as `history.csv` has it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlens.errors import HandlensError

__all__ = ["BadHistoryError", "Curve", "read_curve"]

_COLUMNS: Final = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


class BadHistoryError(HandlensError):
    """The history of a training cannot be read (`bad-history`)."""

    code = "bad-history"


@dataclass(frozen=True, slots=True)
class Curve:
    """One training by epoch: losses in nats, accuracies as shares. Without a validation part its figures are NaN."""

    name: str
    epochs: tuple[int, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    val_loss: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    learning_rate: tuple[float, ...]


def read_curve(path: Path, name: str) -> Curve:
    """The history.csv of a training. Cells of validation may be empty. Raises BadHistoryError."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True))
    except OSError as error:
        raise BadHistoryError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise BadHistoryError(f"{path}: is not a CSV file: {error}") from error
    if not rows:
        raise BadHistoryError(f"{path}: there is no epoch in it")
    epochs: list[int] = []
    values: dict[str, list[float]] = {column: [] for column in _COLUMNS[1:]}
    for number, row in enumerate(rows, start=1):
        try:
            epochs.append(int(row["epoch"]))
            for column, found in values.items():
                cell = row[column]
                found.append(math.nan if cell == "" and column.startswith("val_") else float(cell))
        except (KeyError, TypeError, ValueError):
            raise BadHistoryError(
                f"{path}: row {number} is damaged: it needs numbers for {', '.join(_COLUMNS)}"
            ) from None
        if len(epochs) > 1 and epochs[-1] <= epochs[-2]:
            raise BadHistoryError(f"{path}: row {number} is damaged: epoch {epochs[-1]} follows epoch {epochs[-2]}")
    return Curve(name, tuple(epochs), **{column: tuple(found) for column, found in values.items()})
