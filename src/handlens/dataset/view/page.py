"""The HTML of the report, from what was counted and drawn.

The page is one file that asks for nothing: styles and script stand in it and are named by their hashes in its
Content-Security-Policy, pictures are data URIs. No text from outside gets into the script or the styles, and Jinja2
escapes all of it in the page.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from handlens import __version__
from handlens.dataset.source import Source
from handlens.dataset.view.charts import HEIGHT, WIDTH
from handlens.dataset.view.settings import ViewSettings
from handlens.dataset.view.tally import FATES, LabelTally, Tally, fate_of
from handlens.dataset.view.thumbnails import Thumbnail
from handlens.dataset.view.words import FATE_WORDS, STATUS_WORDS

__all__ = ["Content", "LabelLine", "label_line", "page", "split_order"]

_FOLDER: Final = Path(__file__).parent
_MOST_LINES: Final = 200
"""Lines of a table other than that of the labels."""

_MOST_SPLITS: Final = 8
_SPLIT_ORDER: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of a label's bar, in per cent of its width."""

    fate: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A label as the page shows it; `fates` and `splits` are counts in the order of the table's columns."""

    number: int
    name: str
    rows: int
    fates: tuple[int, ...]
    splits: tuple[int, ...]
    segments: tuple[Segment, ...]
    colour: str | None
    sheet: tuple[Thumbnail, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """All that the page shows.

    `cut`: pictures that did not fit. `sampled`: whether photos were measured for the report, a random sample of them,
    and `unread`: how many of it cannot be read.
    """

    source: Source
    tally: Tally
    labels: list[LabelLine]
    set_aside: dict[str, list[Thumbnail]]
    duplicates: list[tuple[Thumbnail, Thumbnail]]
    conflicts: list[Thumbnail]
    cut: int
    sampled: bool
    unread: int
    settings: ViewSettings


def split_order(splits: Iterable[str]) -> tuple[str, ...]:
    """Names of splits in the order people expect: train, validation, test, then the others by name; at most eight."""
    known = [name for name in _SPLIT_ORDER if name in set(splits)]
    return (*known, *sorted(set(splits) - set(known)))[:_MOST_SPLITS]


def label_line(number: int, name: str, label: LabelTally, most: int, splits: tuple[str, ...]) -> LabelLine:
    """The line of a label; its bar is as long as its share of the rows of the largest label, `most`."""
    segments, x = [], 0.0
    for fate in FATES:
        width = 100 * label.fates[fate] / most
        if width:
            segments.append(Segment(fate, round(x, 3), round(width, 3)))
        x += width
    fates = tuple(label.fates[fate] for fate in FATES)
    counts = tuple(label.splits[split] for split in splits)
    return LabelLine(number, name, label.rows, fates, counts, tuple(segments), label.colour)


def page(content: Content) -> str:
    """The whole page."""
    tally = content.tally
    fates: Counter[str] = Counter()
    for (status, _), number in tally.statuses.items():
        fates[fate_of(status)] += number
    style, script = _asset("report.css"), _asset("report.js")
    return _template().render(
        policy="; ".join(
            (
                "default-src 'none'",
                "img-src data:",
                f"style-src '{_hash(style)}'",
                f"script-src '{_hash(script)}'",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        style=Markup(style),  # the package's own files, the only text that is not escaped
        script=Markup(script),
        version=__version__,
        content=content,
        tally=tally,
        source=content.source,
        labels=content.labels,
        fates=fates,
        fate_order=FATES,
        fate_words=FATE_WORDS,
        status_words=STATUS_WORDS,
        overall=label_line(0, "", LabelTally(fates=fates), max(tally.rows, 1), ()).segments,
        splits=split_order(tally.splits),
        statuses=sorted(tally.statuses.items(), key=lambda item: (-item[1], item[0]))[:_MOST_LINES],
        flags=tally.flags.most_common(_MOST_LINES),
        licences=tally.licences.most_common(_MOST_LINES),
        pairs=tally.conflicts.most_common(_MOST_LINES),
        reasons=tally.set_aside_rows.most_common(_MOST_LINES),
        formats=tally.measures.formats.most_common(20),
        charts=tally.measures.charts(),
        notes=_notes(content),
        chart_width=WIDTH,
        chart_height=HEIGHT,
    )


def _notes(content: Content) -> list[str]:
    tally, settings = content.tally, content.settings
    notes = []
    if len(content.labels) < len(tally.labels):
        notes.append(f"{len(content.labels):,} of {len(tally.labels):,} labels are listed, the largest first.")
    if content.cut:
        limit = settings.most_bytes / 2**20
        notes.append(f"{content.cut:,} small pictures are left out, which would take more than {limit:.3g} MiB.")
    if content.sampled:
        notes.append(f"Sizes and colours are those of {tally.measured:,} photos drawn at random.")
    if content.unread:
        notes.append(f"{content.unread:,} of the photos drawn at random cannot be read.")
    sizes = {
        "reasons": len(tally.statuses),
        "flags": len(tally.flags),
        "licences": len(tally.licences),
        "pairs of labels": len(tally.conflicts),
    }
    notes.extend(f"{_MOST_LINES} of {size:,} {name} are listed." for name, size in sizes.items() if size > _MOST_LINES)
    return notes


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment.get_template("report.html.jinja")


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
