"""A random search for hyperparameters with KerasTuner, as the origin of this project made it: `handlens tune`.

On disk, in the folder of a search:

    search.json        what is searched and from which photos; a search of something else is refused
    keras-tuner/       KerasTuner's own project folder
    trial-01/ ...      one training each (see `fitting.loop`); a killed search goes on inside the epochs of its trial
    pictures/          kept pictures of every photo (see `fitting.pictures`)
    trials.csv, trials.md, trials.json    the trials, the best first; written last

The objective is the cross-entropy of validation photos by the kept weights. The validation loss of Keras holds the
penalty, so trials with a smaller L2 would win by it alone; accuracy of a hundred photos has ties.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from handlens._version import __version__
from handlens.dataset.files import write_atomically
from handlens.errors import UsageError
from handlens.evaluation.machine import machine
from handlens.training.fitting.loop import OtherTrainingError
from handlens.training.fitting.parts import VALIDATION, split_places
from handlens.training.fitting.settings import FitSettings
from handlens.training.networks import network
from handlens.training.pictures_run import PictureData
from handlens.training.samples import digest
from handlens.training.series import folder_of_series, series_pictures
from handlens.training.trials import Search, Trial, trials_csv, trials_markdown
from handlens.training.tuner import Part, search_trials

__all__ = ["tune"]

_SEARCH: Final = "search.json"


def tune(
    source: Path,
    folder: Path,
    settings: FitSettings,
    *,
    trials: int = 10,
    search_rate: bool = False,
    quiet: bool = False,
) -> Search:
    """Trains `trials` networks that differ in L2 (0.001 to 0.01) and dropout (0.3, 0.4, 0.5), and writes the tables.

    `settings`: all else; `search_rate`: learning rates from 0.0001 to 0.003 are searched too. All trials are trained on
    one part of the split "train" of `source` and judged by another, see `fitting.parts.split_places`. A finished search
    can be gone on with by asking for more trials. Raises UsageError, also for a network without these hyperparameters;
    OtherTrainingError where `folder` holds another search; BadSamplesError, BadRunError, and what `fitting.loop.fit`
    raises, other than DivergedError: a trial that diverges is listed as such.
    """
    if trials < 1:
        raise UsageError(f"trials is {trials}: it must be 1 or more")
    if network(settings.network).pretrained:
        raise UsageError(f"{settings.network} has no penalty on convolutions to search: choose cnn-1, -2, -3 or -final")
    for name in ("l2", "dropout", *(("rate",) if search_rate else ())):
        if getattr(settings, name) != getattr(FitSettings(settings.network), name):
            raise UsageError(f"{name} is searched: it cannot be given")
    folder_of_series(folder)
    data = series_pictures(source, ("train", VALIDATION), settings, folder, quiet=quiet)
    part = Part(data.pictures, *split_places(data.samples, settings))
    _claim(folder, data, settings, search_rate)
    found = search_trials(folder, part, settings, trials, search_rate=search_rate, quiet=quiet)
    search = Search(
        version=__version__,
        machine=machine(),
        settings=settings,
        labels=tuple(sorted({data.samples[place].label for place in part.train})),
        trained=len(part.train),
        validated=len(part.valid),
        unreadable=len(data.failures),
        trials=tuple(_sorted(found)),
    )
    write_atomically(folder / "trials.csv", trials_csv(search))
    write_atomically(folder / "trials.md", trials_markdown(search))
    write_atomically(folder / "trials.json", json.dumps(search.as_dict(), indent=1, ensure_ascii=False) + "\n")
    return search


def _claim(folder: Path, data: PictureData, settings: FitSettings, search_rate: bool) -> None:
    """Says in the folder what is searched there. Raises OtherTrainingError where it is something else."""
    claim: dict[str, Any] = {
        "settings": json.loads(json.dumps(settings.as_dict())),
        "search_rate": search_rate,
        "data_digest": digest(data.samples),
    }
    path = folder / _SEARCH
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        write_atomically(path, json.dumps(claim, indent=1, ensure_ascii=False) + "\n")
        return
    except ValueError:
        there = None
    if there != claim:
        raise OtherTrainingError(f"{folder}: a search with other settings or photos was begun here")


def _sorted(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(
        trials, key=lambda trial: (np.inf if trial.cross_entropy is None else trial.cross_entropy, trial.number)
    )
