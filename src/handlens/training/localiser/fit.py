"""Training of the localiser's decoder from kept maps; a killed run goes on after the last whole epoch.

Targets are the teacher's soft masks: cross-entropy a cell plus one minus the soft intersection over union (M. Rahman,
Y. Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", ISVC 2016).
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from handlens.training.localiser.maps import Maps
from handlens.training.localiser.net import LEVELS, LocaliserNet

__all__ = ["EMPTY_AREA", "FitSettings", "fit", "predict"]

EMPTY_AREA: Final = 0.02
"""A teacher's mask that covers less of the frame than this is next to empty: the specimen fills the frame."""
_DOUBTFUL_AREA: Final = 0.05
_FILLS_WEIGHT: Final = 0.2
_WEIGHT_DECAY: Final = 1e-4
_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class FitSettings:
    """`epochs` over all photos, each in one variant; `rate`: the highest, after a tenth of the steps."""

    epochs: int = 6
    rate: float = 2e-3
    seed: int = 0


class _Batches(keras.utils.PyDataset):  # Keras ships no types
    """Batches of an epoch in a new order each time, every photo in a variant drawn for it."""

    def __init__(self, maps: Maps, places: NDArray[np.intp], seed: int) -> None:
        super().__init__()
        self._maps, self._places, self._seed = maps, places, seed
        self.start_at(0)

    def __len__(self) -> int:
        return max(1, len(self._places) // _BATCH)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        batch = slice(index * _BATCH, (index + 1) * _BATCH)
        return _inputs(self._maps.at(self._order[batch], self._variants[batch]))

    def start_at(self, epoch: int) -> None:
        rng = np.random.default_rng((self._seed, epoch))
        self._order = rng.permutation(self._places)
        self._variants = rng.integers(0, len(self._maps.chunks), len(self._order))


class _Epochs(keras.callbacks.Callback):  # Keras ships no types
    """Tells the batches which epoch it is: a resumed run does not begin with the first."""

    def __init__(self, batches: _Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002
        self._batches.start_at(epoch)


def fit(
    net: LocaliserNet,
    maps: Maps,
    places: NDArray[np.intp],
    folder: Path,
    settings: FitSettings,
    *,
    quiet: bool = False,
) -> None:
    """Trains the decoder on the photos at `places`, or loads what an earlier run in `folder` came to.

    On disk: `decoder.weights.h5` of a finished training, `under-way/` of one that is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done, under_way, partial = folder / "decoder.weights.h5", folder / "under-way", folder / "partial.weights.h5"
    if done.is_file():
        net.decoder.load_weights(done)
        return
    keras.utils.set_random_seed(settings.seed)
    batches = _Batches(maps, places, settings.seed)
    _compile(net.decoder, settings.rate, settings.epochs * len(batches))
    callbacks = [keras.callbacks.BackupAndRestore(under_way, delete_checkpoint=False), _Epochs(batches)]
    net.decoder.fit(batches, epochs=settings.epochs, verbose=0 if quiet else 2, callbacks=callbacks)
    net.decoder.save_weights(partial)
    partial.replace(done)
    shutil.rmtree(under_way, ignore_errors=True)


def predict(net: LocaliserNet, maps: Maps, places: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities of the mask (n, grid, grid) and of filling the frame (n,), for the photos as they are."""
    masks, fills = [], []
    for start in range(0, len(places), 2 * _BATCH):
        batch = places[start : start + 2 * _BATCH]
        inputs, _ = _inputs(maps.at(batch, np.zeros(len(batch), np.intp)))
        answer = net.decoder(inputs, training=False)
        masks.append(np.asarray(ops.sigmoid(answer["mask"])))
        fills.append(np.asarray(ops.sigmoid(answer["fills"])))
    return np.concatenate(masks), np.concatenate(fills)


def _inputs(records: NDArray[Any]) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    inputs = {name: records[name].astype(np.float32) for name in LEVELS}
    mask = records["mask"].astype(np.float32) / 255
    empty = np.mean(mask >= 0.5, axis=(1, 2)) < EMPTY_AREA
    return inputs, {"mask": mask, "fills": empty.astype(np.float32)}


def _compile(net: keras.Model, rate: float, steps: int) -> None:
    warm_up = math.ceil(steps / 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 10, max(1, steps - warm_up), alpha=0.01, warmup_target=rate, warmup_steps=warm_up
    )
    net.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY),
        loss={"mask": _mask_loss, "fills": keras.losses.BinaryCrossentropy(from_logits=True)},
        loss_weights={"mask": 1.0, "fills": _FILLS_WEIGHT},
    )


def _mask_loss(wanted: Any, logits: Any) -> Any:
    entropy = ops.mean(ops.binary_crossentropy(wanted, logits, from_logits=True), axis=(1, 2))
    found = ops.sigmoid(logits)
    both = ops.sum(found * wanted, axis=(1, 2))
    either = ops.sum(found + wanted - found * wanted, axis=(1, 2))
    # What overlap is worth where the teacher saw next to nothing is a matter of chance.
    area = ops.mean(ops.cast(wanted >= 0.5, "float32"), axis=(1, 2))
    trust = ops.clip(area / _DOUBTFUL_AREA, 0.1, 1.0)
    return entropy + trust * (1 - (both + 1) / (either + 1))
