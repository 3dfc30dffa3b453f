"""Labels in, a list of photos with rights out."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from handlens.dataset.commons.categories import Category, find_categories, walk
from handlens.dataset.commons.client import Api
from handlens.dataset.commons.errors import CommonsError
from handlens.dataset.commons.journal import Found, Journal
from handlens.dataset.commons.photos import METADATA, CommonsPhoto, LeftOut, read_photo
from handlens.dataset.commons.rules import Subject
from handlens.dataset.commons.settings import CommonsSettings
from handlens.dataset.files import write_atomically
from handlens.dataset.labels import LabelReader
from handlens.errors import UsageError
from handlens.minerals import Mineral

__all__ = ["COLUMNS", "CommonsSummary", "LabelSummary", "fetch_commons"]

COLUMNS: Final = ("url", "label", "page", "author", "licence", "licence_url", "credit", "title", "sha1")
"""Of the list; `sha1` is that of the original file on Commons."""

_PHOTOS_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """What Commons has for one label: photos to take, files left out by reason, and the categories looked into.

    No category: Commons has none of this name. `asked` is False where an earlier run had done it.
    """

    label: str
    photos: int
    left_out: tuple[tuple[str, int], ...]
    categories: tuple[str, ...]
    asked: bool


@dataclass(frozen=True, slots=True)
class CommonsSummary:
    """What was written: `photos` rows in `out`, whatever was left out in `left_out`, after `requests` requests."""

    out: Path
    left_out: Path
    photos: int
    requests: int
    labels: tuple[LabelSummary, ...]


def fetch_commons(
    labels: Sequence[str],
    out: Path,
    settings: CommonsSettings,
    *,
    reader: LabelReader | None = None,
    progress: bool = False,
) -> CommonsSummary:
    """Lists the photos that Wikimedia Commons has of minerals, with author and licence, as a CSV that `filter` reads.

    A photo found under several labels is one row that names them all. Beside `out`, `NAME.left-out.csv` says which
    files and categories were left out and why. A label is asked for once: after a failure or a kill the same call goes
    on with the next one. Raises UnknownMineralError (before anything is asked), UsageError for no labels, CommonsError
    where Commons cannot be asked or the list cannot be written.
    """
    reader = reader or LabelReader()
    minerals = tuple(dict.fromkeys(reader.minerals.find(label) for label in labels))
    if not minerals:
        raise UsageError("give at least one label")
    try:
        found, asked, requests = asyncio.run(_ask(minerals, Journal(out, settings), settings, reader, progress))
        beside = out.with_name(f"{out.stem}.left-out.csv")
        rows = _rows(found, reader)
        write_atomically(beside, _csv(("label", "title", "reason", "seen_by"), _left_out(found)))
        write_atomically(out, _csv(COLUMNS, rows))
        Journal(out, settings).remove()
    except OSError as error:
        raise CommonsError(f"{error.filename or out}: cannot be written: {error.strerror or error}") from error
    told = tuple(_summary(one, one.label in asked) for one in found)
    return CommonsSummary(out, beside, len(rows), requests, told)


async def _ask(
    minerals: Iterable[Mineral], journal: Journal, settings: CommonsSettings, reader: LabelReader, progress: bool
) -> tuple[list[Found], set[str], int]:
    """What is found of every label, which of them were asked for now, and the requests that took."""
    found: list[Found] = []
    asked: set[str] = set()
    async with Api(settings) as api:
        with tqdm(minerals, desc="commons", unit=" labels", disable=not progress, leave=False) as bar:
            for mineral in bar:
                bar.set_postfix_str(mineral.name)
                known = journal.read(mineral.name)
                if known is None:
                    known = await _one(api, Subject(mineral, reader), settings)
                    journal.write(known)
                    asked.add(mineral.name)
                found.append(known)
        return found, asked, api.requests


async def _one(api: Api, subject: Subject, settings: CommonsSettings) -> Found:
    """All photos of one mineral."""
    categories: list[str] = []
    photos: dict[str, CommonsPhoto] = {}
    left_out: dict[str, LeftOut] = {}
    seen: set[str] = set()
    roots = await find_categories(api, subject.names)
    async with aclosing(walk(api, roots, subject, settings.depth)) as steps:
        async for step in steps:
            if step.reason is not None:
                left_out[step.category.title] = LeftOut(step.category.title, step.reason, step.category.name)
                continue
            categories.append(step.category.name)
            async with aclosing(_files(api, step.category, settings)) as pages:
                async for page in pages:
                    title = str(page.get("title", ""))
                    if title in seen:
                        continue
                    seen.add(title)
                    read = read_photo(page, subject, settings)
                    if isinstance(read, LeftOut):
                        left_out[title] = read
                    else:
                        photos.setdefault(read.url, read)
                    if len(seen) == settings.most:
                        break
            if len(seen) == settings.most:
                break
    return Found(subject.mineral.name, tuple(categories), tuple(photos.values()), tuple(left_out.values()))


async def _files(api: Api, category: Category, settings: CommonsSettings) -> AsyncGenerator[dict[str, Any], None]:
    """The pages of the files in one category, with what is known of each."""
    if not category.files:
        return
    width = {"iiurlwidth": settings.width} if settings.width else {}
    query = api.query(
        generator="categorymembers",
        gcmtitle=category.title,
        gcmtype="file",
        gcmlimit=_PHOTOS_AT_ONCE,
        prop="imageinfo",
        iiprop="url|size|mime|sha1|extmetadata",
        iiextmetadatafilter="|".join(METADATA),
        iiextmetadatalanguage="en",
        **width,
    )
    async with aclosing(query) as batches:
        async for batch in batches:
            for page in batch.get("pages", ()):
                yield page


def _rows(found: Iterable[Found], reader: LabelReader) -> list[tuple[str, ...]]:
    """One row a photo, with all the labels it was found under and all that its categories name."""
    photos: dict[str, CommonsPhoto] = {}
    names: dict[str, dict[str, None]] = {}
    for one in found:
        for photo in one.photos:
            photos.setdefault(photo.url, photo)
            names.setdefault(photo.url, {}).update(dict.fromkeys((one.label, *photo.others)))
    rows: list[tuple[str, ...]] = []
    for url, photo in photos.items():
        above = {up for name in names[url] for up in reader.minerals.ancestors(name)[1:]}
        label = ", ".join(name for name in names[url] if name not in above)
        told = (photo.page, photo.author, photo.licence, photo.licence_url, photo.credit, photo.title, photo.sha1)
        rows.append((url, label, *told))
    return rows


def _left_out(found: Iterable[Found]) -> Iterable[tuple[str, ...]]:
    return ((one.label, file.title, file.reason, file.seen_by) for one in found for file in one.left_out)


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _summary(found: Found, asked: bool) -> LabelSummary:
    reasons = Counter(one.reason for one in found.left_out)
    ordered = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    return LabelSummary(found.label, len(found.photos), ordered, found.categories, asked)
