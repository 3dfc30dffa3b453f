"""`handlens batch` against the bare loop, one core against two, its memory, and its peers, over the same photos.

    python benchmarks/batch.py PHOTOS [--photos 1000] [--rounds 3] [--rows 200000] [--parts rate,cores,memory,peers]
                               [--peer-python PYTHON]

PHOTOS: a folder of real photos. Nothing else may run beside it. What is counted, every time from the start of the
command to its end, starting processes and writing tables included:

    rate    photos a second on two cores, and those of two processes that read, decode, make views and run the network,
            and do nothing else, in turns. Must reach: 0.9 of it. Its figure is that of one node of docs/batch.md.
    cores   the same on one core and on two. Must reach: 1.8 times.
    memory  proportional set size of all processes together, the most of samples taken twice a second. Two runs stand
            for one of `--rows` rows with the bundle, which would take hours: one over the photos, for the workers, and
            one over that many rows, for which a list names each photo many times and a graph of a few nodes answers,
            for the process above them. That one is alone when it writes the results, with the workers before that.
            The second also tells what all but decoding and the network comes to, in rows a second.
            Must reach: at most 500 MB at any moment.
    peers   the pipeline for image classification of Hugging Face transformers with the architecture that the bundle
            has, ViT-S/14 at 224 pixels (5.5 billion multiplications), photo by photo, which was faster here than
            batches; run by `--peer-python`, which needs transformers and torch. And `predict` of Keras with ResNet-50
            (4.1 billion) through tf.data, in batches of 32. Both with random weights, over the same files on the same
            cores. Must reach: 2.5 times the photos a second of a network of like cost.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from handlens.evaluation.machine import machine

ROOT = Path(__file__).resolve().parent.parent
CORES = sorted(os.sched_getaffinity(0))[:2]
LIMIT_MB = 500
PLANNED = 100_000_000

BARE = """
import sys
from handlens import Identifier
from handlens.photo import read_photo
identifier = Identifier.load(threads=1)
for path in sys.stdin.read().splitlines():
    rgb = read_photo(path, needed_side=identifier.bundle.preprocessing.needed_side).rgb
    identifier.model.run(identifier.viewer.views(rgb)[None])
"""
KERAS = """
import sys
import tensorflow as tf
import keras
paths = sys.stdin.read().splitlines()
def load(path):
    picture = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return tf.image.resize(picture, (224, 224))
pictures = tf.data.Dataset.from_tensor_slices(paths).map(load, tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)
keras.applications.ResNet50(weights=None).predict(pictures, verbose=0)
"""

PIPELINE = """
import sys
import torch
from transformers import BitImageProcessor, Dinov2Config, Dinov2ForImageClassification, pipeline
shape = dict(hidden_size=384, num_attention_heads=6, num_hidden_layers=12, patch_size=14, image_size=224)
model = Dinov2ForImageClassification(Dinov2Config(**shape, num_labels=89)).eval()
processor = BitImageProcessor(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224})
classify = pipeline("image-classification", model=model, image_processor=processor)
for _ in classify(sys.stdin.read().splitlines(), batch_size=1):
    pass
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--parts", default="rate,cores,memory,peers")
    parser.add_argument("--peer-python", default=sys.executable)
    options = parser.parse_args()
    files = sorted(path.resolve() for path in options.folder.rglob("*.jpg"))
    # Spread over the folder, so that no one origin is measured.
    files = files[:: max(1, len(files) // options.photos)][: options.photos]
    parts = {"rate": rate, "cores": cores, "memory": memory, "peers": peers}
    print(f"{machine()}; {len(files)} photos, cores {CORES}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as work:
        for part in options.parts.split(","):
            parts[part](files, Path(work), options)


def rate(files: list[Path], work: Path, options: argparse.Namespace) -> None:
    def bare() -> float:
        with timed() as taken:
            loops = [piped(BARE, files[place::2], [core]) for place, core in enumerate(CORES)]
            finished(*loops)
        return len(files) / taken[0]

    ours, theirs = in_turns(options.rounds, lambda: batch(files, work, CORES), bare)
    told("rate", "of the bare loop's", ours, theirs, 0.9)
    for nodes in (1, 10, 100):
        days = PLANNED / (statistics.median(ours) * nodes * 86_400)
        print(f"  {PLANNED:,} photos on {nodes} nodes of {len(CORES)} cores: {days:,.1f} days")
    print(f"  journal: {sum(path.stat().st_size for path in shards(work)) / len(files):,.0f} bytes a row")


def cores(files: list[Path], work: Path, options: argparse.Namespace) -> None:
    two, one = in_turns(options.rounds, lambda: batch(files, work, CORES), lambda: batch(files, work, CORES[:1]))
    told("cores", "of one core's", two, one, 1.8)


def peers(files: list[Path], work: Path, options: argparse.Namespace) -> None:
    def of(code: str, python: str) -> float:
        with timed() as taken:
            finished(piped(code, files, CORES, python))
        return len(files) / taken[0]

    ours, pipeline, keras = in_turns(
        options.rounds,
        lambda: batch(files, work, CORES),
        lambda: of(PIPELINE, options.peer_python),
        lambda: of(KERAS, sys.executable),
    )
    told("peers", "of the pipeline's", ours, pipeline, 2.5)
    told("peers", "of Keras's with a cheaper network", ours, keras, 2.5)


def memory(files: list[Path], work: Path, options: argparse.Namespace) -> None:
    real = peaks(begun(listed(files, work, len(files)), work, CORES))
    print(f"memory over {len(files):,} real photos: {real}")
    sys.path[:0] = [str(ROOT / "tests")]
    from bundles import write_bundle

    tiny = write_bundle(work / "tiny")
    small = [reduced(path, work / "small" / f"{place}.jpg") for place, path in enumerate(files[:500])]
    source = listed(small, work, options.rows)
    with timed() as taken:
        many = peaks(begun(source, work, CORES, "--bundle", str(tiny)))
    rate = options.rows / taken[0]
    print(
        f"memory over {options.rows:,} rows, a tiny graph: {many}; {rate:,.0f} rows/s, which is nearly all bookkeeping"
    )
    beside = max(real.parent, many.parent) + real.workers
    alone = max(real.alone, many.alone)
    print(
        f"memory: {max(beside, alone):.0f} MB (with workers {beside:.0f}, then {alone:.0f}); at most {LIMIT_MB} wanted"
    )


def told(part: str, of: str, ours: list[float], theirs: list[float], wanted: float) -> None:
    """Medians of the rates, and of their ratio round by round."""
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{part}: {mine:.2f} photos/s, {ratio:.3f} {of} {other:.2f}; at least {wanted} wanted", flush=True)


def listed(files: list[Path], work: Path, rows: int) -> Path:
    """A list that names the files again and again, each time in another way."""
    path = work / "list.csv"
    with path.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(("file", "label", "inventory"))
        for row in range(rows):
            again, place = divmod(row, len(files))
            file = files[place]
            writer.writerow((f"{file.parent}/{'./' * again}{file.name}", file.parent.name, f"inventory {row}"))
    return path


def reduced(path: Path, to: Path) -> Path:
    from PIL import Image

    to.parent.mkdir(exist_ok=True)
    with Image.open(path) as opened:
        opened.convert("RGB").resize((64, 48)).save(to, "JPEG")
    return to


def batch(files: list[Path], work: Path, on: list[int]) -> float:
    source = listed(files, work, len(files))
    with timed() as taken:
        finished(begun(source, work, on))
    return len(files) / taken[0]


def shards(work: Path) -> list[Path]:
    """Of the run that was begun last."""
    last = max(work.glob("run-*"), key=lambda run: int(run.name.removeprefix("run-")))
    return list(last.glob("shards/*.parquet"))


def begun(source: Path, work: Path, on: list[int], *more: str) -> subprocess.Popen[bytes]:
    out = work / f"run-{time.monotonic_ns()}"
    command = ["handlens", "batch", str(source), "--out", str(out), "--workers", str(len(on)), "--quiet", *more]
    return subprocess.Popen(pinned([sys.executable, "-m", *command], on), env=environment())


def piped(code: str, files: list[Path], on: list[int], python: str = sys.executable) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(pinned([python, "-c", code], on), stdin=subprocess.PIPE, env=environment())
    assert process.stdin is not None
    process.stdin.write("\n".join(map(str, files)).encode())
    process.stdin.close()
    return process


def pinned(command: list[str], on: list[int]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, on)), *command]


def environment() -> dict[str, str]:
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "TF_CPP_MIN_LOG_LEVEL": "3"}


def finished(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        # 1: some photo failed, which counts like any other.
        if process.wait() not in (0, 1):
            raise SystemExit(f"{process.args}: exit status {process.returncode}")


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    found: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, values in zip(measures, found, strict=True):
            values.append(measure())
    return found


class timed:  # noqa: N801 - reads as the statement that it is
    """`with timed() as taken`: the seconds, in `taken[0]` afterwards."""

    def __enter__(self) -> list[float]:
        self.start, self.taken = time.perf_counter(), [0.0]
        return self.taken

    def __exit__(self, *_: object) -> None:
        self.taken[0] = time.perf_counter() - self.start


@dataclass
class Peaks:
    """The most MB of a process while it had others below it, of these together, and of the process when alone."""

    parent: float = 0.0
    workers: float = 0.0
    alone: float = 0.0

    def __str__(self) -> str:
        return f"parent {self.parent:.0f} MB and workers {self.workers:.0f} MB, then alone {self.alone:.0f} MB"


def peaks(started: subprocess.Popen[bytes]) -> Peaks:
    found = Peaks()
    while started.poll() is None:
        parent, workers = pss(started.pid), []
        for child in below(started.pid):
            if b"spawn_main" in command_line(child):
                workers.append(pss(child))
            else:  # what watches over semaphores lives as long as the parent
                parent += pss(child)
        if any(workers):
            found.parent, found.workers = max(found.parent, parent), max(found.workers, sum(workers))
        else:
            found.alone = max(found.alone, parent)
        time.sleep(0.5)
    finished(started)
    return found


def below(process: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from below(child)


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def pss(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


if __name__ == "__main__":
    main()
