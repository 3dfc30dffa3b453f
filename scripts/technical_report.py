"""Writes docs/technical-report.md and docs/memoria-tecnica.md from the figures kept in docs/runs.

    python scripts/technical_report.py           writes both pages
    python scripts/technical_report.py --check   only says whether they are what the figures say (exit status 1: not)

Every number on the pages comes from a file of docs/runs (its README has the command behind each), from the bundle that
ships, or is one of the few facts about the original project that the templates name.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import jinja2

ROOT: Final = Path(__file__).resolve().parent.parent
RUNS: Final = ROOT / "docs" / "runs"
PAGES: Final = {
    "technical-report.md.jinja": ROOT / "docs" / "technical-report.md",
    "memoria-tecnica.md.jinja": ROOT / "docs" / "memoria-tecnica.md",
}
STRANGERS: Final = "leave-one-fold-out"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is not up to date")
    options = parser.parse_args()
    stale = [page for page, text in rendered().items() if not page.is_file() or page.read_text("utf-8") != text]
    for page in stale:
        print(f"{page.relative_to(ROOT)}: {'not what the figures say' if options.check else 'written'}")
        if not options.check:
            page.write_text(rendered()[page], "utf-8")
    return 1 if options.check and stale else 0


def rendered() -> dict[Path, str]:
    """Path and text of both pages."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"pct": percent, "comma": comma, "thousands": lambda number: f"{number:,}"}
    return {page: environment.get_template(name).render(figures()) for name, page in PAGES.items()}


def percent(share: float) -> str:
    """0.4894 → "48.9"."""
    return f"{100 * share:.1f}"


def comma(text: object) -> str:
    """A number as it is written in Spanish."""
    return str(text).replace(",", " ").replace(".", ",")


def figures() -> dict[str, Any]:
    """All that the templates name."""
    bundle = json.loads((ROOT / "src/handlens/bundles/default/bundle.json").read_text("utf-8"))
    protocols = bundle["metrics"]["protocols"]
    return {
        "runs": {path.parent.name: run(path.parent) for path in sorted(RUNS.glob("*/run.json"))},
        "head": {
            "name": bundle["name"],
            "among": protocols[f"ten labels among all, {STRANGERS}"]["flat"],
        },
        "compare": read(RUNS / "compare" / "comparison.json"),
        "tune": read(RUNS / "tune" / "trials.json"),
        "int8": read(RUNS / "int8.json"),
        "throughput": read(RUNS / "training_throughput.json"),
    }


def run(folder: Path) -> dict[str, Any]:
    """Settings, counts and held-out figures of one kept run."""
    record, report = read(folder / "run.json"), read(folder / "report.json")
    name = report["answers_from"]
    found = report["protocols"][name]
    return record | {
        "protocol": name,
        "flat": found["flat"],
        "folds": found["folds"],
        "per_label": found["per_label"],
        "per_label_counts": record["per_label"],
        "before": found["ece_before_temperature"],
        "pairs": report["confused_pairs"],
        "decisions": report["decisions"],
        "sets": report["prediction_sets"],
        "machine": report["machine"],
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    sys.exit(main())
