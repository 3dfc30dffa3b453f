"""What the tests of the download share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dataset.loopback import Loopback, loopback
from handlens.dataset.download import DownloadSettings, HostSettings
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 10))


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def quick(*, acknowledged: Iterable[str] = HOSTS, **changed: Any) -> DownloadSettings:
    """Settings that wait for nothing."""
    told: dict[str, Any] = {
        "contact": "tests@example.org",
        "hosts": {host: HostSettings(terms_acknowledged=True) for host in acknowledged},
        "rate": 0,
        "concurrency": 4,
        "timeout": 5,
        "total_timeout": 10,
        "backoff": 0.01,
        "breaker_after": 1000,
        "breaker_pause": 0.05,
        "allow_private": True,
    }
    return DownloadSettings(**told | changed)


def listed(number: int, url: str | None, **more: Any) -> Row:
    return Row(id=f"{number:016x}", label="quartz", status="listed", url=url, **more)


def write_list(workspace: Workspace, urls: Iterable[str], *, name: str = "test") -> None:
    """The table of `filter` with these URLs."""
    rows = (listed(number, url, licence="CC BY 4.0", author=f"author {number}") for number, url in enumerate(urls))
    workspace.write(rows, TableInfo("filter", {"name": name}))


def ends(workspace: Workspace) -> list[tuple[str, str | None]]:
    """Status and reason of every row, in order."""
    return [(row.status, row.reason) for row in workspace.rows("download")]


def told(workspace: Workspace) -> list[dict[str, Any]]:
    """Every row without the time it was fetched at."""
    return [asdict(row) | {"fetched_at": None} for row in workspace.rows("download")]
