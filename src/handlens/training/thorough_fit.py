"""Heads for more views than a network's own: see `handlens.thorough`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handlens.thorough import Thorough
from handlens.training.head import LinearHead
from handlens.training.open_set_fit import embeddings_of
from handlens.training.run import FrozenData, TrainSettings

__all__ = ["fit_thorough", "thorough_logits"]


@dataclass(frozen=True, slots=True)
class _Look:
    """Embeddings (n, D) of the samples in one other view, and a head fitted on some of them."""

    embeddings: NDArray[np.float32]
    head: LinearHead


def thorough_logits(
    data: FrozenData, places: NDArray[np.intp], judged: NDArray[np.intp], settings: TrainSettings
) -> tuple[Sequence[str], NDArray[np.float32]]:
    """The labels and the averaged logits (judged, labels), not scaled, of samples by all views, each with a head fitted
    on the samples at `places`.

    `data`: as its network sees them (`FrozenData.seen_by`).
    """
    own = data.fit(places, settings.head)
    found = [own.logits(data.plain[judged])]
    found += [look.head.logits(look.embeddings[judged]) for look in _looks(data, places, settings)]
    return own.labels, np.mean(found, axis=0)


def fit_thorough(data: FrozenData, places: NDArray[np.intp], settings: TrainSettings, scale: float) -> Thorough:
    """What a bundle looks with, its heads fitted on the samples at `places`; parameters as in `thorough_logits`."""
    heads = [np.concatenate([look.head.weights, look.head.bias[np.newaxis]]) for look in _looks(data, places, settings)]
    own = settings.preprocessing
    return Thorough(replace(own, views=(*own.views, *settings.more_views)), np.stack(heads), scale)


def _looks(data: FrozenData, places: NDArray[np.intp], settings: TrainSettings) -> list[_Look]:
    looks = []
    for view in settings.more_views:
        source = data.source.elsewhere(replace(settings.preprocessing, views=(view,)))
        embeddings = embeddings_of(source.features(data.samples).values, 1)
        looks.append(_Look(embeddings, replace(data, plain=embeddings, mirrored=None).fit(places, settings.head)))
    return looks
