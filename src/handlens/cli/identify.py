"""`handlens identify PATH…`"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from handlens.cli import options as shared
from handlens.decision import UNKNOWN
from handlens.errors import UsageError
from handlens.identifier import Identification, Identifier
from handlens.minerals import KnowledgeBase, Language
from handlens.photo import PhotoError
from handlens.photo_files import expand
from handlens.safe_text import csv_cell, terminal

__all__ = ["add_arguments", "run"]

_MANY = 4
"""From so many photos on a progress bar is shown, on a terminal."""
_WORDS = {
    "en": {
        "unknown": "unknown",
        "best": "best guess",
        "variety": "variety",
        "species": "species",
        "group": "group",
        "set": "90 % sure it is one of",
        "none": "90 % sure it is none of these",
        "other": "others",
        "error": "not read",
        "caution": "Not for food, medicine, valuation or asbestos clearance.",
    },
    "es": {
        "unknown": "desconocido",
        "best": "lo más probable:",
        "variety": "variedad",
        "species": "especie",
        "group": "grupo",
        "set": "con un 90 % de seguridad es uno de",
        "none": "con un 90 % de seguridad no es ninguno de estos",
        "other": "otros",
        "error": "no leída",
        "caution": "No sirve para alimentos, medicina, tasación ni descartar amianto.",
    },
}
_SHOWN_IN_SET = 8

Outcome = Identification | PhotoError
Writer = Callable[[Iterable[Outcome], TextIO], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens identify`."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="photos, folders of photos, or patterns")
    shared.add_top(parser)
    shared.add_photo_options(parser)
    parser.add_argument("--format", choices=("table", "jsonl", "csv"), default="table", help="default: table")
    shared.add_language(parser)
    shared.add_bundle(parser)


def run(options: argparse.Namespace) -> int:
    """Identifies every photo in its order and prints the answers; 1 if some photo could not be read."""
    if options.top < 1:
        raise UsageError(f"--top {options.top}: it must be 1 or more")
    crop, among = shared.crop(options.crop), shared.among(options.among)
    identifier = Identifier.load(options.bundle, wait=False)
    paths = list(expand(options.paths))
    outcomes = identifier.identify_each(paths, top=options.top, among=among, crop=crop, rotate=options.rotate)
    if len(paths) >= _MANY and sys.stderr.isatty():
        from tqdm import tqdm

        outcomes = iter(tqdm(outcomes, total=len(paths), unit="photo", file=sys.stderr))
    columns = min(options.top, len(identifier.bundle.labels))
    write = {"table": _table(identifier.minerals, options.lang), "jsonl": _jsonl, "csv": _csv(columns)}
    return write[options.format](outcomes, sys.stdout)


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

    def write(outcomes: Iterable[Outcome], out: TextIO) -> int:
        rows = csv.DictWriter(out, [*header, "error_type", "error_detail"], restval="", lineterminator="\n")
        rows.writeheader()
        status = 0
        for outcome in outcomes:
            if isinstance(outcome, PhotoError):
                status = 1
                row: dict[str, Any] = {"error_type": outcome.code, "error_detail": outcome.detail}
            else:
                row = _flat(outcome.as_dict())
            row["photo"] = outcome.photo
            rows.writerow({key: csv_cell(value) if isinstance(value, str) else value for key, value in row.items()})
            out.flush()
        return status

    return write


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    """The JSON object as one row; the prediction set is joined with |."""
    row: dict[str, Any] = answer["decision"] | {key: answer[key] for key in ("unknown_score", "model")}
    for place, candidate in enumerate(answer["candidates"], 1):
        row |= {f"candidate_{place}": candidate["name"], f"probability_{place}": candidate["probability"]}
    return row | {"prediction_set": "|".join(answer["prediction_set"])}


def _table(minerals: KnowledgeBase, language: Language) -> Writer:
    words = _WORDS[language]

    def shown(name: str) -> str:
        return terminal(minerals.display(name, language) if name in minerals else name)

    def write(outcomes: Iterable[Outcome], out: TextIO) -> int:
        status = 0
        for outcome in outcomes:
            if isinstance(outcome, PhotoError):
                status = 1
                print(
                    f"{terminal(outcome.photo)}: {words['error']}: {outcome.code}: {terminal(outcome.detail)}", file=out
                )
                continue
            decision = outcome.decision
            if decision.name == UNKNOWN:
                best = outcome.candidates[0]
                headline = f"{words['unknown']}; {words['best']} {shown(best.name)}, {best.probability:.0%}"
            else:
                name, rank = shown(decision.name), words[decision.rank]
                # "calcite group (group)" would say it twice.
                headline = f"{name if rank in name.split() else f'{name} ({rank})'}, {decision.probability:.0%}"
            print(f"{terminal(outcome.photo)}: {headline}", file=out)
            for candidate in outcome.candidates:
                bar = "█" * round(candidate.probability * 30)
                print(f"    {candidate.probability:6.1%}  {shown(candidate.name):<20} {bar}".rstrip(), file=out)
            names = [shown(name) for name in outcome.prediction_set]
            more = len(names) - _SHOWN_IN_SET
            tail = f" (+{more} {words['other']})" if more > 0 else ""
            # --among may leave nothing of the set.
            shown_set = f"{words['set']}: {', '.join(names[:_SHOWN_IN_SET])}{tail}" if names else words["none"]
            print(f"    {shown_set}", file=out, flush=True)
        print(words["caution"], file=sys.stderr)
        return status

    return write
