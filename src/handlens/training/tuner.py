"""KerasTuner's random search over trainings that go on after a kill.

Its project folder can be killed at any moment, too. Trials are a function of the seed, so where its files are damaged
the search begins anew: the same trials come again, and those that are trained already answer at once.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus
from numpy.typing import NDArray

from handlens.training.fitting.loop import DivergedError, Fitted, fit, logits_of
from handlens.training.fitting.parts import label_columns
from handlens.training.fitting.pictures import Pictures
from handlens.training.fitting.settings import FitSettings
from handlens.training.trials import Trial

__all__ = ["Part", "search_trials"]

_OBJECTIVE: Final = "cross_entropy"
_PROJECT: Final = "keras-tuner"
_L2, _DROPOUT, _RATE = (1e-3, 1e-2), (0.3, 0.4, 0.5), (1e-4, 3e-3)


@dataclass(frozen=True, slots=True)
class Part:
    """Pictures, and the places of those to train on and of those to validate on."""

    pictures: Pictures
    train: NDArray[np.intp]
    valid: NDArray[np.intp]


def search_trials(
    folder: Path, part: Part, settings: FitSettings, trials: int, *, search_rate: bool, quiet: bool
) -> list[Trial]:
    """The first `trials` trials of the search in `folder`, in their order, those that are missing trained first."""

    def tuner(*, overwrite: bool) -> _Tuner:
        oracle = _Oracle(
            objective=keras_tuner.Objective(_OBJECTIVE, "min"),
            max_trials=trials,
            hyperparameters=_space(search_rate),
            seed=1 + 1000 * settings.seed,  # it draws one for 0, and counts up from it for every value
            max_consecutive_failed_trials=trials + 1,  # that a rate diverges is a result
        )
        oracle.verbose = 0
        with contextlib.redirect_stdout(io.StringIO()):  # it says where it reads from
            return _Tuner(oracle, folder, part, settings, overwrite=overwrite, quiet=quiet)

    try:
        search = tuner(overwrite=False)
    except (ValueError, KeyError, TypeError, RuntimeError):  # killed while it wrote
        search = tuner(overwrite=True)
    search.save()  # by itself only after the first trial
    try:
        search.search()
    except keras_tuner.errors.FatalError as error:
        raise (error.__cause__ or error) from None
    found = [search.oracle.trials[name] for name in sorted(search.oracle.trials, key=int)]
    return [_trial(one, settings) for one in found[:trials]]


def _space(search_rate: bool) -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    space.Float("l2", *_L2, sampling="log")
    space.Choice("dropout", list(_DROPOUT))
    if search_rate:
        space.Float("rate", *_RATE, sampling="log")
    return space


class _Oracle(keras_tuner.oracles.RandomSearchOracle):
    def reload(self) -> None:
        super().reload()
        # A kill between the files of a new trial and of the oracle leaves one that nobody would ever run. The oracle
        # draws it again.
        for name in self.trials.keys() - set(self.start_order):
            del self.trials[name]


class _Tuner(BaseTuner):
    """Trains a trial in a folder of its own, outside of KerasTuner's."""

    def __init__(
        self,
        oracle: _Oracle,
        folder: Path,
        part: Part,
        settings: FitSettings,
        *,
        overwrite: bool,
        quiet: bool,
    ) -> None:
        self._folder, self._part, self._settings, self._quiet = folder, part, settings, quiet
        super().__init__(oracle, directory=str(folder), project_name=_PROJECT, overwrite=overwrite)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Figures of the trial by name. What stops the search leaves it as a FatalError, which KerasTuner lets through:
        any other error it would take for a failure of the trial.
        """
        settings = self._settings.but(**trial.hyperparameters.values)
        folder = self._folder / f"trial-{int(trial.trial_id) + 1:02d}"
        part = self._part
        try:
            done = fit(folder, part.pictures, part.train, part.valid, settings, quiet=self._quiet)
            return _figures(done, part)
        except DivergedError as error:
            raise keras_tuner.errors.FailedTrialError(error.detail) from error
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error


def _figures(done: Fitted, part: Part) -> dict[str, float]:
    logits = logits_of(done.net, part.pictures, part.valid).astype(np.float64)
    truth = label_columns([part.pictures.samples[place] for place in part.valid], done.labels)
    rest = logits - logits.max(axis=1, keepdims=True)
    nats = np.log(np.exp(rest).sum(axis=1)) - rest[np.arange(len(truth)), truth]
    return {
        _OBJECTIVE: float(nats.mean()),
        "accuracy": float(np.mean(logits.argmax(axis=1) == truth)),
        "best_epoch": done.record["best_epoch"],
        "epochs": done.record["epochs"],
        "seconds": done.record["seconds"],
    }


def _trial(one: Any, settings: FitSettings) -> Trial:
    number, values = int(one.trial_id) + 1, one.hyperparameters.values
    chosen = (number, values["l2"], values["dropout"], values.get("rate", settings.rate))
    if one.status != TrialStatus.COMPLETED:
        return Trial(*chosen, diverged=True)
    figures = {name: one.metrics.get_last_value(name) for name in one.metrics.metrics}
    return Trial(
        *chosen,
        cross_entropy=float(figures[_OBJECTIVE]),
        accuracy=float(figures["accuracy"]),
        best_epoch=int(figures["best_epoch"]),
        epochs=int(figures["epochs"]),
        seconds=float(figures["seconds"]),
    )
