"""`handlens identify PATH…`"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from handlens.allocator import keep_one_arena
from handlens.cli import options as shared
from handlens.cli.identify_table import Outcome, Writer, table
from handlens.errors import UsageError
from handlens.identifier import Identifier
from handlens.photo import PhotoError
from handlens.photo_files import expand
from handlens.safe_text import csv_cell

__all__ = ["add_arguments", "run"]

_MANY = 4
"""From so many photos on a progress bar is shown, on a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens identify`."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="photos, folders of photos, or patterns")
    shared.add_top(parser)
    parser.add_argument("--same-specimen", action="store_true", help="the photos, 5 at most, are of one specimen")
    shared.add_photo_options(parser)
    shared.add_thorough(parser)
    shared.add_evidence(parser)
    parser.add_argument("--format", choices=("table", "jsonl", "csv"), default="table", help="default: table")
    shared.add_language(parser)
    shared.add_bundle(parser)


def run(options: argparse.Namespace) -> int:
    """Identifies every photo in its order and prints the answers; 1 if some photo could not be read."""
    if options.top < 1:
        raise UsageError(f"--top {options.top}: it must be 1 or more")
    asked = {
        "top": options.top,
        "among": shared.among(options.among),
        "crop": shared.crop(options.crop),
        "rotate": options.rotate,
        "lang": options.lang,
        "thorough": options.thorough,
    }
    keep_one_arena()
    identifier = Identifier.load(options.bundle, wait=False)
    # Not before: what it imports is imported while the network is being made ready.
    asked["evidence"] = shared.evidence(options)
    paths = list(expand(options.paths))
    if options.same_specimen:
        outcomes = iter([_one_specimen(identifier, paths, asked)])
    else:
        outcomes = identifier.identify_each(paths, **asked)
        if len(paths) >= _MANY and sys.stderr.isatty():
            from tqdm import tqdm

            outcomes = iter(tqdm(outcomes, total=len(paths), unit="photo", file=sys.stderr))
    columns = min(options.top, len(identifier.bundle.labels))
    write = {"table": table(identifier.minerals, options.lang), "jsonl": _jsonl, "csv": _csv(columns)}
    return write[options.format](outcomes, sys.stdout)


def _one_specimen(identifier: Identifier, paths: list[str], asked: dict[str, Any]) -> Outcome:
    try:
        return identifier.identify(paths, **asked)
    except PhotoError as error:
        return error


def _jsonl(outcomes: Iterable[Outcome], out: TextIO) -> int:
    status = 0
    for outcome in outcomes:
        if isinstance(outcome, PhotoError):
            status = 1
            row = {"photo": outcome.photo, "error": {"type": outcome.code, "detail": outcome.detail}}
        else:
            row = outcome.as_dict()
        # ASCII only: names that are no valid text, and terminals, survive it.
        print(json.dumps(row), file=out, flush=True)
    return status


def _csv(top: int) -> Writer:
    numbered = [f"{what}_{place}" for place in range(1, top + 1) for what in ("candidate", "probability")]
    header = ["photo", "name", "rank", "probability", *numbered, "prediction_set", "unknown_score", "model"]
    header += [
        "error_type",
        "error_detail",
        "evidence",
        "contradictions",
        "next_test",
        "next_test_text",
        "hazards",
        "warnings",
    ]

    def write(outcomes: Iterable[Outcome], out: TextIO) -> int:
        rows = csv.DictWriter(out, header, restval="", lineterminator="\n")
        rows.writeheader()
        status = 0
        for outcome in outcomes:
            if isinstance(outcome, PhotoError):
                status = 1
                row: dict[str, Any] = {
                    "photo": outcome.photo,
                    "error_type": outcome.code,
                    "error_detail": outcome.detail,
                }
            else:
                row = _flat(outcome.as_dict())
            rows.writerow({key: csv_cell(value) if isinstance(value, str) else value for key, value in row.items()})
            out.flush()
        return status

    return write


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    """The JSON object as one row; lists are joined with |."""
    row: dict[str, Any] = answer["decision"] | {key: answer[key] for key in ("unknown_score", "model")}
    row["photo"] = answer["photo"] if "photo" in answer else "|".join(answer["photos"])
    for place, candidate in enumerate(answer["candidates"], 1):
        row |= {f"candidate_{place}": candidate["name"], f"probability_{place}": candidate["probability"]}
    advised = answer.get("next_test", {})
    return row | {
        "prediction_set": "|".join(answer["prediction_set"]),
        "evidence": "|".join(f"{test}={observed}" for test, observed in answer.get("evidence", {}).items()),
        "contradictions": "|".join(one["text"] for one in answer.get("contradictions", [])),
        "next_test": advised.get("test", ""),
        "next_test_text": advised.get("text", ""),
        "hazards": "|".join(f"{one['mineral']}: {', '.join(one['hazards'])}" for one in answer.get("hazards", [])),
        "warnings": "|".join(answer.get("warnings", [])),
    }
