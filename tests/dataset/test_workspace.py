"""The workspace: where tables are, which stage is done, and which shards are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlens.dataset.errors import MissingStageError
from handlens.dataset.files import file_digest
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import STAGES, Workspace

ROWS = [Row("1", "quartz", "listed"), Row("2", "calcite", "listed")]
INFO = TableInfo("check", {"near": 6}, ("ab",))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def test_a_stage_reads_the_table_of_the_one_before(workspace: Workspace) -> None:
    assert workspace.write(ROWS, TableInfo("filter", {})) == 2
    assert list(workspace.rows("filter")) == ROWS
    assert list(workspace.rows_before("download")) == ROWS
    assert workspace.inputs("download") == (file_digest(workspace.table("filter")),)
    assert workspace.info("download", {"a": 1}) == TableInfo("download", {"a": 1}, workspace.inputs("download"))


def test_a_missing_table_says_what_to_run(workspace: Workspace) -> None:
    for stage, before in zip(STAGES[1:], STAGES, strict=False):
        with pytest.raises(MissingStageError, match=f"`{before}`"):
            workspace.rows_before(stage)
        with pytest.raises(MissingStageError, match=f"`{before}`"):
            workspace.inputs(stage)
    with pytest.raises(MissingStageError, match="handlens dataset check"):
        workspace.rows("check")


def test_the_first_stage_has_none_before_it(workspace: Workspace) -> None:
    workspace.write(ROWS, TableInfo("prepare", {}))
    with pytest.raises(ValueError, match="filter"):
        workspace.rows_before("filter")
    with pytest.raises(ValueError, match="filter"):
        workspace.inputs("filter")


def test_done_is_the_same_settings_from_the_same_inputs(workspace: Workspace) -> None:
    assert not workspace.is_done(INFO)
    workspace.write(ROWS, INFO)
    assert workspace.is_done(INFO)
    assert not workspace.is_done(TableInfo("check", {"near": 7}, ("ab",)))
    assert not workspace.is_done(TableInfo("check", {"near": 6}, ("cd",)))
    assert not workspace.is_done(TableInfo("balance", {"near": 6}, ("ab",)))
    assert not workspace.is_done(INFO, Shard(1, 2))


def test_a_damaged_table_is_not_done(workspace: Workspace) -> None:
    workspace.write(ROWS, INFO)
    whole = workspace.table("check").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"PAR1" + bytes(len(whole))):
        workspace.table("check").write_bytes(content)
        assert not workspace.is_done(INFO)


def test_shards_count_when_all_of_them_are_there(workspace: Workspace) -> None:
    assert workspace.finished_shards(INFO) == ()
    shards = [Shard(index, 3) for index in (1, 2, 3)]
    for shard in (shards[2], shards[0]):
        workspace.write([], INFO, shard)
        assert workspace.finished_shards(INFO) == ()
    workspace.write(ROWS, INFO, shards[1])
    assert workspace.finished_shards(INFO) == tuple(workspace.table("check", shard) for shard in shards)
    assert not workspace.is_done(INFO)
    assert workspace.finished_shards(TableInfo("check", {"near": 7}, ("ab",))) == ()


def test_a_shard_with_other_settings_does_not_count(workspace: Workspace) -> None:
    workspace.write(ROWS, INFO, Shard(1, 2))
    workspace.write(ROWS, TableInfo("check", {"near": 7}, ("ab",)), Shard(2, 2))
    assert workspace.finished_shards(INFO) == ()


def test_whole_shards_are_found_beside_parts_of_others(workspace: Workspace) -> None:
    workspace.write(ROWS, INFO, Shard(1, 10))
    workspace.write(ROWS, INFO, Shard(1, 2))
    workspace.write(ROWS, INFO, Shard(2, 2))
    (workspace.stages / "check.1-of-2 (copy).parquet").write_bytes(b"")
    (workspace.stages / "check.1-of-.parquet").write_bytes(b"")
    assert [path.name for path in workspace.finished_shards(INFO)] == ["check.1-of-2.parquet", "check.2-of-2.parquet"]


def test_names_of_tables(workspace: Workspace) -> None:
    names = {
        workspace.table(stage, shard).name for stage in STAGES for shard in (Shard(1, 1), Shard(1, 2), Shard(2, 2))
    }
    assert len(names) == 3 * len(STAGES)
