"""Features of a transformer whose last blocks were tuned on some photos.

On disk, below the run's folder: `tokens/` (see `tokens`); `tuned/<key>.npz`, the trained weights by
`<layer>/<variable>`, where `key` names the photos, their labels and the settings; `features/<key>.npy`, features
(n, D) of the photos of one set of tokens by one network. Each is written whole or not at all, so a killed run goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.dataset.files import atomic_file
from handlens.onnx_session import cpu_session
from handlens.processors import processors
from handlens.training.arrays import read_arrays
from handlens.training.features import Features
from handlens.training.frozen import frozen_network, weights_of
from handlens.training.head import HeadSettings, fit_head
from handlens.training.samples import Sample
from handlens.training.tuning.loop import Weights, tune
from handlens.training.tuning.settings import TuneSettings
from handlens.training.tuning.tokens import Tokens, keep_tokens
from handlens.training.vit import FEATURE_BLOCKS
from handlens.training.vit_graph import vit_rest_graph, vit_tokens_graph
from handlens.training.weights import kept_ranges, ranges_digest, weights_digest
from handlens.views import Preprocessing

__all__ = ["TunedSource"]


@dataclass(frozen=True)
class TunedSource:
    """`listed`: the photos that tokens are kept of; what is asked of some of them is found among those. `weights`:
    those that were trained, by `<layer>/<variable>`; none: the pretrained network. `patches`: how many of a view are
    looked at, 0 for all; training draws from all of them.
    """

    name: str
    preprocessing: Preprocessing
    folder: Path
    settings: TuneSettings
    listed: tuple[Sample, ...]
    patches: int = 0
    weights: tuple[tuple[str, NDArray[np.float32]], ...] = ()
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
            values = self._computed(tokens)
            with atomic_file(path) as file:
                np.save(file, values)
        return Features(values, tokens.read, tokens.failures)

    def tuned(
        self,
        samples: Sequence[Sample],
        rows: NDArray[np.intp],
        head: HeadSettings,
    ) -> TunedSource:
        """The source whose network was tuned on the photos `rows` of `samples`, which are listed and can be read."""
        tokens = self._tokens(self.listed, looks=self.settings.looks)
        places = self._rows(samples)
        assert places is not None
        labels = np.array([samples[row].label for row in rows])
        whose = np.array([samples[row].fold for row in rows])
        chosen = "\n".join(f"{samples[row].file}\t{samples[row].label}\t{samples[row].fold}" for row in rows)
        told = json.dumps([asdict(self.settings), asdict(head)], sort_keys=True)
        path = self.folder / "tuned" / f"{_digest(tokens.key, chosen, told)}.npz"
        try:
            weights: Weights = read_arrays(path)
        except ValueError:
            first = fit_head(self.features(samples).values[rows], labels, head, whose)
            weights = tune(
                tokens, places[rows], labels, self._all_weights, first, FEATURE_BLOCKS, self.settings, quiet=self.quiet
            )
            with atomic_file(path) as file:
                np.savez(file, **weights)  # type: ignore[arg-type]
        return replace(self, weights=tuple(sorted(weights.items())))

    def network(self) -> keras.Model:
        """With the trained weights."""
        net = frozen_network(self.name, self.preprocessing.side, self.patches)
        for layer in net.layers:
            for weight in layer.weights:
                if (value := dict(self.weights).get(f"{layer.name}/{weight.name}")) is not None:
                    weight.assign(value)
        return net

    def elsewhere(self, preprocessing: Preprocessing) -> TunedSource:
        """It on another view."""
        return replace(self, preprocessing=preprocessing)

    def _rows(self, samples: Sequence[Sample]) -> NDArray[np.intp] | None:
        """Their places among the listed photos, None where one is not there."""
        places = {sample.file: place for place, sample in enumerate(self.listed)}
        found = [place for sample in samples if (place := places.get(sample.file)) is not None]
        same = len(found) == len(samples) and all(
            self.listed[place].path == sample.path for place, sample in zip(found, samples, strict=True)
        )
        return np.array(found, np.intp) if same else None

    def _tokens(self, samples: Sequence[Sample], *, looks: int = 1, alike: bool = False) -> Tokens:
        # Training draws from looks in full precision; what is looked at in the end is as the bundle has it.
        ranges = kept_ranges(self.name) if looks == 1 else None
        graph = vit_tokens_graph(self._all_weights, side=self.preprocessing.side, ranges=ranges)
        return keep_tokens(
            samples,
            graph,
            weights_digest(self.name) + (f":int8-{ranges_digest(self.name)}" if ranges else ""),
            self.preprocessing,
            self.folder / "tokens",
            looks=looks,
            alike=alike,
            quiet=self.quiet,
        )

    def _computed(self, tokens: Tokens) -> NDArray[np.float32]:
        side, patches = self.preprocessing.side, self.patches
        graph = vit_rest_graph(self._all_weights, side=side, blocks=FEATURE_BLOCKS, patches=patches)
        # A photo at a time, as its numbers in 8 bits have one scale for all that runs together.
        session = cpu_session(graph, 1)
        width = int(session.get_outputs()[0].shape[-1])

        def features(row: int) -> NDArray[np.float32]:
            if not tokens.read[row]:
                return np.zeros(width, np.float32)
            given = {"block_tokens": tokens.at(row, 0)[np.newaxis].astype(np.float32), "inside": tokens.inside[row]}
            return np.asarray(session.run(["features"], given)[0][0])

        rows = range(len(tokens.read))
        with ThreadPoolExecutor(processors()) as pool:
            found = list(tqdm(pool.map(features, rows), desc="features", total=len(rows), disable=self.quiet))
        return np.stack(found)

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


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
