"""What a search for hyperparameters found, as data and as tables."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from typing import Any

from handlens.evaluation.metrics import wilson_interval
from handlens.evaluation.tables import percent, table
from handlens.training.fitting.settings import FitSettings

__all__ = ["Search", "Trial", "trials_csv", "trials_markdown"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of hyperparameters and what came of it.

    `number`: 1, 2, ... in the order of the search. `rate`: learning rate, searched or not. `cross_entropy`: the
    objective, in nats a validation photo, without penalties. `best_epoch`: whose weights are kept. A trial that
    `diverged` has no figures: they are None.
    """

    number: int
    l2: float
    dropout: float
    rate: float
    diverged: bool = False
    cross_entropy: float | None = None
    accuracy: float | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """The trials, the best first, and what they were made from; those that diverged come last."""

    version: str
    machine: str
    settings: FitSettings
    labels: tuple[str, ...]
    trained: int
    validated: int
    unreadable: int
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial | None:
        """The trial of the least cross-entropy, or None where all diverged."""
        return None if self.trials[0].diverged else self.trials[0]

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        return asdict(self)


def trials_csv(found: Search) -> str:
    """A line a trial, the best first; what a trial that diverged lacks is empty."""
    text = io.StringIO()
    rows = [asdict(trial) for trial in found.trials]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def trials_markdown(found: Search) -> str:
    """One table and how to read it; accuracy is in percent."""
    settings = found.settings
    return (
        "\n\n".join(
            (
                f"# Search for hyperparameters of {settings.network}",
                f"{len(found.labels)} labels, {found.trained} photos to train on and {found.validated} of other groups "
                f"to validate on; at most {settings.epochs} epochs a trial, patience {settings.patience}, seed "
                f"{settings.seed}. {found.unreadable} photos could not be read. Handlens {found.version}; "
                f"{found.machine}.",
                table(
                    (
                        "trial",
                        "L2",
                        "dropout",
                        "rate",
                        "cross-entropy",
                        "accuracy",
                        "best epoch",
                        "epochs",
                        "seconds",
                    ),
                    [_row(trial) for trial in found.trials],
                ),
                _read(found),
            )
        )
        + "\n"
    )


def _row(trial: Trial) -> tuple[object, ...]:
    chosen = (trial.number, f"{trial.l2:.5f}", f"{trial.dropout:g}", f"{trial.rate:.2g}")
    if trial.diverged:
        return (*chosen, "diverged", "-", "-", "-", "-")
    return (
        *chosen,
        f"{trial.cross_entropy:.4f}",
        percent(trial.accuracy),
        trial.best_epoch,
        trial.epochs,
        f"{trial.seconds:.0f}",
    )


def _read(found: Search) -> str:
    best = found.best
    if best is None or best.accuracy is None:
        return "Every trial diverged: the rate is too high."
    low, high = wilson_interval(round(best.accuracy * found.validated), found.validated)
    return (
        "Trials are in the order of the cross-entropy of the validation photos, without the penalty that the loss of "
        f"a training holds: it is another with every L2. The best trial's accuracy is {percent(best.accuracy)} % of "
        f"{found.validated} photos, {percent(low)} to {percent(high)} % at 95 %: accuracies that close are not told "
        "apart. The same photos choose epoch and trial, so none of these figures is one of photos not seen."
    )
