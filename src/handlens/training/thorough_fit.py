"""What a thorough look adds to a network's own views: see `handlens.thorough`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handlens.thorough import Thorough
from handlens.training.head import LinearHead
from handlens.training.run import FrozenData, JoinSettings, TrainSettings

__all__ = ["fit_thorough", "thorough_logits"]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a head reads of the samples in other views (n, D): embeddings, or features where it is the network's own."""

    values: NDArray[np.float32]
    head: LinearHead


def thorough_logits(
    data: FrozenData,
    places: NDArray[np.intp],
    judged: NDArray[np.intp],
    settings: TrainSettings | JoinSettings,
) -> tuple[Sequence[str], NDArray[np.float32]]:
    """The labels and the averaged logits (judged, labels), not scaled, of samples in all looks.

    `data`: as its network sees them (`FrozenData.seen_by`), which was tuned on the samples at `places`, as heads are
    fitted on them.
    """
    own = data.head(places, settings.head)
    found = [look.head.logits(look.values[judged]) for look in _looks(data, places, settings)]
    if not _instead(settings):
        found.append(own.logits(data.plain[judged]))
    return own.labels, np.mean(found, axis=0)


def fit_thorough(
    data: FrozenData, places: NDArray[np.intp], settings: TrainSettings | JoinSettings, scale: float
) -> Thorough:
    """What a bundle looks with; parameters as in `thorough_logits`."""
    looks, taken = settings.more_looks, len(settings.preprocessing.views)
    views = replace(looks[0], views=tuple(view for look in looks for view in look.views))
    if data.has_own_head:
        return Thorough(views, None, scale, taken, _instead(settings))
    heads = [np.concatenate([look.head.weights, look.head.bias[np.newaxis]]) for look in _looks(data, places, settings)]
    return Thorough(views, np.stack(heads), scale, taken, _instead(settings))


def _instead(settings: TrainSettings | JoinSettings) -> bool:
    """Larger looks are at what the network looks at by itself, too."""
    return settings.more_looks[0].side != settings.preprocessing.side


def _looks(data: FrozenData, places: NDArray[np.intp], settings: TrainSettings | JoinSettings) -> list[_Look]:
    """In the order of the views. Heads of the bundle's own read embeddings."""
    looks = []
    for preprocessing in settings.more_looks:
        source = data.source.elsewhere(preprocessing)
        values = source.features(data.samples).values
        if data.has_own_head:
            looks.append(_Look(values, data.head(places, settings.head)))
        else:
            looks.append(_Look(source.embeddings(values), data.look_head(values, places, settings.head)))
    return looks
