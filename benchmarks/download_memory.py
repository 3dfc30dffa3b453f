"""Peak memory of `handlens dataset download` over a long list, served from loopback.

    python benchmarks/download_memory.py [--rows 500000]

Every row is another URL, on eight hosts, with a tiny photo of its own behind it, but for one in fifty, which has none.
The download runs in a process of its own; what is printed is that process's peak of resident memory as the system
counts it, everything from the interpreter to the table it writes included.

Must reach: at most 300 MB at 500,000 rows.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from handlens.dataset.download import DownloadSettings, HostSettings, download
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace
from photo_server import serving, tiny

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 9))
MOST = 300


def work(root: str) -> None:
    """The process that is measured."""
    settings = DownloadSettings(
        contact="benchmark@example.org",
        hosts={host: HostSettings(terms_acknowledged=True) for host in HOSTS},
        rate=0,
        concurrency=4,
        allow_private=True,
    )
    start = time.perf_counter()
    summary = download(Workspace(Path(root)), settings)
    # Not getrusage: what that gives begins with the memory of the process that started this one.
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
    peak = int(found[1]) / 1000 if found else 0.0
    print(summary.rows, summary.by_status["fetched"], peak, time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return 0
    with tempfile.TemporaryDirectory() as root, serving(tiny()) as port:
        rows = (
            Row(
                id=f"{number:016x}",
                label="amethyst",
                status="listed",
                title="Quartz (Var: Amethyst)",
                url=f"http://{HOSTS[number % len(HOSTS)]}:{port}/{number}.{'gif' if number % 50 == 0 else 'jpg'}",
                page=f"https://photos.example.org/pages/{number}",
                author=f"Photographer {number % 5000}",
                licence="CC BY-SA 4.0",
            )
            for number in range(options.rows)
        )
        Workspace(Path(root)).write(rows, TableInfo("filter", {}))
        command = [sys.executable, __file__, "--work", root]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    ended, fetched, peak, took = map(float, done.stdout.split())
    from handlens.evaluation.machine import machine

    print(f"{machine()}; {ended:,.0f} rows, {fetched:,.0f} photos fetched in {took:.0f} s")
    print(f"peak memory  {peak:5.0f} MB   (must be at most {MOST})")
    return 0 if peak <= MOST and ended == options.rows else 1


if __name__ == "__main__":
    sys.exit(main())
