"""`handlens minerals [NAME]`"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Any

from handlens.cli import options as shared
from handlens.minerals import KnowledgeBase

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens minerals`."""
    parser.add_argument("name", nargs="?", help="a mineral, by any of its names")
    shared.add_language(parser)
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")


def run(options: argparse.Namespace) -> int:
    """Lists every name with its rank, or shows one record."""
    minerals = KnowledgeBase.load()
    if options.name is None:
        _list(minerals, options)
        return 0
    name = minerals.find(options.name).name
    if options.format == "json":
        from handlens.minerals import document

        _print_json(document.record(minerals, name))
        return 0
    from handlens.minerals.description import described

    _print_table(described(minerals, name, options.lang))
    return 0


def _list(minerals: KnowledgeBase, options: argparse.Namespace) -> None:
    if options.format == "json":
        from handlens.minerals import document

        _print_json({"minerals": [document.entry(minerals, mineral) for mineral in minerals]})
        return
    for mineral in minerals:
        print(f"{minerals.display(mineral.name, options.lang):<28} {mineral.rank:<8} {mineral.parent or ''}".rstrip())


def _print_json(content: Mapping[str, Any]) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=2))


def _print_table(lines: Iterable[tuple[str, str]]) -> None:
    shown = [(f"{title}:", text) for title, text in lines]
    width = max(len(title) for title, _ in shown)
    for title, text in shown:
        print(f"{title:<{width}} {text}")
