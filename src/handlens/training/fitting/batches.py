"""Training batches as a pure function of seed, epoch and step: after a kill they are what they would have been."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from handlens.training.fitting.augment import augmented
from handlens.training.fitting.pictures import Pictures
from handlens.training.fitting.settings import FitSettings

__all__ = ["Batch", "TrainingBatches", "clean_batches"]

Batch = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]
"""Pictures (B, side, side, 3), targets (B, classes) that sum to 1, and weights (B,)."""
_AHEAD: Final = 3
"""Batches that are made while the network works."""
_VALIDATION_BATCH: Final = 128


class TrainingBatches:
    """The batches of the samples at `places`, whose classes are `truth` (n,)."""

    def __init__(
        self, pictures: Pictures, places: NDArray[np.intp], truth: NDArray[np.intp], classes: int, settings: FitSettings
    ) -> None:
        self._pictures, self._places, self._settings = pictures, places, settings
        smooth = settings.label_smoothing
        targets = np.full((len(truth), classes), smooth / classes, np.float32)
        targets[np.arange(len(truth)), truth] += 1 - smooth
        weight = np.ones(classes)
        if settings.class_weights:
            weight = len(truth) / (classes * np.maximum(np.bincount(truth, minlength=classes), 1))
        # Weighed here, before pictures are blended, so that each part of a blend keeps the weight of its label.
        self._weighed = targets * weight[truth, np.newaxis].astype(np.float32)
        self._size = min(settings.batch, len(places))

    @property
    def steps(self) -> int:
        """Batches of an epoch, all of one size; the few photos left over are others in every epoch."""
        return len(self._places) // self._size

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return int(self._weighed.shape[1])

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch at `step` (0 to `steps` - 1) of `epoch` (0 ...)."""
        order = np.random.default_rng([self._settings.seed, epoch]).permutation(len(self._places))
        chosen = order[step * self._size : (step + 1) * self._size]
        rng = np.random.default_rng([self._settings.seed, epoch, step])
        pictures, weighed = augmented(
            self._pictures.at(self._places[chosen]), self._weighed[chosen], self._settings.augment, rng
        )
        weight = weighed.sum(axis=1)
        return pictures, weighed / weight[:, np.newaxis], weight

    def dataset(self, epoch: Callable[[], int]) -> tf.data.Dataset:
        """One epoch of batches each time it is gone through, that of `epoch()`, made ahead on another thread."""

        def batches() -> Iterator[Batch]:
            current = epoch()
            return _ahead(lambda step: self.batch(current, step), self.steps)

        side, classes = self._pictures.side, self.classes
        signature = (
            tf.TensorSpec((self._size, side, side, 3), tf.uint8),
            tf.TensorSpec((self._size, classes), tf.float32),
            tf.TensorSpec((self._size,), tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(self.steps))


def clean_batches(
    pictures: Pictures, places: NDArray[np.intp], truth: NDArray[np.intp], classes: int
) -> tf.data.Dataset:
    """The samples at `places` in order, unchanged: pictures and one-hot targets."""

    def batches() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        for start in range(0, len(places), _VALIDATION_BATCH):
            part = slice(start, start + _VALIDATION_BATCH)
            yield pictures.at(places[part]), np.eye(classes, dtype=np.float32)[truth[part]]

    side = pictures.side
    signature = (tf.TensorSpec((None, side, side, 3), tf.uint8), tf.TensorSpec((None, classes), tf.float32))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-len(places) // _VALIDATION_BATCH)))


def _ahead(make: Callable[[int], Batch], steps: int) -> Iterator[Batch]:
    """`make(0)`, `make(1)`, ... made on a thread of its own, `_AHEAD` of them before they are asked for."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="handlens-batches")
    waiting = deque(pool.submit(make, step) for step in range(min(_AHEAD, steps)))
    try:
        for step in range(steps):
            found = waiting.popleft().result()
            if step + _AHEAD < steps:
                waiting.append(pool.submit(make, step + _AHEAD))
            yield found
    finally:
        pool.shutdown(cancel_futures=True)
