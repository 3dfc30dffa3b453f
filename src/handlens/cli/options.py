"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from handlens.errors import UsageError
from handlens.identifier import DEFAULT_TOP
from handlens.minerals.properties import WORDS
from handlens.photo import Crop, PhotoError

if TYPE_CHECKING:
    from handlens.evidence import Evidence

__all__ = [
    "add_bundle",
    "add_evidence",
    "add_language",
    "add_photo_options",
    "add_thorough",
    "add_top",
    "among",
    "crop",
    "evidence",
]


TESTS: Final = (
    f"lustre: {', '.join(WORDS['lustre'])}; transparency: {', '.join(WORDS['transparency'])}; cleavage: none, poor, "
    f"good, perfect; magnet: {', '.join(WORDS['magnetism'])}; acid: none, warm, weak, vigorous; fluorescence: no, yes; "
    "heft: light, medium, heavy, very heavy; nail: no, yes; coin: no, yes; knife: no, yes; glass: no, yes; file: no, "
    "yes"
)
"""`handlens.field_tests.CHOICES` without the streak, as text: to import that takes time that most runs need not."""


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """--bundle."""
    parser.add_argument(
        "--bundle", metavar="DIR", help="a model bundle, directory or .zip; small: the smaller one that ships"
    )


def add_language(parser: argparse.ArgumentParser) -> None:
    """--lang."""
    parser.add_argument("--lang", choices=("en", "es"), default="en", help="language of what people read (default: en)")


def add_top(parser: argparse.ArgumentParser) -> None:
    """--top and --among."""
    parser.add_argument("--top", type=int, default=DEFAULT_TOP, metavar="N", help="candidates to give (default: 5)")
    parser.add_argument(
        "--among",
        metavar="NAMES|@FILE",
        help="choose among these labels only: comma-separated, @FILE with one a line, or origin-ten",
    )


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """--crop and --rotate."""
    parser.add_argument("--crop", metavar="X,Y,W,H", help="look at this rectangle only, in pixels of the upright photo")
    parser.add_argument(
        "--rotate", type=_quarter_turn, default=0, metavar="DEGREES", help="turn clockwise first: 90, 180 or 270"
    )


def add_thorough(parser: argparse.ArgumentParser) -> None:
    """--thorough."""
    parser.add_argument(
        "--thorough", action="store_true", help="look at each photo in more ways: slower, and right more often"
    )


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """--hardness, --streak, --gravity and --test."""
    group = parser.add_argument_group("what simple tests said of the specimen")
    group.add_argument("--hardness", metavar="MOHS", help="3, 3+-0.5 or 2.5-3.5")
    group.add_argument("--streak", metavar="COLOUR", help=f"{', '.join(WORDS['streak'])}, or measured: #c8b46e")
    group.add_argument("--gravity", metavar="SG", help="specific gravity: 2.7, 2.7+-0.1 or 2.6-2.8")
    group.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"any other, such as acid=none; may be given several times. {TESTS}",
    )


def _quarter_turn(text: str) -> int:
    degrees = int(text)
    if degrees % 90:
        raise argparse.ArgumentTypeError(f"{degrees}: a photo can be turned by 90, 180 or 270 degrees")
    return degrees


def among(text: str | None) -> list[str] | None:
    """The names that --among gives. Raises UsageError where its file cannot be read or holds none."""
    if text is None:
        return None
    if not text.startswith("@"):
        names = text.split(",")
    else:
        try:
            names = Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise UsageError(f"--among {text}: the file cannot be read: {error}") from error
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise UsageError("--among names no label")
    return names


def crop(text: str | None) -> Crop | None:
    """The rectangle that --crop gives. Raises UsageError."""
    if text is None:
        return None
    try:
        return Crop.parse(text)
    except PhotoError as error:
        raise UsageError(f"--crop {text}: {error.detail}") from error


def evidence(options: argparse.Namespace) -> Evidence | None:
    """What the options of `add_evidence` give. Raises UsageError."""
    if options.hardness is options.streak is options.gravity is None and not options.test:
        return None
    from handlens.evidence import BadEvidenceError
    from handlens.evidence_fields import evidence_of_fields

    try:
        return evidence_of_fields(
            hardness=options.hardness, streak=options.streak, gravity=options.gravity, tests=options.test
        )
    except BadEvidenceError as error:
        raise UsageError(error.detail) from error
