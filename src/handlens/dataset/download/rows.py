"""Between the manifest and the state: which URL a row stands for, and what the row becomes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from handlens.dataset.download.addresses import host_of, parse_url
from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.state import BAD, LOCAL, NO_HOST, Listed, State
from handlens.dataset.errors import BadManifestError
from handlens.dataset.manifest import Row, Status, read_rows
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import Workspace

__all__ = ["ended_rows", "listed_urls", "merged_rows"]

_STATUS: Final[dict[str, Status]] = {
    "fetched": "fetched",
    "refused": "refused",
    "failed": "failed",
    "later": "failed",
}


def listed_urls(workspace: Workspace, shard: Shard) -> Iterator[Listed]:
    """The URLs of the list that fall to this shard, each as often as it is listed.

    A host belongs to one shard, with all its URLs, so that it is asked at one pace however many machines are at work;
    photos of own folders, and what is no URL, fall to a shard by the id of the row.
    """
    for row in workspace.rows_before("download"):
        url, host = _url_of(row)
        if shard.owns(host or row.id):
            yield Listed(url, host, row.licence, row.author)


def ended_rows(workspace: Workspace, state: State, shard: Shard) -> Iterator[Row]:
    """The rows of this shard as they stand after the run, in the order of the list."""
    for row in workspace.rows_before("download"):
        url, host = _url_of(row)
        if not shard.owns(host or row.id):
            continue
        known = state.known(url)
        if known is None or known.state not in _STATUS:
            raise BadManifestError(f"{url}: the state of the download does not know what became of it")
        if known.state == "fetched":
            yield replace(
                row,
                status="fetched",
                reason=None,
                file=known.file,
                sha256=known.sha256,
                bytes=known.size,
                fetched_at=known.fetched_at,
            )
        else:
            yield replace(row, status=_STATUS[known.state], reason=known.reason)


def merged_rows(workspace: Workspace, tables: Sequence[Path]) -> Iterator[Row]:
    """The rows of the tables of all shards, in the order of the list. Raises BadManifestError where one is missing."""
    shards = [Shard(index, len(tables)) for index in range(1, len(tables) + 1)]
    readers = [read_rows(table) for table in tables]

    @functools.lru_cache(maxsize=10_000)
    def owner(key: str) -> int:
        return next(place for place, shard in enumerate(shards) if shard.owns(key))

    for row in workspace.rows_before("download"):
        _, host = _url_of(row)
        taken = next(readers[owner(host or row.id)], None)
        if taken is None or taken.id != row.id:
            raise BadManifestError(f"the tables of the {len(tables)} shards are not of this list: row {row.id}")
        yield taken


def _url_of(row: Row) -> tuple[str, str]:
    """The URL that a row is known by in the state, and its host."""
    if row.url is None:
        return f"{LOCAL}{row.path or ''}", NO_HOST
    try:
        url = parse_url(row.url)
    except NotFetched:
        return f"{BAD}{row.url}", NO_HOST
    return str(url), host_of(url)
