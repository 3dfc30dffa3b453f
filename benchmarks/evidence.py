"""What evidence and the advice of a next test add to the time of an answer.

    python benchmarks/evidence.py PHOTO [--runs 15] [--calls 40]

The same answer is given in three ways that take turns, so that a slow moment of the machine hits all of them; ratios
are medians of the paired ratios. As processes of `handlens identify`, and as calls of `Identifier.identify` in one:

    plain      neither: no evidence, and whatever makes ready and asks for advice is taken out of the program
    advice     no evidence; the answer is not sure, so that a next test is advised
    evidence   hardness, streak and two other tests; and advice where the answer is not sure

Must reach: advice and evidence at most 1.05 times plain, both ways. PHOTO must be a photograph of a mineral with an
answer that is not sure: a drawn picture is told to be no specimen, and nothing is advised.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

from handlens import Evidence, Identifier
from handlens.evaluation.machine import machine

MOST = 1.05
FLAGS = ["--hardness", "7", "--streak", "white", "--test", "acid=none", "--test", "magnet=none"]
EVIDENCE = Evidence.of({"hardness": "7", "streak": "white", "acid": "none", "magnet": "none"})

WHOLE = """
import sys
from handlens.identifier import Identifier
from handlens.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
PLAIN = WHOLE.replace(
    "from handlens.cli",
    "Identifier._use_the_wait = Identifier._next_test = lambda *_: None\nfrom handlens.cli",
)


def process(script: str, *arguments: str) -> Callable[[], Any]:
    command = [sys.executable, "-c", script, "identify", *arguments]
    # An empty text switches off what would have every process compile every module anew: no installed package does.
    compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return lambda: subprocess.run(command, check=True, env=compiled, **quiet)


def calls(photo: str) -> Mapping[str, Callable[[], Any]]:
    identifier = Identifier.load()

    def plain() -> None:
        with mock.patch.object(Identifier, "_next_test", return_value=None):
            identifier.identify(photo)

    if identifier.identify(photo).next_test is None:
        raise SystemExit(f"{photo}: nothing is advised about it: take another photo")
    return {
        "plain": plain,
        "advice": lambda: identifier.identify(photo),
        "evidence": lambda: identifier.identify(photo, evidence=EVIDENCE),
    }


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(title: str, ways: Mapping[str, Callable[[], Any]], runs: int) -> bool:
    for work in ways.values():  # the first run of each only fills caches
        timed(work)
    found = [{name: timed(work) for name, work in ways.items()} for _ in range(runs)]
    print(f"{title}, {runs} paired runs")
    for name in ways:
        seconds = sorted(run[name] for run in found)
        print(f"    {name:<9} median {1000 * statistics.median(seconds):7.1f} ms   (least {1000 * seconds[0]:.1f})")
    reached = True
    for name in ("advice", "evidence"):
        ratio = statistics.median(run[name] / run["plain"] for run in found)
        reached &= ratio <= MOST
        print(f"    {name} / plain   {ratio:.3f}   (must be at most {MOST})")
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo")
    parser.add_argument("--runs", type=int, default=15, help="of processes")
    parser.add_argument("--calls", type=int, default=40, help="in one process")
    options = parser.parse_args()
    print(machine())
    photo = options.photo
    in_one_process = calls(photo)
    processes = {
        "plain": process(PLAIN, photo),
        "advice": process(WHOLE, photo),
        "evidence": process(WHOLE, photo, *FLAGS),
    }
    reached = compare("process", processes, options.runs)
    return 0 if compare("call", in_one_process, options.calls) and reached else 1


if __name__ == "__main__":
    sys.exit(main())
