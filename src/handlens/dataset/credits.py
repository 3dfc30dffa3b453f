"""Who made the photos, under which licence: `credits.csv` for programs and spreadsheets, `credits.html` to publish.

Creative Commons asks for the author's name, the licence with its address, the page of the work, and whether it was
changed. The rows are put in order on the disk, so any number of them fits.
"""

from __future__ import annotations

import csv
import html
import io
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from handlens.dataset.errors import DatasetError
from handlens.dataset.files import atomic_file
from handlens.dataset.manifest import Row

__all__ = ["COLUMNS", "CreditsSummary", "write_credits"]

COLUMNS: Final = ("photo", "label", "author", "licence", "licence_url", "page", "credit", "changes", "id")

_WITHOUT_PHOTO: Final = ("refused", "failed")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Credits</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
li { margin-block: .3rem; overflow-wrap: anywhere }
.unknown { border-inline-start: .3rem solid #b5482f; padding-inline-start: .8rem }
</style>
<h1>Credits</h1>
"""


@dataclass(frozen=True, slots=True)
class CreditsSummary:
    """What was written: `photos` credited, `without_licence` of them with no known licence, in how many `licences`."""

    csv: Path
    html: Path
    photos: int
    without_licence: int
    licences: int


def write_credits(rows: Iterable[Row], folder: Path) -> CreditsSummary:
    """Writes `credits.csv` and `credits.html` into `folder`, grouped by licence, photos without a known licence last.

    Rows of which there is no photo (refused, failed) are left out. Raises DatasetError where they cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch, _Ordered(Path(scratch) / "credits.sqlite") as ordered:
            ordered.add(_credit(row) for row in rows if row.status not in _WITHOUT_PHOTO)
            sizes = ordered.licences()
            summary = CreditsSummary(
                csv=folder / "credits.csv",
                html=folder / "credits.html",
                photos=sum(sizes.values()),
                without_licence=sizes.get("", 0),
                licences=len(sizes.keys() - {""}),
            )
            _write(summary.csv, _csv(ordered))
            _write(summary.html, _html(ordered, sizes))
    except (OSError, sqlite3.Error) as error:
        raise DatasetError(f"{folder}: the credits cannot be written: {error}") from error
    return summary


@dataclass(frozen=True, slots=True)
class _Credit:
    photo: str
    label: str
    author: str
    licence: str
    licence_url: str
    page: str
    credit: str
    changes: str
    id: str


def _credit(row: Row) -> _Credit:
    where = row.page or row.url or row.path or ""
    return _Credit(
        photo=unquote(urlsplit(where).path.rsplit("/", 1)[-1]) if row.path is None else Path(row.path).name,
        label=row.label,
        author=row.author or "",
        licence=row.licence or "",
        licence_url=row.licence_url or "",
        page=row.page or row.url or "",
        credit=row.credit or "",
        changes=_changes(row),
        id=row.id,
    )


def _changes(row: Row) -> str:
    done = ["scaled down by the source"] if row.url and "/thumb/" in row.url else []
    return ", ".join([*done, "cropped or scaled for training"] if row.processed else done) or "none"


class _Ordered:
    """The credits in a table on the disk, by licence, author and photo."""

    def __init__(self, path: Path) -> None:
        self._table = sqlite3.connect(path)

    def __enter__(self) -> _Ordered:
        self._table.execute("pragma journal_mode = off")
        self._table.execute(f"create table credits ({', '.join(COLUMNS)})")
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def add(self, credits: Iterable[_Credit]) -> None:
        rows = (tuple(_storable(getattr(credit, name)) for name in COLUMNS) for credit in credits)
        self._table.executemany(f"insert into credits values ({', '.join('?' * len(COLUMNS))})", rows)

    def licences(self) -> dict[str, int]:
        """Photos a licence, the largest first, those without one last."""
        found = self._table.execute(
            "select licence, count(*) from credits group by licence order by licence = '', count(*) desc, licence"
        )
        return dict(found.fetchall())

    def under(self, licence: str) -> Iterator[_Credit]:
        found = self._table.execute(
            f"select {', '.join(COLUMNS)} from credits where licence = ? order by author, photo, id", (licence,)
        )
        return (_Credit(*values) for values in found)

    def __iter__(self) -> Iterator[_Credit]:
        for licence in self.licences():
            yield from self.under(licence)


def _csv(credits: Iterable[_Credit]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    writer.writerow(COLUMNS)
    for credit in credits:
        # A spreadsheet would run an author's name that starts like a formula.
        values = (getattr(credit, name) for name in COLUMNS)
        writer.writerow([f"'{value}" if value.startswith(_FORMULA) else value for value in values])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


def _html(ordered: _Ordered, sizes: dict[str, int]) -> Iterator[str]:
    yield _PAGE
    known, unknown = sum(sizes.values()) - sizes.get("", 0), sizes.get("", 0)
    yield f"<p>{known:,} photos with a known licence, {unknown:,} without.</p>\n"
    for licence, count in sizes.items():
        if licence:
            yield f"<h2>{html.escape(licence)}: {count:,}</h2>\n<ul>\n"
        else:
            yield f'<section class="unknown">\n<h2>No known licence: {count:,}</h2>\n'
            yield "<p>Nothing is known that allows these photos to be passed on: they stay their authors'.</p>\n<ul>\n"
        for credit in ordered.under(licence):
            yield _item(credit)
        yield "</ul>\n" if licence else "</ul>\n</section>\n"
    yield "</html>\n"


def _item(credit: _Credit) -> str:
    told = [
        _link(credit.page, credit.photo or credit.id),
        f"({html.escape(credit.label)})",
        f"by {html.escape(credit.author)}" if credit.author else "author not known",
    ]
    if credit.credit and credit.credit != credit.author:
        told.append(f"[{html.escape(credit.credit)}]")
    if credit.licence:
        told.append(_link(credit.licence_url, credit.licence))
    return f"<li>{' '.join(told)}; changes: {html.escape(credit.changes)}</li>\n"


def _link(address: str, text: str) -> str:
    """A link where the address is one of the web, else the text alone."""
    if not address.startswith(("http://", "https://")):
        return html.escape(text)
    return f'<a href="{html.escape(address)}" rel="noopener noreferrer">{html.escape(text)}</a>'


def _write(path: Path, parts: Iterable[str]) -> None:
    with atomic_file(path) as file:
        for part in parts:
            file.write(part.encode())


def _storable(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
