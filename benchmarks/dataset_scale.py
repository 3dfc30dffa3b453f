"""Seconds and peak memory of the stages that see every row, on a generated list of many rows.

    python benchmarks/dataset_scale.py [--rows 500000]

labels and filter read a list as they would a downloaded one; balance, split and view work on a table of rows that
`check` might have written, without photos. Each runs in a process of its own; memory is the peak of that process. The
seconds are to size runs by; nothing is compared with them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace

LABELS = ("calcite", "fluorite", "quartz", "barite", "azurite", "amethyst", "pyrite", "galena", "copper", "gold")
STAGES = {
    "labels": "from handlens.dataset.counts import count_labels; count_labels([Path(sys.argv[2])])",
    "filter": "from handlens.dataset.filter import FilterSettings as S, filter_list; "
    "filter_list(Workspace(root / 'listed'), S(sources=(Path(sys.argv[2]),)))",
    "balance": "from handlens.dataset.balance import BalanceSettings as S, balance; balance(Workspace(root), S())",
    "split": "from handlens.dataset.split import SplitSettings as S, split; split(Workspace(root), S())",
    "view": "from handlens.dataset.view import ViewSettings as S, view; view(root, S())",
}
AROUND = """
import re, sys, time
from pathlib import Path
from handlens.dataset.workspace import Workspace
root = Path(sys.argv[1])
start = time.perf_counter()
{stage}
peak = re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1]
print(time.perf_counter() - start, int(peak) / 1024)
"""


def rows(count: int) -> list[str]:
    return [f"https://photos.example.org/{n % 997}/{n}.jpg, {LABELS[n % len(LABELS)]}, \n" for n in range(count)]


def checked(count: int) -> TableInfo:
    return TableInfo("check", {"generated": count})


def row(number: int) -> Row:
    identity = f"{number:016x}"
    sha256 = f"{number:064x}"
    return Row(
        identity,
        LABELS[number % len(LABELS)],
        "checked",
        url=f"https://photos.example.org/{number}.jpg",
        file=f"images/{sha256[-2:]}/{sha256}.jpg",
        sha256=sha256,
        pixel_hash=sha256,
        group=f"{number - number % 3:016x}",
        width=800,
        height=600,
        sharpness=0.7,
        brightness=0.9,
        contrast=0.8,
        text=0.0,
        colour=(0.4, 0.5, 0.6),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, listed = Path(folder) / "workspace", Path(folder) / "list.csv"
        with listed.open("w", encoding="utf-8") as file:
            file.writelines(rows(options.rows))
        Workspace(root).write((row(number) for number in range(options.rows)), checked(options.rows))
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        print(f"{model[1] if model else 'unknown processor'}; {options.rows:,} rows")
        for name, stage in STAGES.items():
            command = [sys.executable, "-c", AROUND.format(stage=stage), str(root), str(listed)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, peak = map(float, done.stdout.split())
            print(f"{name:<8} {seconds:7.1f} s  {peak:6.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
