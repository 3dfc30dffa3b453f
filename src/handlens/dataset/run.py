"""All stages, one after the other, as a configuration says; what is done already is not done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handlens.dataset.balance import BalanceSummary, balance
from handlens.dataset.check import CheckSummary, check
from handlens.dataset.commons import CommonsSettings, CommonsSummary, fetch_commons
from handlens.dataset.config import DatasetConfig
from handlens.dataset.download import DownloadSummary, Plan, download, plan
from handlens.dataset.files import write_atomically
from handlens.dataset.filter import FilterSummary, filter_list
from handlens.dataset.finish import FinishSummary, finish
from handlens.dataset.prepare import PrepareSummary, prepare
from handlens.dataset.split import SplitSummary, split
from handlens.dataset.view import view
from handlens.dataset.workspace import STAGES, Workspace

__all__ = ["Done", "Summary", "run_stages"]

Summary = (
    CommonsSummary
    | FilterSummary
    | Plan
    | DownloadSummary
    | CheckSummary
    | BalanceSummary
    | SplitSummary
    | PrepareSummary
    | FinishSummary
    | Path
)


@dataclass(frozen=True, slots=True)
class Done:
    """A stage that is done and what it did; the summary of `view` is the report's path."""

    stage: str
    summary: Summary


def run_stages(
    config: DatasetConfig, *, until: str = STAGES[-1], dry_run: bool = False, progress: bool = False
) -> Iterator[Done]:
    """Runs the stages up to `until`, and after the last one writes what `finish` and `view` write.

    Gives each stage as it ends. `dry_run`: selects the rows, says what would be asked for, and stops there. An
    interrupted download ends the run; the same call goes on with it. Raises what the stages raise.
    """
    workspace = Workspace(config.out)
    wanted = STAGES[: STAGES.index(until) + 1]
    if config.commons is not None and (listed := _commons(config, config.commons, progress)) is not None:
        yield Done("commons", listed)
    yield Done("filter", filter_list(workspace, config.filter, progress=progress))
    if dry_run or "download" in wanted:
        yield Done("plan", plan(workspace, config.download))
    if dry_run or until == "filter":
        return
    fetched = download(workspace, config.download, progress=progress)
    yield Done("download", fetched)
    if fetched.interrupted:
        return
    if "check" in wanted:
        yield Done("check", check(workspace, config.check, progress=progress))
    if "balance" in wanted:
        yield Done("balance", balance(workspace, config.balance, progress=progress))
    if "split" in wanted:
        yield Done("split", split(workspace, config.split, progress=progress))
    if "prepare" in wanted:
        yield Done("prepare", prepare(workspace, config.prepare, progress=progress))
        yield Done("finish", finish(workspace, config.description, config.samples))
        yield Done("view", view(config.out, config.view, progress=progress))


def _commons(config: DatasetConfig, settings: CommonsSettings, progress: bool) -> CommonsSummary | None:
    """Asks Commons for its list, unless the one that is there was asked for by the same labels and settings."""
    record = config.commons_list.with_suffix(".json")
    asked = {"labels": config.commons_labels, "settings": settings.model_dump(mode="json")}
    told = json.dumps(asked, sort_keys=True)
    if config.commons_list.is_file() and record.is_file() and record.read_text(encoding="utf-8") == told:
        return None
    listed = fetch_commons(config.commons_labels, config.commons_list, settings, progress=progress)
    write_atomically(record, told)
    return listed
