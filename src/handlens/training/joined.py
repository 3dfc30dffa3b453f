"""Several finished runs answering together: the mean of their logits, each from views of its own.

    handlens train SOURCE --method join --runs RUN RUN [--thorough-side PIXELS] --out JOINED

Nothing is trained: a joined run names its parts, and evaluating it tunes each of them on the same photos. In a bundle
the parts are one graph, whose embedding has theirs side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.errors import UsageError
from handlens.training.feature_source import FeatureSource
from handlens.training.features import Features
from handlens.training.frozen import check_side
from handlens.training.head import HeadSettings, LinearHead
from handlens.training.run import (
    BadRunError,
    FrozenData,
    JoinSettings,
    Run,
    TrainSettings,
    load_run,
    plain_settings,
    read_split,
    write_record,
)
from handlens.training.samples import Sample
from handlens.views import Preprocessing

__all__ = ["JoinedData", "JoinedSource", "join", "parts_of", "read_joined"]


@dataclass(frozen=True, slots=True)
class JoinedSource:
    """Features of the parts side by side, `widths` numbers of each, from so many `views` each of the preprocessing."""

    parts: tuple[FeatureSource, ...]
    widths: tuple[int, ...]
    views: tuple[int, ...]

    def features(self, samples: Sequence[Sample], *, mirrored: bool = False, alike: bool = False) -> Features:
        """A photo that one part cannot read is not read."""
        found = [part.features(samples, mirrored=mirrored, alike=alike) for part in self.parts]
        failures = tuple(dict.fromkeys(failure for one in found for failure in one.failures))
        read = np.logical_and.reduce([one.read for one in found])
        return Features(np.concatenate([one.values for one in found], axis=1), read, failures)

    def embeddings(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of length 1, with every part's of one length."""
        each = np.split(values, np.cumsum(self.widths)[:-1], axis=1)
        joined = np.concatenate([part.embeddings(some) for part, some in zip(self.parts, each, strict=True)], axis=1)
        return np.asarray(joined / np.sqrt(len(self.parts)), np.float32)

    def network(self) -> keras.Model:
        """Raises NotImplementedError: the parts have one each."""
        raise NotImplementedError("a joined run has no network of its own")

    def elsewhere(self, preprocessing: Preprocessing) -> JoinedSource:
        """Each part on its own of the views."""
        ends = np.cumsum(self.views)
        each = [preprocessing.views[end - count : end] for end, count in zip(ends, self.views, strict=True)]
        looking = zip(self.parts, each, strict=True)
        return replace(
            self, parts=tuple(part.elsewhere(replace(preprocessing, views=views)) for part, views in looking)
        )


@dataclass(frozen=True, slots=True)
class JoinedData(FrozenData):
    """`parts`: the same photos as each of the runs sees them, and its settings."""

    parts: tuple[tuple[FrozenData, TrainSettings], ...] = ()

    def subset(self, labels: Sequence[str]) -> JoinedData:
        """The part with one of `labels`."""
        return _joined([(data.subset(labels), settings) for data, settings in self.parts])

    def seen_by(self, places: NDArray[np.intp], settings: TrainSettings | JoinSettings) -> JoinedData:  # noqa: ARG002
        """As networks see them that were tuned on the samples at `places`, each by its own settings."""
        return _joined([(data.seen_by(places, own), own) for data, own in self.parts])

    @property
    def has_own_head(self) -> bool:
        """If every part has one, the mean of them is used for every look."""
        return all(data.has_own_head for data, _ in self.parts)

    def look_head(self, values: NDArray[np.float32], places: NDArray[np.intp], settings: HeadSettings) -> LinearHead:  # noqa: ARG002
        """The mean of the logits of the parts' heads, that reads the parts' embeddings side by side."""
        each = np.split(values, np.cumsum([data.plain.shape[1] for data, _ in self.parts])[:-1], axis=1)
        parts = zip(self.parts, each, strict=True)
        heads = [data.look_head(some, places, own.head) for (data, own), some in parts]
        # The parts of an embedding are shorter than 1 by the root of their number.
        weights = np.concatenate([head.weights for head in heads]) / np.sqrt(len(heads))
        bias = np.stack([head.bias for head in heads]).mean(axis=0)
        return LinearHead(heads[0].labels, weights.astype(np.float32), bias.astype(np.float32))

    def head(self, places: NDArray[np.intp], settings: HeadSettings) -> LinearHead:  # noqa: ARG002
        """Those of the parts, whose logits are averaged."""
        heads = [data.head(places, own.head) for data, own in self.parts]
        weights = np.concatenate([head.weights for head in heads]) / len(heads)
        bias = np.stack([head.bias for head in heads]).mean(axis=0)
        return LinearHead(heads[0].labels, weights.astype(np.float32), bias.astype(np.float32))


def join(source: Path, folder: Path, runs: Sequence[Path], *, thorough_side: int = 0) -> Run:
    """Writes the run of which `runs` are the parts. Raises UsageError for less than two, and for a side of thorough
    looks that some part cannot look at or has no such looks for; BadRunError for runs that are not linear heads on the
    photos of `source`, without mirrored copies, at one size of views.
    """
    if len(runs) < 2:
        raise UsageError("there is nothing to join: name two runs or more")
    parts = [(run, plain_settings(run)) for run in map(load_run, runs)]
    first, settings = parts[0]
    for run, others in parts[1:]:
        if run.record["data_digest"] != first.record["data_digest"] or run.labels != first.labels:
            raise BadRunError(f"{run.folder} and {first.folder} were trained on different photos")
        if replace(others.preprocessing, views=settings.preprocessing.views) != settings.preprocessing:
            raise BadRunError(f"{run.folder} and {first.folder} look at views of different sizes")
    for run, own in parts if thorough_side else ():
        check_side(own.network, thorough_side)
        if thorough_side < own.preprocessing.side:
            raise UsageError(f"thorough looks of {thorough_side} pixels are smaller than what {run.folder} looks at")
        if not own.more_looks:
            raise UsageError(f"{run.folder} was trained without more views for a thorough look")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be the folder of a run: {error.strerror}") from error
    folders = tuple(str(run.folder.absolute()) for run, _ in parts)
    joined = JoinSettings(folders, settings.keep_unusable, thorough_side)
    data = read_joined(source, "train", joined)
    chosen = data.places(joined)
    more = {"parts": [run.record["settings"] for run, _ in parts]}
    write_record(folder, source, joined.as_dict(), data.at(chosen), data.failures, kind="join", more=more)
    return load_run(folder)


def read_joined(listed: Path, split: str, settings: JoinSettings, *, quiet: bool = False) -> JoinedData:
    """The samples of one split as each part sees them. Raises BadRunError where they do not read the same ones."""
    parts = []
    for run in parts_of(settings):
        own = plain_settings(run)
        parts.append((read_split(listed, split, own, run.folder, mirror=False, quiet=quiet), own))
    files = [[sample.file for sample in data.samples] for data, _ in parts]
    if any(some != files[0] for some in files):
        raise BadRunError(f"{listed}: the parts of a joined run read different photos")
    return _joined(parts)


def parts_of(settings: JoinSettings) -> list[Run]:
    """The runs. Raises BadRunError."""
    return [load_run(Path(run)) for run in settings.runs]


def _joined(parts: Sequence[tuple[FrozenData, TrainSettings]]) -> JoinedData:
    data = [one for one, _ in parts]
    source = JoinedSource(
        tuple(one.source for one in data),
        tuple(one.plain.shape[1] for one in data),
        tuple(len(own.preprocessing.views) for _, own in parts),
    )
    plain = np.concatenate([one.plain for one in data], axis=1)
    failures = tuple(dict.fromkeys(failure for one in data for failure in one.failures))
    return JoinedData(data[0].samples, plain, None, failures, source, parts=tuple(parts))
