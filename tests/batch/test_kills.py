"""A run that is killed over and over comes to what an undisturbed run comes to, and leaves no process behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from batch.drawn import folder, table
from commands import KILL_AFTER, environment

KILLS = 6


def command(source: Path, out: Path) -> list[str]:
    given = ["--workers", "2", "--shard-size", "20", "--index"]
    return [sys.executable, "-m", "handlens", "batch", str(source), "--out", str(out), *given]


def processes_of(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.getsid(int(entry.name)) == session and "zombie" not in (entry / "status").read_text():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_kills_at_random_moments(tmp_path: Path, tiny_bundle: Path) -> None:
    source = folder(tmp_path / "photos", 600)
    (source / "broken.jpg").write_bytes(b"no photo")
    env = environment(tiny_bundle)
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "run"
    begun = time.monotonic()
    assert (
        subprocess.run(command(source, undisturbed), env=env, capture_output=True, timeout=KILL_AFTER).returncode == 1
    )
    took = time.monotonic() - begun
    moments = random.Random(5)
    finished = []
    for _ in range(KILLS):
        started = subprocess.Popen(
            command(source, out), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(moments.uniform(0.3, 1.0) * took)
        started.send_signal(signal.SIGKILL)  # the parent alone: its workers are to notice
        started.wait(KILL_AFTER)
        end = time.monotonic() + KILL_AFTER
        while processes_of(started.pid):
            assert time.monotonic() < end, "workers outlive their parent"
            time.sleep(0.05)
        finished.append(len(list(out.glob("shards/[0-9]*.parquet"))))
    assert finished == sorted(finished)
    assert subprocess.run(command(source, out), env=env, capture_output=True, timeout=KILL_AFTER).returncode == 1
    assert table(out) == table(undisturbed)
    assert (out / "results.jsonl").read_bytes() == (undisturbed / "results.jsonl").read_bytes()
    assert not list(out.rglob(".part-*"))
