"""`handlens explain PHOTO --out map.png`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from handlens.cli import options as shared
from handlens.errors import UsageError
from handlens.explain import explain, overlay
from handlens.identifier import Identifier
from handlens.photo import PhotoError
from handlens.safe_text import terminal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens explain`."""
    parser.add_argument("photo")
    parser.add_argument("--out", type=Path, required=True, metavar="MAP.png", help="the map to write")
    parser.add_argument("--label", help="explain this label in place of the most probable one")
    shared.add_photo_options(parser)
    shared.add_bundle(parser)


def run(options: argparse.Namespace) -> int:
    """Writes the map and says what it is of."""
    if options.out.suffix.lower() != ".png":
        raise UsageError(f"--out {options.out}: the map is a PNG, so its name must end in .png")
    crop = shared.crop(options.crop)
    identifier = Identifier.load(options.bundle)
    try:
        found = explain(identifier, options.photo, label=options.label, crop=crop, rotate=options.rotate)
    except PhotoError as error:
        print(f"{terminal(error.photo)}: {error.code}: {terminal(error.detail)}", file=sys.stderr)
        return 1
    # Made beside its place, so that a map that is there is a whole one.
    partial = options.out.with_name(f".{options.out.name}.partial")
    try:
        overlay(found).save(partial, format="PNG")
        partial.replace(options.out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"--out {options.out}: cannot be written: {error.strerror}") from error
    print(
        f"{terminal(options.photo)}: {found.label}, {found.probability:.0%}: warm parts speak for it, blue ones against"
    )
    if found.nearest:
        print("It looks most like these reference specimens:")
        for one in found.nearest:
            print(f"    {one.similarity:5.2f}  {terminal(one.label)}  {terminal(one.source)}")
    return 0
