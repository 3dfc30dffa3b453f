"""A batch run that is killed again and again, against one that is left alone.

    python benchmarks/batch_kills.py PHOTOS [--photos 3000] [--kills 30] [--seed 0] [--bundle DIR]

PHOTOS: a folder of real photos. SIGKILL goes to the command alone, at moments drawn at random; its workers have to
notice and end. A kill that comes after the run has ended by itself does not count: the run is compared and begun
anew. Must reach: after 30 kills over 3,000 photos the last start makes a results.parquet that is equal to the
undisturbed one row for row, and no process is left. Exit status 1 where it does not, or where no kill came when a
part of the shards was finished, which would show nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "photos"
        source.mkdir()
        files = sorted(options.folder.rglob("*.jpg"))
        for place, file in enumerate(files[: options.photos]):
            (source / f"{place:06d}.jpg").symlink_to(file.resolve())
        raise SystemExit(0 if survives(source, Path(work), options) else 1)


def survives(source: Path, work: Path, options: argparse.Namespace) -> bool:
    alone = work / "alone"
    start = time.monotonic()
    begun(source, alone, options).wait()
    took = time.monotonic() - start
    moments = random.Random(options.seed)
    kills = left = midway = 0
    runs = [work / "killed-1"]
    while kills < options.kills:
        process = begun(source, runs[-1], options)
        # Starting takes a second of every life; all lives together take about as long as the undisturbed run.
        time.sleep(moments.uniform(0.5, 2 * (1 + took / options.kills)))
        if process.poll() is not None:
            runs.append(work / f"killed-{len(runs) + 1}")
            continue
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        for _ in range(60):  # workers may be deep in a photo
            if not session(process.pid):
                break
            time.sleep(0.5)
        left += len(session(process.pid))
        shards, all_shards = finished(runs[-1]), finished(alone)
        midway += 0 < shards < all_shards
        print(f"kill {kills}: {shards} of {all_shards} shards of run {len(runs)}", flush=True)
    begun(source, runs[-1], options).wait()
    rows = pq.read_table(alone / "results.parquet").num_rows
    same = all(equal(alone, run) for run in runs)
    print(
        f"{kills} kills, {midway} of them amid the shards, {rows} rows, {len(runs)} runs: "
        f"{'equal' if same else 'DIFFERENT'}; {left} processes left behind"
    )
    return same and not left and midway > 0


def equal(run: Path, other: Path) -> bool:
    tables = [pq.read_table(one / "results.parquet") for one in (run, other)]
    lines = [(one / "results.jsonl").read_bytes() for one in (run, other)]
    return bool(tables[0].equals(tables[1])) and lines[0] == lines[1]


def finished(run: Path) -> int:
    return len(list(run.glob("shards/[0-9]*.parquet")))


def begun(source: Path, out: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = ["batch", str(source), "--out", str(out), "--shard-size", "50", "--index", "--quiet"]
    command += ["--bundle", options.bundle] if options.bundle else []
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen([sys.executable, "-m", "handlens", *command], env=env, start_new_session=True)


def session(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()
