"""Keeps the small part of a training run, its figures without its photos and weights, below docs/runs.

    python scripts/keep_run.py RUN docs/runs/NAME

Of an evaluated run of `handlens train --method fit`: settings and counts (run.json), the history of the run and of
every fold (history*.csv), the report and three of its plots. Of a comparison or a tuning: its tables and plots. What is
kept names no path of a machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Final

_PLOTS: Final = ("confusion-matrix", "learning-curves", "reliability")
_TABLES: Final = ("comparison.json", "comparison.md", "trials.json", "trials.csv", "trials.md")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    run, target = options.run, options.target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if (run / "run.json").is_file():
        keep_run(run, target)
    else:
        keep_tables(run, target)
    print("\n".join(str(path) for path in sorted(target.rglob("*")) if path.is_file()))
    return 0


def keep_run(run: Path, target: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    kept = {key: record[key] for key in ("handlens", "kind", "settings", "labels", "photos", "per_label", "fit")}
    kept["fit"].pop("fingerprint")
    (target / "run.json").write_text(json.dumps(kept, indent=1) + "\n")
    shutil.copyfile(run / "history.csv", target / "history.csv")
    for history in sorted(run.glob("folds/*/*/history.csv")):
        shutil.copyfile(history, target / f"history-{history.parent.name}.csv")
    if (run / "evaluation" / "report.json").is_file():
        report = json.loads((run / "evaluation" / "report.json").read_text())
        report.pop("run")
        (target / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        for plot in _PLOTS:
            shutil.copyfile(run / "evaluation" / "plots" / f"{plot}.svg", target / f"{plot}.svg")


def keep_tables(run: Path, target: Path) -> None:
    files = [run / name for name in _TABLES if (run / name).is_file()]
    if not files:
        sys.exit(f"{run}: neither an evaluated run nor a comparison nor a tuning")
    for file in [*files, *sorted(run.glob("plots/*.svg"))]:
        shutil.copyfile(file, target / file.name)


if __name__ == "__main__":
    sys.exit(main())
