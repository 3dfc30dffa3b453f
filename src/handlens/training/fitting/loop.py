"""Trains a network with Keras, so that a killed training goes on exactly where it was.

On disk, in the folder of one training:

    state.npz       the state at the end of the last finished epoch (see `state`); gone when training is finished
    history.csv     a line an epoch: losses, accuracies, learning rate, seconds; rewritten from the state
    tensorboard/    the same as TensorBoard events
    model.keras     the weights of the best epoch, without the optimiser
    fitted.json     fingerprint of settings and photos, counts, best epoch; written last
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.errors import HandlensError
from handlens.training.fitting.batches import TrainingBatches, clean_batches
from handlens.training.fitting.parts import label_columns
from handlens.training.fitting.pictures import Pictures
from handlens.training.fitting.settings import FitSettings
from handlens.training.fitting.state import FILE, State, read_state, write_state
from handlens.training.networks import build_network, load_network
from handlens.training.precision import precision

__all__ = [
    "HISTORY",
    "MODEL",
    "DivergedError",
    "Fitted",
    "OtherTrainingError",
    "built",
    "compiled",
    "fit",
    "logits_of",
]

HISTORY: Final = "history.csv"
MODEL: Final = "model.keras"
_FITTED: Final = "fitted.json"
_COLUMNS: Final = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
_PLATEAU: Final = {"factor": 0.8, "patience": 3, "min_lr": 5e-6}
_WARM_UP: Final = 0.1
_REMEMBERED: Final = {
    "ReduceLROnPlateau": ("best", "cooldown_counter", "wait"),
    "EarlyStopping": ("best", "best_epoch", "wait", "stopped_epoch"),
}


class DivergedError(HandlensError):
    """The loss is no number any more (`diverged`)."""

    code = "diverged"


class OtherTrainingError(HandlensError):
    """A folder holds a training with other settings or photos (`other-training`)."""

    code = "other-training"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A finished training: its folder, the network with the weights of its best epoch, and what fitted.json says."""

    folder: Path
    net: keras.Model
    labels: tuple[str, ...]
    record: Mapping[str, Any]


def fit(
    folder: Path,
    pictures: Pictures,
    train: NDArray[np.intp],
    valid: NDArray[np.intp],
    settings: FitSettings,
    *,
    quiet: bool = False,
) -> Fitted:
    """Trains on the samples at `train`, steered by those at `valid`, or opens what `folder` holds already.

    Raises OtherTrainingError, DivergedError, DiskFullError; a photo's label must occur in `train`.
    """
    labels = tuple(sorted({pictures.samples[place].label for place in train}))
    fingerprint = _fingerprint(pictures, train, valid, settings)
    if (done := _finished(folder, fingerprint, labels)) is not None:
        return done
    folder.mkdir(parents=True, exist_ok=True)
    state = read_state(folder)
    if state is not None and state.fingerprint != fingerprint:
        raise OtherTrainingError(f"{folder}: a training with other settings or photos was begun here")
    # Of these alone: other samples may have labels that this training does not know.
    taught, steering = (label_columns([pictures.samples[place] for place in part], labels) for part in (train, valid))
    batches = TrainingBatches(pictures, train, taught, len(labels), settings)
    net = compiled(settings, len(labels), batches.steps)
    keeper = _Keeper(folder, fingerprint, settings, state)
    if state is None or not state.stopped:
        net.fit(
            batches.dataset(lambda: keeper.epoch),
            epochs=settings.epochs,
            initial_epoch=0 if state is None else len(state.history),
            validation_data=clean_batches(pictures, valid, steering, len(labels)),
            callbacks=_callbacks(folder, settings, keeper, quiet),
            shuffle=False,  # the batches are
            verbose=0,
        )
    state = keeper.state
    assert state is not None
    _write_history(folder / HISTORY, state.history)  # a kill may have come between it and the last state
    plain = built(settings, len(labels))
    plain.set_weights(state.best)
    best = min(state.history, key=lambda row: row["val_loss"])
    record = {
        "fingerprint": fingerprint,
        "network": settings.network,
        "labels": list(labels),
        "parameters": plain.count_params(),
        "trained": len(train),
        "validated": len(valid),
        "epochs": len(state.history),
        "best_epoch": int(best["epoch"]),
        "val_accuracy": round(best["val_accuracy"], 4),
        "val_loss": round(best["val_loss"], 4),
        "seconds": round(sum(row["seconds"] for row in state.history), 1),
    }
    # Keras wants this suffix; the renames make a file that is there a whole one.
    plain.save(folder / "partial.keras")
    (folder / "partial.keras").replace(folder / MODEL)
    (folder / "partial.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "partial.json").replace(folder / _FITTED)
    (folder / FILE).unlink(missing_ok=True)
    return Fitted(folder, plain, labels, record)


def built(settings: FitSettings, classes: int, *, fused: bool = False) -> keras.Model:
    """The network of `settings`, untrained; `fused`: as it is trained."""
    return build_network(
        settings.network,
        classes,
        side=settings.side,
        l2=settings.l2,
        dropout=settings.dropout,
        unfrozen=settings.unfrozen,
        fused=fused,
    )


def logits_of(net: keras.Model, pictures: Pictures, places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Logits float32 (n, classes) of the samples at `places`."""
    to_logits = keras.Model(net.input, net.get_layer("logits").output)
    parts = [
        np.asarray(to_logits(pictures.at(places[start : start + 64]), training=False))
        for start in range(0, len(places), 64)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, net.output_shape[-1]), np.float32)


def _finished(folder: Path, fingerprint: str, labels: tuple[str, ...]) -> Fitted | None:
    try:
        record = json.loads((folder / _FITTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if record.get("fingerprint") != fingerprint:
        raise OtherTrainingError(f"{folder}: a training with other settings or photos was finished here")
    return Fitted(folder, load_network(folder / MODEL, record["network"]), labels, record)


def _fingerprint(pictures: Pictures, train: NDArray[np.intp], valid: NDArray[np.intp], settings: FitSettings) -> str:
    state = hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode())
    for part, places in (("train", train), ("valid", valid)):
        for place in places:
            sample = pictures.samples[place]
            state.update(f"{part}\t{sample.file}\t{sample.label}\n".encode("utf-8", "surrogateescape"))
    return state.hexdigest()


def compiled(settings: FitSettings, classes: int, steps: int) -> keras.Model:
    """The network as it is trained, with its optimiser and loss; `steps`: batches of an epoch."""
    keras.utils.set_random_seed(settings.seed)
    with precision(settings.precision):
        net = built(settings, classes, fused=True)
    rate: Any = settings.rate
    if settings.schedule == "cosine":
        total = steps * settings.epochs
        warm = max(1, round(_WARM_UP * total))
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 100, max(1, total - warm), warmup_target=rate, warmup_steps=warm
        )
    if settings.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    else:
        optimizer = keras.optimizers.Adam(rate)
    # Compiled by XLA the convolutions would not be oneDNN's, which are several times faster on a processor.
    net.compile(optimizer, keras.losses.CategoricalCrossentropy(), metrics=["accuracy"], jit_compile=False)
    optimizer.build(net.trainable_variables)
    return net


def _callbacks(folder: Path, settings: FitSettings, keeper: _Keeper, quiet: bool) -> list[keras.callbacks.Callback]:
    plateau = settings.schedule == "plateau"
    patience = settings.patience if plateau else settings.epochs
    steering: list[keras.callbacks.Callback] = [keras.callbacks.ReduceLROnPlateau(**_PLATEAU)] if plateau else []
    steering.append(keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True))
    keeper.steering = steering
    board = keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False)
    return [*steering, board, keeper, _Progress(folder.name, settings.epochs, quiet)]


class _Progress(keras.callbacks.Callback):
    """A bar over the epochs."""

    def __init__(self, name: str, epochs: int, quiet: bool) -> None:
        super().__init__()
        self._bar = tqdm(total=epochs, desc=name, unit="epoch", disable=quiet)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._bar.n = epoch + 1
        figures = {key: f"{(logs or {}).get(key, math.nan):.3f}" for key in ("loss", "val_loss", "val_accuracy")}
        self._bar.set_postfix(figures)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._bar.close()


class _Keeper(keras.callbacks.Callback):
    """Keeps the state of every finished epoch, and brings back the one there is. The last of the callbacks that steer:
    Keras calls them in order, and each forgets what it knew when training begins.
    """

    def __init__(self, folder: Path, fingerprint: str, settings: FitSettings, state: State | None) -> None:
        super().__init__()
        self._folder, self._fingerprint, self._settings = folder, fingerprint, settings
        self._begun = (0.0, 0.0)
        self.state = state
        self.steering: Sequence[keras.callbacks.Callback] = ()
        self.epoch = 0

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        if self.state is None:
            return
        self.model.set_weights(self.state.weights)
        for variable, value in zip(self.model.optimizer.variables, self.state.optimizer, strict=True):
            variable.assign(value)
        for callback in self.steering:
            for name, value in self.state.callbacks[type(callback).__name__].items():
                setattr(callback, name, value)
            if isinstance(callback, keras.callbacks.EarlyStopping):
                callback.best_weights = list(self.state.best)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self.epoch = epoch
        self._begun = (time.perf_counter(), float(self.model.optimizer.learning_rate))
        for variable in self.model.variables:  # what dropout drops is a function of the epoch, too
            if variable.name == "seed_generator_state":
                variable.assign(np.array([self._settings.seed, epoch], np.uint32))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        figures = dict(logs or {})
        if not (math.isfinite(figures["loss"]) and math.isfinite(figures["val_loss"])):
            raise DivergedError(f"{self._folder}: the loss of epoch {epoch + 1} is no number: try a lower rate")
        start, rate = self._begun
        row = {name: float(figures[name]) for name in _COLUMNS[1:5]}
        row |= {"epoch": epoch + 1, "learning_rate": rate, "seconds": round(time.perf_counter() - start, 2)}
        stopping = next(one for one in self.steering if isinstance(one, keras.callbacks.EarlyStopping))
        self.state = State(
            fingerprint=self._fingerprint,
            weights=self.model.get_weights(),
            optimizer=[np.asarray(variable) for variable in self.model.optimizer.variables],
            best=stopping.best_weights,
            history=(*(self.state.history if self.state else ()), row),
            callbacks={
                type(one).__name__: {name: _plain(getattr(one, name)) for name in _REMEMBERED[type(one).__name__]}
                for one in self.steering
            },
            stopped=bool(self.model.stop_training) or epoch + 1 == self._settings.epochs,
        )
        write_state(self._folder, self.state)
        _write_history(self._folder / HISTORY, self.state.history)


def _plain(value: Any) -> float | int:
    number = float(value)
    return int(number) if isinstance(value, int) else number


def _write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    temporary = path.with_suffix(".partial")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{row[name]:.6g}" for name in _COLUMNS})
    temporary.replace(path)
