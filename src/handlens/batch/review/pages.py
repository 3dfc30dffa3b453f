"""The review page: cards of photos to look through, accept and correct.

    review/index.html        what the run came to, and which pages have what a filter looks for
    review/page-0001.html …  240 rows each, with small pictures in the file itself

No page asks for anything: styles and script stand in it and are named by their hashes in its Content-Security-Policy,
pictures are data URIs. No text from outside gets into the script or the styles, and Jinja2 escapes all of it elsewhere.
Corrections are kept by the browser until they are exported as a CSV with the columns `file`, `label` and `group`, which
`handlens train` takes.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from handlens import __version__
from handlens.batch.rows import ResultRow
from handlens.batch.summary import Summary
from handlens.dataset.files import write_atomically
from handlens.decision import UNKNOWN

__all__ = ["ROWS_A_PAGE", "Review"]

ROWS_A_PAGE: Final = 240
_FOLDER: Final = Path(__file__).parent
_FLAGS: Final = {"unknown": 1, "disagrees": 2, "suspected": 4, "failed": 8}
_PACKED: Final = struct.Struct("<HBB")
"""Of a row for the index: the place of its name, its probability in per cent, its flags."""
_MOST_NAMES: Final = 2**16


@dataclass(frozen=True, slots=True)
class Card:
    """A row as it is shown. `files`: the photos that a correction is of, none where their names are no valid text."""

    photo: str
    files: tuple[str, ...]
    group: str
    name: str
    rank: str
    percent: int
    candidates: tuple[tuple[str, int], ...]
    label: str
    suspected: str
    error: str
    detail: str
    flags: tuple[str, ...]
    picture: str
    link: str

    @property
    def accepted_as(self) -> str:
        """The label that accepting it gives; "" where there is no name to accept."""
        return "" if self.error or self.name == UNKNOWN else self.name


class Review:
    """Takes the rows in their order and writes a page whenever one is full."""

    def __init__(self, folder: Path, run: str, minerals: tuple[str, ...]) -> None:
        """`run`: what tells this run's corrections from another's. `minerals`: names to offer for a correction."""
        self._folder, self._run, self._minerals = folder, run, minerals
        self._cards: list[Card] = []
        self._names: dict[str, int] = {}
        self._packed = bytearray()
        self._pages = 0

    def add(self, row: ResultRow) -> None:
        """The next row. Raises OSError."""
        if len(self._cards) == ROWS_A_PAGE:
            self._write(last=False)
        card = _card(row)
        self._cards.append(card)
        place = self._names.setdefault(card.name, min(len(self._names), _MOST_NAMES - 1))
        self._packed += _PACKED.pack(place, card.percent, sum(_FLAGS[flag] for flag in card.flags))

    def finish(self, summary: Summary) -> None:
        """Writes the last page and the index, and deletes pages of a longer run before. Raises OSError."""
        self._write(last=True)
        index = {"rows": base64.b64encode(self._packed).decode("ascii"), "names": list(self._names)}
        index |= {"size": ROWS_A_PAGE, "pages": self._pages, "flags": _FLAGS}  # type: ignore[dict-item]
        html = _render("index", run=self._run, index=index, summary=summary, names=sorted(filter(None, self._names)))
        write_atomically(self._folder / "index.html", html)
        for page in self._folder.glob("page-*.html"):
            number = page.stem.removeprefix("page-")
            if number.isdecimal() and int(number) > self._pages:
                page.unlink()

    def _write(self, *, last: bool) -> None:
        self._pages += 1
        number = self._pages
        names = sorted({card.name for card in self._cards} - {""})
        html = _render(
            "page",
            run=self._run,
            cards=self._cards,
            names=names,
            minerals=self._minerals,
            number=number,
            before=_file(number - 1) if number > 1 else "",
            after="" if last else _file(number + 1),
        )
        write_atomically(self._folder / _file(number), html)
        self._cards = []


def _file(number: int) -> str:
    return f"page-{number:04d}.html"


def _card(row: ResultRow) -> Card:
    document, failure, answer, unit = row.document, row.failure, row.answer, row.unit
    names = [photo.name for photo in unit.photos]
    candidates = tuple((one["name"], round(100 * one["probability"])) for one in document.get("candidates", []))
    name = answer.name if answer else ""
    flags = {
        "unknown": name == UNKNOWN,
        "disagrees": row.agrees is False,
        "suspected": row.suspicion is not None,
        "failed": failure is not None,
    }
    first = unit.photos[0]
    picture = base64.b64encode(answer.thumbnail).decode("ascii") if answer and answer.thumbnail else ""
    return Card(
        photo=_shown(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
        files=tuple(names) if all(one == _shown(one) for one in names) else (),
        group=unit.specimen,
        name=name,
        rank=answer.rank if answer else "",
        percent=round(100 * answer.probability) if answer else 0,
        candidates=candidates[:9],
        label=unit.label,
        suspected=row.suspicion.name if row.suspicion else "",
        error=failure.code if failure else "",
        detail=_shown(f"{failure.photo}: {failure.detail}") if failure else "",
        flags=tuple(flag for flag, holds in flags.items() if holds),
        picture=f"data:image/jpeg;base64,{picture}" if picture else "",
        link=Path(first.where).as_uri() if first.kind == "file" and Path(first.where).is_absolute() else "",
    )


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _render(template: str, **values: Any) -> str:
    style, script = _asset("review.css"), _asset("review.js")
    policy = (
        "default-src 'none'",
        "img-src data:",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return (
        _environment()
        .get_template(f"{template}.html.jinja")
        .render(
            policy="; ".join(policy),
            style=Markup(style),  # the package's own files, the only text that is not escaped
            script=Markup(script),
            version=__version__,
            **values,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


@cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
