"""One training run: its folder, its settings, and the frozen-backbone training that `handlens train` does.

On disk:

    run.json       settings, labels, counts, digest of the data; written last, so a folder with it is a finished run
    model.keras    uint8 views → logits and embedding
    features/      kept features of every photo (see `features`); a killed run goes on from them
    evaluation/    what `handlens evaluate` found (see `handlens.evaluation.evaluate`)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from handlens._version import __version__
from handlens.errors import HandlensError, UsageError
from handlens.training.feature_source import FeatureSource, FrozenSource
from handlens.training.features import embeddings_of
from handlens.training.fitting.settings import FitSettings
from handlens.training.frozen import FROZEN, check_patches, check_side, frozen_side
from handlens.training.head import HeadSettings, LinearHead, averaged, fit_head
from handlens.training.samples import BadSamplesError, Sample, digest, read_samples, with_split
from handlens.training.tuning.settings import TuneSettings
from handlens.training.tuning.tuned import TunedSource
from handlens.views import Preprocessing, View

if TYPE_CHECKING:
    from handlens.training.tuning.teacher import Teacher

__all__ = [
    "LOOKS",
    "BadRunError",
    "FrozenData",
    "JoinSettings",
    "Run",
    "TrainSettings",
    "load_run",
    "plain_settings",
    "read_split",
    "train",
    "write_record",
]

RUN_FILE: Final = "run.json"
MODEL_FILE: Final = "model.keras"
Look = Literal["frame", "whole", "box", "specimen", "both"]
_FRAME: Final = (View("padded"), View("crop", 1.0), View("crop", 0.65))
_BOX: Final = (View("padded", 1.0, "specimen", grey=True),)
_SPECIMEN: Final = (*_BOX, View("crop", 0.7, "specimen", grey=True))
LOOKS: Final[Mapping[Look, tuple[View, ...]]] = {
    "frame": _FRAME,
    "whole": _FRAME[:1],
    "box": _BOX,
    "specimen": _SPECIMEN,
    "both": _FRAME + _SPECIMEN,
}
"""The views of a frozen network: three of the photo, the first of these alone, one of the specimen with its background
greyed, that and its middle, or whole photo and specimen."""
MORE_VIEWS: Final[Mapping[Look, tuple[View, ...]]] = {
    "whole": (View("crop", 0.65),),
    "box": (View("crop", 0.7, "specimen", grey=True),),
}
"""What a thorough look adds to a look of one view."""


class BadRunError(HandlensError):
    """A folder is no finished training run (`bad-run`)."""

    code = "bad-run"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """`network`: a name of FROZEN. `keep_unusable`: train on photos marked unusable too (they are never judged).
    `mirror`: train on left-right mirrored photos as well. `look`: which views, a key of LOOKS. `side`: their pixels, 0
    for the network's own. `patches`: how many of a view a transformer looks at, 0 for all. `tune`: how to train its
    last blocks first, None to leave it as it is. `thorough`: also fit heads for more views, which a bundle looks at
    when it is asked to (`handlens.thorough`). `teacher`: the folder of a tuned run that the network learns from as well
    (`tuning.teacher`), `teacher_share` (0 to 1) of what it learns of a labelled photo. Raises UsageError for a side or
    patches that it cannot look at, for what cannot be tuned or taught, and for a look without more views.
    """

    network: str = "lite2"
    keep_unusable: bool = True
    mirror: bool = True
    look: Look = "frame"
    side: int = 0
    patches: int = 0
    head: HeadSettings = field(default_factory=HeadSettings)
    tune: TuneSettings | None = None
    thorough: bool = False
    teacher: str = ""
    teacher_share: float = 0.7

    def __post_init__(self) -> None:
        if self.thorough and self.look not in MORE_VIEWS:
            raise UsageError(f"look {self.look} has no more views for a thorough look: {', '.join(MORE_VIEWS)} has")
        if self.tune is not None:
            if self.network not in FROZEN:
                raise UsageError(f"{self.network} cannot be tuned: {', '.join(FROZEN)} can")
            if len(LOOKS[self.look]) != 1:
                raise UsageError(f"look {self.look} has {len(LOOKS[self.look])} views: tuning takes one with one")
            if self.mirror:
                raise UsageError("tuning sees mirrored parts of photos anyway: train it without mirrored copies")
        if self.teacher and self.tune is None:
            raise UsageError("a teacher is for a network whose last blocks are tuned")
        if self.head.trained and (self.tune is None or self.teacher):
            raise UsageError("a share of the trained head is for a network that is tuned without a teacher")
        if not 0 <= self.teacher_share <= 1:
            raise UsageError(f"the teacher's share is {self.teacher_share}: it must be from 0 to 1")
        if self.side:
            check_side(self.network, self.side)
        if self.patches:
            check_patches(self.network, self.preprocessing.side, self.patches)

    @property
    def preprocessing(self) -> Preprocessing:
        """The views of this network."""
        return Preprocessing(side=self.side or frozen_side(self.network), views=LOOKS[self.look])

    @property
    def more_looks(self) -> tuple[Preprocessing, ...]:
        """Those of a thorough look beside it; none where it is not asked for."""
        own = self.preprocessing
        return tuple(replace(own, views=(view,)) for view in MORE_VIEWS[self.look]) if self.thorough else ()


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """`runs`: folders of the runs whose logits are averaged (`handlens.training.joined`), one view after the other.
    `thorough_side`: pixels of a side of what a thorough look adds, where it is another than the runs' own, 0 otherwise.
    """

    runs: tuple[str, ...]
    keep_unusable: bool = True
    thorough_side: int = 0
    network: str = "joined"

    @property
    def parts(self) -> tuple[TrainSettings, ...]:
        """Settings of the runs. Raises BadRunError."""
        return tuple(plain_settings(load_run(Path(run))) for run in self.runs)

    @property
    def preprocessing(self) -> Preprocessing:
        """The views of all parts."""
        parts = [part.preprocessing for part in self.parts]
        return replace(parts[0], views=tuple(view for part in parts for view in part.views))

    @property
    def more_looks(self) -> tuple[Preprocessing, ...]:
        """Those of a thorough look, if every part has such; with another side, the own views of the parts first."""
        each = [part.more_looks for part in self.parts]
        if not all(each):
            return ()
        own = self.preprocessing
        looks = [tuple(view for look in looks for view in look.views) for looks in zip(*each, strict=True)]
        side = self.thorough_side or own.side
        looks = looks if side == own.side else [own.views, *looks]
        return tuple(replace(own, side=side, views=views) for views in looks)

    @property
    def head(self) -> HeadSettings:
        """The parts have their own."""
        return HeadSettings()

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder, the data it was made from, its settings and its labels in network order."""

    folder: Path
    source: Path
    settings: TrainSettings | FitSettings | JoinSettings
    labels: tuple[str, ...]
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FrozenData:
    """Readable samples with their features (n, D), as they are and mirrored (None where mirroring is off), and where
    the features are from. `teacher`: whom a network learns from when it is tuned.
    """

    samples: tuple[Sample, ...]
    plain: NDArray[np.float32]
    mirrored: NDArray[np.float32] | None
    failures: tuple[tuple[str, str, str], ...]
    source: FeatureSource
    teacher: Teacher | None = None

    def subset(self, labels: Sequence[str]) -> FrozenData:
        """The part with one of `labels`."""
        kept = [place for place, sample in enumerate(self.samples) if sample.label in set(labels)]
        mirrored = None if self.mirrored is None else self.mirrored[kept]
        samples = tuple(self.samples[place] for place in kept)
        teacher = None if self.teacher is None else self.teacher.subset(labels)
        return FrozenData(samples, self.plain[kept], mirrored, (), self.source, teacher)

    def seen_by(self, places: NDArray[np.intp], settings: TrainSettings | JoinSettings) -> FrozenData:
        """The same photos as a network sees them that was tuned on the samples at `places`; itself without tuning."""
        if isinstance(settings, JoinSettings) or settings.tune is None:
            return self
        assert isinstance(self.source, TunedSource)
        lesson = None if self.teacher is None else self.teacher.lesson(places)
        source = self.source.tuned(self.samples, places, settings.head, lesson)
        return replace(self, plain=source.features(self.samples).values, source=source)

    def places(self, settings: TrainSettings | JoinSettings) -> NDArray[np.intp]:
        """The places of the samples that a run with `settings` is trained on."""
        return np.flatnonzero([sample.usable or settings.keep_unusable for sample in self.samples])

    def at(self, places: NDArray[np.intp]) -> list[Sample]:
        """The samples at `places`."""
        return [self.samples[place] for place in places]

    @property
    def has_own_head(self) -> bool:
        """Whether the head that was trained together with the network is used alone."""
        return isinstance(self.source, TunedSource) and self.source.share == 1

    def head(self, places: NDArray[np.intp], settings: HeadSettings) -> LinearHead:
        """The one that was trained together with a taught network, else one fitted on the samples at `places`, or the
        mean of both where it is asked for.
        """
        return self._with_trained(lambda: self.fit(places, settings))

    def look_head(self, values: NDArray[np.float32], places: NDArray[np.intp], settings: HeadSettings) -> LinearHead:
        """As `head`, but it reads embeddings of the samples in other views, whose features are `values` (n, D). The one
        that was trained has seen many parts of photos in training, and takes an embedding for a feature of the length
        that those have on average.
        """
        length = float(np.linalg.norm(values[places], axis=1).mean())
        read = replace(self, plain=embeddings_of(values, 1), mirrored=None)
        return self._with_trained(lambda: read.fit(places, settings), length)

    def _with_trained(self, fitted: Callable[[], LinearHead], length: float | None = None) -> LinearHead:
        """The mean of another head and of the one that was trained with the network, as their shares are; `length` is
        that of features where it is to read embeddings.
        """
        source = self.source
        if not isinstance(source, TunedSource) or source.head is None:
            return fitted()
        trained = source.head
        if length is not None:
            trained = replace(trained, weights=trained.weights * np.float32(length))
        return trained if source.share == 1 else averaged(fitted(), trained, source.share)

    def fit(self, places: NDArray[np.intp], settings: HeadSettings) -> LinearHead:
        """A head fitted on the samples at `places`."""
        chosen = self.at(places)
        labels, whose = np.array([one.label for one in chosen]), np.array([one.fold for one in chosen])
        features = self.plain[places]
        if self.mirrored is not None:
            features = np.concatenate([features, self.mirrored[places]])
            labels, whose = np.tile(labels, 2), np.tile(whose, 2)
        return fit_head(features, labels, settings, whose)


def read_split(
    listed: Path, split: str, settings: TrainSettings | JoinSettings, folder: Path, *, mirror: bool, quiet: bool = False
) -> FrozenData:
    """The readable samples of one split with their features, kept below `folder`, or below those of joined runs."""
    if isinstance(settings, JoinSettings):
        from handlens.training.joined import read_joined

        return read_joined(listed, split, settings, quiet=quiet)
    samples = with_split(read_samples(listed), split)
    if not samples:
        raise BadRunError(f"{listed}: there is no photo of the split {split!r}")
    if any(sample.prepared == "origin-mask" for sample in samples):
        raise BadSamplesError(f"{listed}: the pictures have a black background: train with --method fit")
    source = feature_source(settings, samples, folder, quiet=quiet)
    plain = source.features(samples)
    other = source.features(samples, mirrored=True) if mirror else plain
    fine = plain.read & other.read
    kept = tuple(sample for sample, read in zip(samples, fine, strict=True) if read)
    failures = tuple(dict.fromkeys(plain.failures + other.failures))
    data = FrozenData(kept, plain.values[fine], other.values[fine] if mirror else None, failures, source)
    if not settings.teacher or split != "train":
        return data
    from handlens.training.tuning.teacher import open_teacher

    assert isinstance(source, TunedSource)
    assert settings.tune is not None
    given = (settings.teacher_share, settings.tune.balance)
    teacher = open_teacher(Path(settings.teacher), listed, data, *given, quiet=quiet)
    return replace(data, source=replace(source, more=teacher.more), teacher=teacher)


def feature_source(
    settings: TrainSettings, samples: Sequence[Sample], folder: Path, *, quiet: bool = False
) -> FeatureSource:
    """Where the features of `samples` come from before anything is tuned; they are kept below the run's `folder`."""
    if settings.tune is not None:
        listed, patches = tuple(samples), settings.patches
        return TunedSource(
            settings.network, settings.preprocessing, folder, settings.tune, listed, patches, quiet=quiet
        )
    side = settings.preprocessing.side
    return FrozenSource(settings.network, side, settings.preprocessing, folder, settings.patches, quiet)


def train(source: Path, folder: Path, settings: TrainSettings, *, quiet: bool = False) -> Run:
    """Trains a linear head on the split "train" of `source` (a manifest or class folders) and writes the run.

    Photos that cannot be read are left out, counted and listed in run.json. Raises BadSamplesError, BadRunError,
    MissingWeightsError, UsageError where `folder` cannot be one. A finished run that is there already stays until its
    successor is ready.
    """
    from handlens.training.classifier import multi_view_classifier

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be the folder of a run: {error.strerror}") from error
    data = read_split(source, "train", settings, folder, mirror=settings.mirror, quiet=quiet)
    chosen = data.places(settings)
    data = data.seen_by(chosen, settings)
    head = data.head(chosen, settings.head)
    net = multi_view_classifier(data.source.network(), len(settings.preprocessing.views), head)
    # Keras wants this suffix; the rename makes a file that is there a whole one.
    net.save(folder / "partial.keras")
    (folder / RUN_FILE).unlink(missing_ok=True)
    (folder / "partial.keras").replace(folder / MODEL_FILE)
    more = {} if data.teacher is None else {"teacher": data.teacher.settings.network}
    write_record(folder, source, asdict(settings), data.at(chosen), data.failures, more=more)
    return load_run(folder)


def write_record(
    folder: Path,
    source: Path,
    settings: Mapping[str, Any],
    trained: Sequence[Sample],
    failures: Sequence[tuple[str, str, str]],
    *,
    kind: str = "head",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Writes run.json, which makes `folder` a finished run.

    `kind`: "head" (a linear head on a frozen or tuned backbone), "fit" (a network trained by gradient descent) or
    "join" (runs that answer together).
    """
    record = {
        "handlens": __version__,
        "kind": kind,
        "source": str(source.absolute()),
        "settings": settings,
        "labels": sorted({sample.label for sample in trained}),
        "photos": len(trained),
        "unusable_among_them": sum(not sample.usable for sample in trained),
        "per_label": dict(sorted(Counter(sample.label for sample in trained).items())),
        "data_digest": digest(trained),
        "failures": [list(row) for row in failures],
        **(more or {}),
    }
    # Escapes, since a photo that failed can have a name that is no text.
    (folder / "partial.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / "partial.json").replace(folder / RUN_FILE)


def load_run(folder: Path) -> Run:
    """Opens a finished run. Raises BadRunError."""
    try:
        record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        settings = _settings(record.get("kind", "head"), dict(record["settings"]))
        return Run(folder, Path(record["source"]), settings, tuple(record["labels"]), record)
    except OSError:
        raise BadRunError(f"{folder}: there is no finished training run here") from None
    except (ValueError, KeyError, TypeError, AttributeError, HandlensError) as error:
        raise BadRunError(f"{folder}: {RUN_FILE} cannot be read: {error!r}") from error


def plain_settings(run: Run) -> TrainSettings:
    """The settings of a run that another is made from. Raises BadRunError where it is no linear head, or one that
    mirrored copies were trained on: features of those are not kept for all networks.
    """
    if not isinstance(run.settings, TrainSettings) or run.settings.mirror:
        raise BadRunError(f"{run.folder}: only linear heads without mirrored copies can teach or be joined")
    return run.settings


def _settings(kind: str, stored: dict[str, Any]) -> TrainSettings | FitSettings | JoinSettings:
    if kind == "join":
        return JoinSettings(**{**stored, "runs": tuple(stored["runs"])})
    if kind == "fit":
        return FitSettings.from_dict(stored)
    tune = stored.get("tune")  # runs of earlier versions have none
    parts = {"head": HeadSettings(**stored["head"]), "tune": None if tune is None else TuneSettings(**tune)}
    return TrainSettings(**{**stored, **parts})
