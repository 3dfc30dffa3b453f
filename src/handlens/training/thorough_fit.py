"""What a thorough look adds to a network's own views: see `handlens.thorough`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handlens.thorough import Thorough
from handlens.training.features import embeddings_of
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
    found = [own.logits(data.plain[judged])]
    found += [look.head.logits(look.values[judged]) for look in _looks(data, places, settings)]
    return own.labels, np.mean(found, axis=0)


def fit_thorough(
    data: FrozenData, places: NDArray[np.intp], settings: TrainSettings | JoinSettings, scale: float
) -> Thorough:
    """What a bundle looks with; parameters as in `thorough_logits`."""
    own = settings.preprocessing
    views = replace(own, views=(*own.views, *settings.more_views))
    if data.has_own_head:
        return Thorough(views, None, scale, len(own.views))
    heads = [np.concatenate([look.head.weights, look.head.bias[np.newaxis]]) for look in _looks(data, places, settings)]
    return Thorough(views, np.stack(heads), scale)


def _looks(data: FrozenData, places: NDArray[np.intp], settings: TrainSettings | JoinSettings) -> list[_Look]:
    """In the order of the views. A head that was trained together with a network has seen other parts of photos."""
    count, looks = len(settings.preprocessing.views), []
    for start in range(0, len(settings.more_views), count):
        views = settings.more_views[start : start + count]
        source = data.source.elsewhere(replace(settings.preprocessing, views=views))
        values = source.features(data.samples).values
        if data.has_own_head:
            looks.append(_Look(values, data.head(places, settings.head)))
        else:
            embeddings = embeddings_of(values, 1)
            looks.append(_Look(embeddings, replace(data, plain=embeddings, mirrored=None).fit(places, settings.head)))
    return looks
