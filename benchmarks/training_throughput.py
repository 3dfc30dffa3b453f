"""Training: photos a second against a plain ImageDataGenerator pipeline, and what the input pipeline alone feeds.

    python benchmarks/training_throughput.py [--photos DIR] [--steps 12] [--rounds 3] [--json FILE]

`DIR` holds class folders; by default those of the origin's ten labels in ../shared/data/photos/train, else drawn
pictures. Both sides train `cnn-final` at batch 64 with the origin's augmentation, on the same photos, in turns:

    plain      Keras's own ImageDataGenerator.flow_from_directory and `fit`, as the origin trained
    float32    `handlens train --precision float32`
    handlens   `handlens train` with its defaults (bfloat16 where the processor has it)

A round is `--steps` training steps of each; the first of each is not counted. Must reach: handlens at least 1.3 times
plain, and the pipeline alone at least 10 times what the handlens step eats.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from handlens.evaluation.machine import machine
from handlens.identifier import ORIGIN_TEN
from handlens.training.fitting.batches import TrainingBatches
from handlens.training.fitting.loop import compiled
from handlens.training.fitting.parts import label_columns
from handlens.training.fitting.pictures import read_pictures
from handlens.training.fitting.settings import FitSettings
from handlens.training.networks import build_network
from handlens.training.samples import read_samples

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT.parent / "shared" / "data" / "photos" / "train"
BATCH = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.photos or ten_labels(Path(scratch)) or drawn(Path(scratch))
        labels = sorted(path.name for path in folder.iterdir() if path.is_dir())
        samples = read_samples(folder)
        print(f"{machine()}; {len(samples)} photos of {len(labels)} labels, batch {BATCH}")
        sides: dict[str, Callable[[], float]] = {"plain": plain(folder, len(labels), options.steps)}
        rates: dict[str, list[float]] = {}
        for name, settings in (
            ("float32", FitSettings.of("cnn-final", batch=BATCH, precision="float32")),
            ("handlens", FitSettings.of("cnn-final", batch=BATCH)),
        ):
            pictures = read_pictures(samples, settings.preprocessing, Path(scratch) / "pictures", quiet=True)
            truth = label_columns(pictures.samples, labels)
            batches = TrainingBatches(pictures, np.arange(len(truth)), truth, len(labels), settings)
            sides[name] = ours(batches, settings, options.steps)
        print(f"handlens computes in {settings.precision}")
        for side in sides.values():
            side()
        for number in range(options.rounds):
            # In turns, each time another first: what heats the machine is shared.
            for name in [*sides][number % 3 :] + [*sides][: number % 3]:
                rates.setdefault(name, []).append(sides[name]())
        feed = pipeline(batches)
    median = {name: statistics.median(found) for name, found in rates.items()}
    figures = {
        "machine": machine(),
        "batch": BATCH,
        "precision": settings.precision,
        "rates": {name: round(rate, 1) for name, rate in median.items()},
        "ratio": round(median["handlens"] / median["plain"], 2),
        "ratio_float32": round(median["float32"] / median["plain"], 2),
        "pipeline": round(feed),
        "pipeline_ratio": round(feed / median["handlens"], 1),
    }
    for name, found in rates.items():
        print(f"{name:<9} {median[name]:7.1f} photos/s   ({', '.join(f'{rate:.1f}' for rate in found)})")
    print(f"pipeline  {feed:7.0f} photos/s alone, {figures['pipeline_ratio']} times what the step eats")
    print(f"handlens / plain {figures['ratio']}   float32 / plain {figures['ratio_float32']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0 if figures["ratio"] >= 1.3 and figures["pipeline_ratio"] >= 10 else 1


def plain(folder: Path, classes: int, steps: int) -> Callable[[], float]:
    """Keras's generator, reading and changing every photo anew in every epoch, and a network as Keras makes it."""
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rescale=None,  # the network does that itself
        rotation_range=30,
        width_shift_range=0.1,
        height_shift_range=0.1,
        shear_range=10,
        zoom_range=0.3,
        horizontal_flip=True,
    )
    flow = generator.flow_from_directory(folder, target_size=(96, 96), batch_size=BATCH, seed=0)
    net = build_network("cnn-final", classes)
    net.compile(keras.optimizers.Adam(), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    return lambda: timed(net, flow, steps)


def ours(batches: TrainingBatches, settings: FitSettings, steps: int) -> Callable[[], float]:
    net = compiled(settings, batches.classes, batches.steps)
    return lambda: timed(net, batches.dataset(lambda: 0).repeat(), steps)


def timed(net: keras.Model, data: object, steps: int) -> float:
    """Photos a second over `steps` steps of `fit`, after one that is not counted."""
    clock = Clock()
    net.fit(data, epochs=1, steps_per_epoch=steps + 1, verbose=0, callbacks=[clock])
    return BATCH * steps / (clock.end - clock.start)


class Clock(keras.callbacks.Callback):
    """The time at the end of the first and of the last step."""

    start = end = 0.0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002
        """Looks at the clock."""
        self.end = time.perf_counter()
        if batch == 0:
            self.start = self.end


def pipeline(batches: TrainingBatches) -> float:
    """Photos a second of the input pipeline without a network."""
    for _ in batches.dataset(lambda: 0):
        pass
    rates = []
    for epoch in range(1, 6):
        start, count = time.perf_counter(), 0
        for pictures, *_ in batches.dataset(lambda epoch=epoch: epoch):
            count += len(pictures)
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def ten_labels(scratch: Path) -> Path | None:
    """Links to the class folders of the ten labels."""
    if not PHOTOS.is_dir():
        return None
    folder = scratch / "ten"
    folder.mkdir()
    for label in ORIGIN_TEN:
        # Links to files: the generator does not follow one to a folder.
        (folder / label).mkdir()
        for file in (PHOTOS / label).iterdir():
            (folder / label / file.name).symlink_to(file)
    return folder


def drawn(scratch: Path) -> Path:
    """Noise of four colours as JPEGs of 416 pixels: what they show does not matter for a rate."""
    rng = np.random.default_rng(0)
    for number in range(768):
        file = scratch / "drawn" / f"colour {number % 4}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 256, (26, 26, 3), dtype=np.uint8) // (1 + number % 4)
        Image.fromarray(picture).resize((416, 416)).save(file, quality=90)
    return scratch / "drawn"


if __name__ == "__main__":
    sys.exit(main())
