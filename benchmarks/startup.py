"""One photo, whole processes: `handlens identify` against a bare runtime script and against TensorFlow-Keras.

    python benchmarks/startup.py [--photo PHOTO] [--runs 9]

Three processes take turns, so that a slow moment of the machine hits all of them; figures are medians, ratios are
medians of the paired ratios.

    handlens   `python -m handlens identify PHOTO`
    bare       imports onnxruntime and Pillow, opens the default bundle's graph, runs it once on the photo
    keras      loads a .keras CNN of 1,823,882 parameters (96 x 96 input) and predicts the photo

Must reach: handlens at most 2 times bare, keras at least 10 times handlens. Without --photo a drawn picture is used.
Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from handlens.bundle import open_bundle
from handlens.evaluation.machine import machine

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = 1_823_882

BARE = """
import sys, numpy, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[2])
views, side = session.get_inputs()[0].shape[1], int(sys.argv[3])
photo = Image.open(sys.argv[1]).convert("RGB").resize((side, side))
pixels = numpy.broadcast_to(numpy.asarray(photo), (1, views, side, side, 3))
print(session.run(None, {"views": numpy.ascontiguousarray(pixels)})[0].argmax())
"""

KERAS = """
import sys, keras, numpy
from PIL import Image
net = keras.models.load_model(sys.argv[2])
photo = Image.open(sys.argv[1]).convert("RGB").resize((96, 96))
print(net.predict(numpy.asarray(photo, "float32")[None] / 255, verbose=0).argmax())
"""

MAKE_KERAS = """
import sys, keras
from keras import layers
x = inputs = keras.Input((96, 96, 3))
for filters, kernel in ((64, 5), (128, 5), (256, 3), (512, 3)):
    x = layers.Conv2D(filters, kernel, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(layers.BatchNormalization()(x))
x = layers.Dense(256, activation="relu")(layers.GlobalAveragePooling2D()(x))
outputs = layers.Dense(10, activation="softmax")(layers.BatchNormalization()(x))
net = keras.Model(inputs, outputs)
print(net.count_params())
net.save(sys.argv[1])
"""


def timed(command: list[str]) -> float:
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", default=str(ROOT / "examples" / "drawn-amethyst.png"))
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    bundle = open_bundle()
    side = bundle.preprocessing.side
    with tempfile.TemporaryDirectory() as folder:
        network = str(Path(folder) / "cnn.keras")
        made = subprocess.run([sys.executable, "-c", MAKE_KERAS, network], check=True, capture_output=True, text=True)
        if int(made.stdout.split()[-1]) != PARAMETERS:
            raise SystemExit(f"the network has {made.stdout.split()[-1]} parameters, not {PARAMETERS}")
        commands = {
            "handlens": [sys.executable, "-m", "handlens", "identify", options.photo],
            "bare": [sys.executable, "-c", BARE, options.photo, str(bundle.path / "model.onnx"), str(side)],
            "keras": [sys.executable, "-c", KERAS, options.photo, network],
        }
        for command in commands.values():  # the first run of each only fills the disk cache
            timed(command)
        runs = [{name: timed(command) for name, command in commands.items()} for _ in range(options.runs)]
    print(f"{machine()}; {options.runs} paired runs")
    for name in commands:
        seconds = sorted(run[name] for run in runs)
        print(f"{name:<9} median {statistics.median(seconds):6.3f} s   ({seconds[0]:.3f} to {seconds[-1]:.3f})")
    slower = statistics.median(run["handlens"] / run["bare"] for run in runs)
    faster = statistics.median(run["keras"] / run["handlens"] for run in runs)
    print(f"handlens / bare   {slower:5.2f}   (must be at most 2)")
    print(f"keras / handlens  {faster:5.2f}   (must be at least 10)")
    return 0 if slower <= 2 and faster >= 10 else 1


if __name__ == "__main__":
    sys.exit(main())
