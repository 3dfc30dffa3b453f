"""A training run by gradient descent: what `handlens train --method fit` makes, and its networks for held-out folds.

On disk, in the run's folder:

    run.json       settings, labels, counts, digest of the data; written last, so a folder with it is a finished run
    model.keras    the trained network; history.csv, tensorboard/ and fitted.json beside it (see `fitting.loop`)
    pictures/      kept pictures of every photo (see `fitting.pictures`); a killed run goes on from them
    folds/         the networks that `handlens evaluate` trains, one folder a protocol and fold
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.errors import UsageError
from handlens.training.fitting.loop import fit, logits_of
from handlens.training.fitting.parts import VALIDATION, split_places
from handlens.training.fitting.pictures import Pictures, read_pictures
from handlens.training.fitting.settings import FitSettings
from handlens.training.networks import load_network
from handlens.training.run import MODEL_FILE, BadRunError, Run, load_run, write_record
from handlens.training.samples import BadSamplesError, Sample, read_samples

MASKED: Final = "origin-mask"
_LONGEST: Final = 40

__all__ = [
    "MASKED",
    "PictureData",
    "check_labels",
    "fit_run",
    "fold_folder",
    "read_picture_split",
    "run_network",
    "safe_name",
]


@dataclass(frozen=True, slots=True)
class PictureData:
    """Readable samples with their pictures, and what could not be read."""

    pictures: Pictures

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The readable samples."""
        return self.pictures.samples

    @property
    def failures(self) -> tuple[tuple[str, str, str], ...]:
        """Name, code and detail of each photo that could not be read."""
        return self.pictures.failures

    def subset(self, labels: Sequence[str]) -> PictureData:
        """The part with one of `labels`."""
        kept = np.flatnonzero([sample.label in set(labels) for sample in self.samples])
        return PictureData(self.pictures.subset(kept))

    def places(self, settings: FitSettings) -> NDArray[np.intp]:
        """The places of the samples that a run with `settings` is trained on or steered by."""
        return np.flatnonzero([sample.usable or settings.keep_unusable for sample in self.samples])

    def at(self, places: NDArray[np.intp]) -> list[Sample]:
        """The samples at `places`."""
        return [self.samples[place] for place in places]

    def fit_fold(
        self,
        folder: Path,
        places: NDArray[np.intp],
        judged: NDArray[np.intp],
        settings: FitSettings,
        *,
        quiet: bool = False,
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Trains on the samples at `places`, in `folder`: the labels, and logits (n, labels) of those at `judged`."""
        train, valid = split_places(self.at(places), settings)
        done = fit(folder, self.pictures, places[train], places[valid], settings, quiet=quiet)
        return done.labels, logits_of(done.net, self.pictures, judged)

    def logits(self, run: Run) -> NDArray[np.float32]:
        """Logits (n, labels) of all samples by the run's own network. Raises BadRunError."""
        return logits_of(run_network(run), self.pictures, np.arange(len(self.samples)))


def run_network(run: Run) -> keras.Model:
    """The trained network of a run. Raises BadRunError, MissingExtraError."""
    try:
        return load_network(run.folder / MODEL_FILE, run.settings.network)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRunError(f"{run.folder}: {MODEL_FILE} cannot be opened: {error}") from error


def read_picture_split(
    source: Path, splits: Sequence[str], settings: FitSettings, folder: Path, *, quiet: bool = False
) -> PictureData:
    """The readable samples of some splits with their pictures, kept below `folder`: those of the settings' labels.

    Raises BadSamplesError where a label has no photo, BadRunError where there is none at all.
    """
    wanted = set(settings.labels)
    samples = [
        sample for sample in read_samples(source) if sample.split in splits and (not wanted or sample.label in wanted)
    ]
    if not samples:
        raise BadRunError(f"{source}: there is no photo of the split {splits[0]!r} to look at")
    preprocessing = _for_training(source, samples, settings).preprocessing
    return PictureData(read_pictures(samples, preprocessing, folder / "pictures", quiet=quiet))


def _for_training(source: Path, samples: Sequence[Sample], settings: FitSettings) -> FitSettings:
    """The settings that the samples are read with: pictures that are masked already must not be masked again.

    Raises BadSamplesError where the pictures are masked and the settings do not say so: the bundle would not mask the
    photos that it is asked about.
    """
    masked = [sample.prepared == MASKED for sample in samples]
    if not any(masked):
        return settings
    if settings.picture != MASKED:
        raise BadSamplesError(f"{source}: the pictures have a black background already: train with --picture {MASKED}")
    if not all(masked):
        raise BadSamplesError(
            f"{source}: some pictures have a black background already, {samples[masked.index(False)].file} has not"
        )
    return settings.but(picture="view")


def check_labels(source: Path, data: PictureData, settings: FitSettings) -> None:
    """Raises BadSamplesError for a label of the settings without a readable photo, and for fewer than two labels."""
    labels = sorted({data.samples[place].label for place in data.places(settings)})
    if lost := sorted(set(settings.labels) - set(labels)):
        raise BadSamplesError(f"{source}: there is no readable photo of {lost[0]!r}")
    if len(labels) < 2:
        raise BadSamplesError(f"a classifier needs two labels or more; here is {' '.join(labels) or 'none'}")


def fit_run(source: Path, folder: Path, settings: FitSettings, *, quiet: bool = False) -> Run:
    """Trains a network on the split "train" of `source` (a manifest or class folders) and writes the run.

    The split "validation" steers it where there is one, else a part of "train". Photos that cannot be read are left
    out, counted and listed in run.json. Raises BadSamplesError, BadRunError, MissingWeightsError, what
    `fitting.loop.fit` raises, and UsageError where `folder` cannot be a run's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be the folder of a run: {error.strerror}") from error
    data = read_picture_split(source, ("train", VALIDATION), settings, folder, quiet=quiet)
    check_labels(source, data, settings)
    train, valid = split_places(data.samples, settings)
    done = fit(folder, data.pictures, train, valid, settings, quiet=quiet)
    trained = [sample for sample in data.at(data.places(settings)) if sample.split == "train"]
    write_record(
        folder, source, settings.as_dict(), trained, data.failures, kind="fit", more={"fit": dict(done.record)}
    )
    return load_run(folder)


def fold_folder(run_folder: Path, protocol: str, fold: str) -> Path:
    """Where the network of one held-out fold lies."""
    return run_folder / "folds" / protocol.replace(", ", "-").replace(" ", "-") / safe_name(fold)


def safe_name(name: str) -> str:
    """The name of a folder for a foreign name. Two names never share one: what it cannot show is in a digest."""
    plain = re.sub(r"[^a-z0-9.]+", "-", name.casefold()).strip("-.")[:_LONGEST]
    if plain == name.replace(" ", "-"):
        return plain
    return f"{plain}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}".lstrip("-")
