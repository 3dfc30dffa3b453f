"""Several machines: every host belongs to one of them, and together they make the same table."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from dataset.download.conftest import HOSTS, quick, told
from dataset.loopback import PHOTOS, Loopback, drawn_photo, photo
from handlens.dataset.download import download, state_file
from handlens.dataset.errors import BadManifestError
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import Workspace

SHARDS = [Shard(index, 3) for index in (1, 2, 3)]


@pytest.fixture
def machines(server: Loopback, tmp_path: Path) -> list[Workspace]:
    """One machine that does everything, and three that have a copy of the list."""
    own = tmp_path / "own.jpg"
    own.write_bytes(drawn_photo(99))
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[number]) for number in range(10)}
    rows = [
        Row(f"{place:016x}", "quartz", "listed", url=server.url(f"/{place % 11}.jpg", HOSTS[place % 5]))
        for place in range(50)
    ]
    rows[20:20] = [Row(f"a{place:015x}", "gold", "listed", path=str(own)) for place in range(6)]
    rows[30:30] = [Row(f"b{place:015x}", "gold", "listed", url=f"no address {place}") for place in range(4)]
    workspaces = [Workspace(tmp_path / name) for name in ("alone", "first", "second", "third")]
    for workspace in workspaces:
        workspace.write(rows, TableInfo("filter", {}))
    return workspaces


def merge(into: Workspace, others: list[Workspace]) -> None:
    for other in others:
        for path in (*other.images.rglob("*.*"), *other.stages.glob("*")):
            target = into.root / path.relative_to(other.root)
            target.parent.mkdir(exist_ok=True)
            if not target.exists():
                shutil.copy(path, target)


def test_shards_ask_their_own_hosts_and_merge_to_the_same_table(server: Loopback, machines: list[Workspace]) -> None:
    alone, *others = machines
    download(alone, quick())
    server.forget()
    asked: dict[str, set[int]] = defaultdict(set)
    for workspace, shard in zip(others, SHARDS, strict=True):
        download(workspace, quick(), shard=shard)
        assert not workspace.table("download").exists()
        for entry in server.asked():
            asked[entry.host].add(shard.index)
        server.forget()
    assert len(asked) == 5
    assert all(len(shards) == 1 for shards in asked.values())
    assert len(set().union(*asked.values())) > 1
    merge(others[0], others[1:])
    download(others[0], quick())
    assert not server.log
    assert told(others[0]) == told(alone)
    assert all((others[0].root / str(row.file)).is_file() for row in others[0].rows("download") if row.file)
    download(others[0], quick())  # done
    assert not server.log


def test_what_shards_left_undone_is_done_without_them(server: Loopback, machines: list[Workspace]) -> None:
    alone, first, second, _ = machines
    download(alone, quick())
    download(first, quick(), shard=SHARDS[0])
    download(second, quick(), shard=SHARDS[1])
    merge(first, [second])
    done = {asked.host for workspace, shard in ((first, SHARDS[0]), (second, SHARDS[1])) for asked in server.asked()
            if shard.owns(asked.host)}  # fmt: skip
    server.forget()
    download(first, quick())
    assert told(first) == told(alone)
    assert done
    assert not [entry for entry in server.asked() if entry.host in done and entry.status == 200]
    assert state_file(first).exists()


def test_tables_of_another_list_do_not_merge(server: Loopback, machines: list[Workspace]) -> None:
    _, *others = machines
    for workspace, shard in zip(others, SHARDS, strict=True):
        download(workspace, quick(), shard=shard)
    merge(others[0], others[1:])
    shutil.copy(others[0].table("download", SHARDS[0]), others[0].table("download", SHARDS[1]))
    with pytest.raises(BadManifestError, match="shards"):
        download(others[0], quick())
