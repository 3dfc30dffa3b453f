"""Features of a network whose last blocks were tuned on some photos.

On disk, below the run's folder: `tokens/` (see `tokens`); `tuned/<key>.npz`, the trained weights by
`<layer>/<variable>` and the head that was trained with them, where `key` names the photos, their labels and the
settings; `features/<key>.npy`, features (n, D) of the photos of one set of tokens by one network. Each is written whole
or not at all, so a killed run goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.dataset.files import atomic_file
from handlens.training.arrays import read_arrays
from handlens.training.features import Features, embeddings_of
from handlens.training.frozen import frozen_network, weights_of
from handlens.training.head import HeadSettings, LinearHead, adjusted, fit_head
from handlens.training.samples import Sample
from handlens.training.tuning.loop import tune
from handlens.training.tuning.settings import TuneSettings
from handlens.training.tuning.targets import Lesson, of_labels
from handlens.training.tuning.tokens import Tokens, keep_tokens
from handlens.training.tuning.trunk import Trunk, trunk_of
from handlens.training.vit import patches_at
from handlens.training.weights import weights_digest
from handlens.views import Preprocessing

__all__ = ["TunedSource"]

_LABELS, _MATRIX, _BIAS = "own head/labels", "own head/matrix", "own head/bias"


@dataclass(frozen=True)
class TunedSource:
    """`listed`: the photos that tokens are kept of; what is asked of some of them is found among those. `patches`: how
    many of a view are looked at, 0 for all; training draws from all of them. `weights`: those that were trained, by
    `<layer>/<variable>`; none: the pretrained network. `head`: trained with them, and its `share` of the logits: all
    where a teacher helped. `more`: photos without a label that a teacher may speak of.
    """

    name: str
    preprocessing: Preprocessing
    folder: Path
    settings: TuneSettings
    listed: tuple[Sample, ...]
    patches: int = 0
    weights: tuple[tuple[str, NDArray[np.float32]], ...] = ()
    head: LinearHead | None = None
    share: float = 0.0
    more: tuple[Sample, ...] = ()
    quiet: bool = False

    def features(self, samples: Sequence[Sample], *, mirrored: bool = False, alike: bool = False) -> Features:
        """By the network in whole numbers, as the bundle has it."""
        if mirrored:
            raise ValueError("mirrored features of a tuned network are not kept")
        rows = self._rows(samples)
        if rows is None:
            return self._features(samples, alike)
        whole, names = self._features(self.listed, alike), {sample.file for sample in samples}
        failures = tuple(failure for failure in whole.failures if failure[0] in names)
        return Features(whole.values[rows], whole.read[rows], failures)

    def _features(self, samples: Sequence[Sample], alike: bool) -> Features:
        tokens = self._tokens(samples, alike=alike)
        path = self.folder / "features" / f"{_digest(tokens.key, self._identity)}.npy"
        try:
            values = np.load(path)
        except (OSError, ValueError, EOFError):
            values = self._trunk.features(self._all_weights, tokens, quiet=self.quiet)
            with atomic_file(path) as file:
                np.save(file, values)
        return Features(values, tokens.read, tokens.failures)

    def tuned(
        self,
        samples: Sequence[Sample],
        rows: NDArray[np.intp],
        head: HeadSettings,
        lesson: Lesson | None = None,
    ) -> TunedSource:
        """The source whose network was tuned on the photos `rows` of `samples`, which are listed and can be read.

        `lesson`: what a teacher says of those, and of some of `more`.
        """
        tokens = self._tokens((*self.listed, *self.more), looks=self.settings.looks)
        places = self._rows(samples)
        assert places is not None
        labels = np.array([samples[row].label for row in rows])
        whose = np.array([samples[row].fold for row in rows])
        chosen = "\n".join(f"{samples[row].file}\t{samples[row].label}\t{samples[row].fold}" for row in rows)
        beginning = replace(head, balance=self.settings.balance, adjust=0.0, trained=0.0)
        told = json.dumps([_told(self.settings), _told(beginning)], sort_keys=True)
        taught = (
            ()
            if lesson is None
            else (hashlib.sha256(lesson.learnt.probabilities.tobytes()).hexdigest(), str(lesson.share))
        )
        path = self.folder / "tuned" / f"{_digest(tokens.key, chosen, told, *taught)}.npz"
        # A head that is fitted on labels alone forgets what a teacher said.
        share = head.trained if lesson is None else 1.0
        try:
            weights = read_arrays(path)
            # Those that were kept before a head without a teacher could be asked for lack theirs.
            own = {name: weights.pop(name) for name in (_LABELS, _MATRIX, _BIAS) if share or name in weights}
        except (ValueError, KeyError):
            first = fit_head(self.features(samples).values[rows], labels, beginning, whose)
            targets = of_labels(labels, first.labels, self.settings.label_smoothing, self.settings.balance)
            learnt = places[rows]
            if lesson is not None:
                assert lesson.labels == first.labels
                targets, learnt = lesson.targets(targets), np.concatenate([learnt, len(self.listed) + lesson.rows])
            weights, trained = tune(
                self._trunk, tokens, learnt, targets, self._all_weights, first, self.settings, quiet=self.quiet
            )
            own = {_LABELS: np.array(trained.labels), _MATRIX: trained.weights, _BIAS: trained.bias}
            with atomic_file(path) as file:
                np.savez(file, **weights, **own)  # type: ignore[arg-type]
        tuned = replace(self, weights=tuple(sorted(weights.items())), head=None, share=share)
        if not share:
            return tuned
        with_them = LinearHead(tuple(map(str, own[_LABELS])), own[_MATRIX], own[_BIAS])
        # What was weighed away in training need not be taken out of its logits.
        adjust = head.adjust if lesson is not None else head.balance + head.adjust - self.settings.balance
        return replace(tuned, head=adjusted(with_them, labels, adjust))

    def embeddings(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of its one view, made of length 1."""
        return embeddings_of(values, 1)

    def network(self) -> keras.Model:
        """With the trained weights."""
        net = frozen_network(self.name, self.preprocessing.side, self.patches)
        for layer in net.layers:
            for weight in layer.weights:
                if (value := dict(self.weights).get(f"{layer.name}/{weight.name}")) is not None:
                    weight.assign(value)
        return net

    def elsewhere(self, preprocessing: Preprocessing) -> TunedSource:
        """It on another view, in which it looks at as large a share of the patches."""
        patches = patches_at(preprocessing.side, self.patches, self.preprocessing.side)
        return replace(self, preprocessing=preprocessing, patches=patches)

    def _rows(self, samples: Sequence[Sample]) -> NDArray[np.intp] | None:
        """Their places among the listed photos, None where one is not there."""
        places = {sample.file: place for place, sample in enumerate(self.listed)}
        found = [place for sample in samples if (place := places.get(sample.file)) is not None]
        same = len(found) == len(samples) and all(
            self.listed[place].path == sample.path for place, sample in zip(found, samples, strict=True)
        )
        return np.array(found, np.intp) if same else None

    def _tokens(self, samples: Sequence[Sample], *, looks: int = 1, alike: bool = False) -> Tokens:
        training = looks > 1
        trunk = self._trunk
        return keep_tokens(
            samples,
            lambda: trunk.frozen(self._all_weights, training=training),  # takes seconds, for nothing where all is kept
            trunk.identity(training=training),
            self.preprocessing,
            self.folder / "tokens",
            looks=looks,
            alike=alike,
            quiet=self.quiet,
        )

    @property
    def _trunk(self) -> Trunk:
        return trunk_of(self.name, self.preprocessing.side, self.settings.unfrozen, self.patches)

    @cached_property
    def _all_weights(self) -> dict[str, Any]:
        return weights_of(self.network())

    @cached_property
    def _identity(self) -> str:
        state = hashlib.sha256(weights_digest(self.name).encode())
        for name, value in self.weights:
            state.update(name.encode())
            state.update(value.tobytes())
        state.update(f"{self.patches} patches".encode() if self.patches else b"")
        return state.hexdigest()


def _told(settings: TuneSettings | HeadSettings) -> dict[str, Any]:
    """By name, without what says the same as before there was such a setting: what was kept then is still found."""
    newer = (
        {"balance": 1.0, "layer_decay": 1.0} if isinstance(settings, TuneSettings) else {"adjust": 0.0, "trained": 0.0}
    )
    return {name: value for name, value in asdict(settings).items() if name not in newer or value != newer[name]}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
