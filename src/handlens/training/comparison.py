"""What a comparison of networks found, as data, as a table and as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handlens.evaluation.curves import Curve
from handlens.evaluation.figures import write_figures
from handlens.evaluation.paired import Difference
from handlens.evaluation.tables import percent, table
from handlens.evaluation.training_plots import ComparisonRow, comparison_bars, comparison_curves
from handlens.training.fitting.settings import FitSettings

__all__ = ["Compared", "Comparison", "comparison_markdown", "comparison_plots"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One network: its weights, shares from 0 to 1 of the held-out photos, and what it costs.

    `epochs`, `seconds`: of one training, the mean over the folds. `megabytes`: 10^6 bytes of its ONNX file in float32.
    `milliseconds`: median of a photo in ONNX Runtime, one a call. `behind`: how much better the best network's top-1
    is, or None for the best itself.
    """

    network: str
    parameters: int
    top1: float
    balanced: float
    macro_f1: float
    seconds: float
    epochs: float
    megabytes: float
    milliseconds: float
    behind: Difference | None

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Compared:
        """Reads what `asdict` made. Raises TypeError for other keys, KeyError."""
        behind = stored["behind"]
        return cls(**{**stored, "behind": None if behind is None else Difference(**behind)})


@dataclass(frozen=True, slots=True)
class Comparison:
    """The networks in the order asked for, and what they were compared by.

    `identity`: digest of data, protocol and settings. `unreadable`: photos left out.
    """

    identity: str
    version: str
    machine: str
    protocol: str
    labels: tuple[str, ...]
    photos: int
    unreadable: int
    folds: tuple[str, ...]
    settings: tuple[FitSettings, ...]
    networks: tuple[Compared, ...]

    @property
    def best(self) -> Compared:
        """The network that names most photos rightly."""
        return next(row for row in self.networks if row.behind is None)

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Comparison:
        """Reads what `as_dict` wrote, from JSON too. Raises TypeError, KeyError, HandlensError for settings."""
        read = {
            "labels": tuple(stored["labels"]),
            "folds": tuple(stored["folds"]),
            "settings": tuple(FitSettings.from_dict(one) for one in stored["settings"]),
            "networks": tuple(Compared.from_dict(row) for row in stored["networks"]),
        }
        return cls(**{**stored, **read})


def comparison_markdown(found: Comparison) -> str:
    """One table and how to read it; shares are in percent."""
    best, first = found.best, found.settings[0]
    others = [row.network for row in found.networks if row.behind is not None and not row.behind.told_apart]
    alike = (
        f"By these photos {best.network} cannot be told apart from {' and '.join(others)}."
        if others
        else f"{best.network} is better than every other by more than chance."
    )
    return (
        "\n\n".join(
            (
                "# Comparison of networks",
                f"{len(found.labels)} labels, {found.photos} photos judged, {found.protocol}: each photo by a training "
                f"that saw neither it nor its group. Every training had at most {first.epochs} epochs, patience "
                f"{first.patience} and seed {first.seed}. {found.unreadable} photos could not be read. "
                f"Handlens {found.version}; {found.machine}.",
                table(
                    (
                        "network",
                        "parameters",
                        "top-1",
                        "behind the best",
                        "balanced",
                        "macro-F1",
                        "training, s",
                        "epochs",
                        "size, MB",
                        "ms a photo",
                    ),
                    [_row(row) for row in found.networks],
                ),
                f"{alike} Behind the best: points of top-1 and their interval by a bootstrap over groups, 95 % for "
                "all intervals together; one that reaches 0 may be chance. It does not hold what another seed would "
                "change. Seconds and epochs are those of one training, the mean over the folds; the size is that of "
                "the ONNX file in float32, the time the median in ONNX Runtime with one photo a call.",
            )
        )
        + "\n"
    )


def comparison_plots(folder: Path, found: Comparison, curves: Mapping[str, Sequence[Curve]]) -> None:
    """Draws bars and learning curves into `folder`, as SVG and PNG. Raises OSError."""
    rows = [
        ComparisonRow(
            name=row.network,
            parameters=row.parameters,
            accuracy=row.top1,
            macro_f1=row.macro_f1,
            balanced=row.balanced,
            seconds=row.seconds,
            megabytes=row.megabytes,
            milliseconds=row.milliseconds,
            epochs=row.epochs,
        )
        for row in found.networks
    ]
    write_figures(folder, {"comparison": comparison_bars(rows), "learning-curves": comparison_curves(curves)})


def _row(row: Compared) -> tuple[object, ...]:
    behind = row.behind
    told = "-" if behind is None else f"{percent(behind.share)} ({percent(behind.low)} to {percent(behind.high)})"
    return (
        row.network,
        f"{row.parameters:,}",
        percent(row.top1),
        told,
        percent(row.balanced),
        percent(row.macro_f1),
        f"{row.seconds:.0f}",
        f"{row.epochs:.1f}",
        f"{row.megabytes:.2f}",
        f"{row.milliseconds:.2f}",
    )
