"""`handlens minerals [NAME]`"""

from __future__ import annotations

import argparse

from handlens.cli import options as shared
from handlens.minerals import KnowledgeBase

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens minerals`."""
    parser.add_argument("name", nargs="?", help="a mineral, by any of its names")
    shared.add_language(parser)


def run(options: argparse.Namespace) -> int:
    """Lists every name with its rank, or shows one record."""
    minerals = KnowledgeBase.load()
    if options.name is None:
        for mineral in minerals:
            print(
                f"{minerals.display(mineral.name, options.lang):<28} {mineral.rank:<8} {mineral.parent or ''}".rstrip()
            )
        return 0
    mineral = minerals.find(options.name)
    synonyms = mineral.synonyms if options.lang == "en" else mineral.synonyms_es
    below = sorted(minerals.descendants(mineral.name) - {mineral.name})
    lines = {
        "name": minerals.display(mineral.name, options.lang),
        "rank": mineral.rank,
        "belongs to": " < ".join(minerals.ancestors(mineral.name)[1:]),
        "holds": ", ".join(below),
        "english": mineral.en,
        "spanish": mineral.es,
        "synonyms": ", ".join(synonyms),
        "note": mineral.note,
        "source": mineral.source,
    }
    for what, text in lines.items():
        if text:
            print(f"{what + ':':<12} {text}")
    return 0
