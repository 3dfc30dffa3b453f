"""The stage: from the selected list to photos in images/ and a table that says of each row what became of it."""

from __future__ import annotations

import json
from pathlib import Path

from aiohttp.abc import AbstractResolver

from handlens.dataset.download.engine import run
from handlens.dataset.download.plan import Plan, plan_of
from handlens.dataset.download.processes import helping
from handlens.dataset.download.report import DownloadSummary, summary_of_run, summary_of_table
from handlens.dataset.download.rows import ended_rows, listed_urls, merged_rows
from handlens.dataset.download.saving import recover
from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.download.state import State, state_file
from handlens.dataset.errors import BadConfigError
from handlens.dataset.shards import WHOLE, Shard
from handlens.dataset.workspace import Workspace

__all__ = ["download", "plan"]

_STAGE = "download"


def download(
    workspace: Workspace,
    settings: DownloadSettings,
    *,
    shard: Shard = WHOLE,
    progress: bool = False,
    refresh: bool = False,
    resolver: AbstractResolver | None = None,
) -> DownloadSummary:
    """Fetches what the list names and is not there yet, and writes the stage's table.

    Returns at once where the table is there and no row is owed: none that failed for now. What failed for now is asked
    for again by every run. `refresh`: ask for everything again, with conditional requests for what is there; not where
    it comes from tables of shards. `resolver`: looks names up in place of the system's.

    SIGINT ends the run: the summary says so, no table is written, and the next run goes on. Raises MissingStageError,
    BadConfigError (no contact), DatasetError (another run is at work here; the state is damaged), OSError.
    """
    info = workspace.info(_STAGE, settings.rules())
    table, file = workspace.table(_STAGE, shard), state_file(workspace, shard)
    if workspace.is_done(info, shard) and not refresh and not _owed(file):
        return summary_of_table(table, None)
    if shard == WHOLE and not refresh and not file.exists() and (tables := workspace.finished_shards(info)):
        workspace.write(merged_rows(workspace, tables), info)
        return summary_of_table(table, None)
    with helping(workspace, settings, shard) as helpers, State(file, shared=helpers is not None) as state:
        _load(state, workspace, shard, info.inputs[0])
        state.begin(json.dumps(settings.rules(), sort_keys=True), refresh=refresh)
        recover(workspace, state)
        if settings.contact is None and any(settings.acknowledges(host) for host, _ in state.hosts()):
            raise BadConfigError("download needs `contact`: an address that hosts can write to, sent in the User-Agent")
        ran = run(workspace, state, settings, progress=progress, resolver=resolver, helpers=helpers)
        if ran.interrupted:
            return summary_of_run(state, ran)
        workspace.write(ended_rows(workspace, state, shard), info, shard)
        state.end()
    return summary_of_table(table, ran)


def plan(workspace: Workspace, settings: DownloadSettings, *, shard: Shard = WHOLE, refresh: bool = False) -> Plan:
    """What `download` would do. Asks nobody; enters the list in the state. Raises as `download` does."""
    with State(state_file(workspace, shard)) as state:
        _load(state, workspace, shard, workspace.inputs(_STAGE)[0])
        return plan_of(state.by_host(refresh=refresh), settings)


def _owed(file: Path) -> bool:
    if not file.exists():
        return False
    with State(file) as state:
        return state.owed() > 0


def _load(state: State, workspace: Workspace, shard: Shard, digest: str) -> None:
    state.load(listed_urls(workspace, shard), digest)
    if shard == WHOLE:
        for other in sorted(workspace.stages.glob(f"{_STAGE}.*-of-*.sqlite")):
            state.adopt(other)
