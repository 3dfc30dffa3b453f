"""`handlens similar PHOTO --index RUN`"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from handlens.cli import options as shared
from handlens.cli.extras import need
from handlens.errors import UsageError
from handlens.identifier import Identifier
from handlens.photo import PhotoError
from handlens.safe_text import terminal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens similar`."""
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument(
        "--index", type=Path, required=True, metavar="RUN", help="the folder of a run of `handlens batch --index`"
    )
    parser.add_argument("--top", type=int, default=10, metavar="N", help="specimens to give (default: 10)")
    parser.add_argument("--format", choices=("table", "jsonl"), default="table", help="default: table")
    shared.add_bundle(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the nearest specimens; 1 if the photo cannot be read."""
    need("batch", "pyarrow", "jinja2", "fsspec")
    if options.top < 1:
        raise UsageError(f"--top {options.top}: it must be 1 or more")
    from handlens.batch.similar import Index, embedding_of

    identifier = Identifier.load(options.bundle)
    index = Index(options.index, identifier)
    try:
        embedding = embedding_of(identifier, options.photo)
    except PhotoError as error:
        print(f"{terminal(error.photo)}: {error.code}: {terminal(error.detail)}", file=sys.stderr)
        return 1
    for neighbour in index.nearest(embedding, options.top):
        if options.format == "jsonl":
            print(json.dumps(neighbour.as_dict()))
        else:
            print(f"{neighbour.similarity:7.4f}  {neighbour.name:20}  {terminal(neighbour.photo)}")
    return 0
