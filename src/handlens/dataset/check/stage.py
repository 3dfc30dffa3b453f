"""The stage `check`: looks at every downloaded photo once, and sets aside what nobody should train from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tqdm import tqdm

from handlens.dataset.check.decide import Decisions, decide, decided, inspected
from handlens.dataset.check.inspect import Inspection, flags_of, reason_of
from handlens.dataset.check.journal import Journal
from handlens.dataset.check.near import NearPairs, confirmed_pairs, proposed_pairs
from handlens.dataset.check.pictures import Listing, Pictures, content_key
from handlens.dataset.check.quarantine import SetAside, rebuild
from handlens.dataset.check.settings import CheckSettings
from handlens.dataset.check.summary import CheckSummary, summarise
from handlens.dataset.check.workers import inspect_files
from handlens.dataset.manifest import Row, Status, read_rows
from handlens.dataset.shards import WHOLE, Shard
from handlens.dataset.workspace import Workspace
from handlens.processors import processors

__all__ = ["check"]

_STAGE = "check"


def check(
    workspace: Workspace,
    settings: CheckSettings | None = None,
    *,
    shard: Shard = WHOLE,
    progress: bool = False,
    workers: int | None = None,
) -> CheckSummary:
    """Inspects the photos of the table of `download`, finds duplicates and conflicts, fills images_odd/.

    `workers`: processes that inspect (default: one a core). A shard inspects the files whose sha256 it owns, into a
    journal and a table of its own, in which groups, conflicts and duplicates are not known yet; the whole takes over
    what the journals of shards have, inspects what is missing, and decides. Raises MissingStageError, BadManifestError,
    OSError.
    """
    settings = settings or CheckSettings()
    info = workspace.info(_STAGE, settings.model_dump(mode="json"))
    if not workspace.is_done(info, shard):
        table = workspace.table(_STAGE, shard)
        with Journal(table.with_suffix(".sqlite")) as journal:
            if shard == WHOLE:
                for part in sorted(workspace.stages.glob(f"{_STAGE}.*-of-*.sqlite")):
                    journal.take(part)
            listing = Listing()
            journal.enlist(listing.add(row) for row in _photos(workspace, shard))
            _inspect(workspace, journal, len(listing), progress=progress, workers=workers)
            if shard == WHOLE:
                decisions = _decide(journal, listing, settings, progress=progress)
                rows = _whole(workspace, journal, decisions, settings)
            else:
                rows = _part(workspace, journal, settings, shard)
            workspace.write(rows, info, shard)
    return summarise(read_rows(workspace.table(_STAGE, shard)))


def _photos(workspace: Workspace, shard: Shard) -> Iterator[Row]:
    """The rows that have a photo and fall to the shard."""
    return (row for row in workspace.rows_before(_STAGE) if row.status == "fetched" and shard.owns(content_key(row)))


def _inspect(workspace: Workspace, journal: Journal, count: int, *, progress: bool, workers: int | None) -> None:
    missing = journal.missing_count()
    files = ((sha256, workspace.root / file) for sha256, file in journal.missing())
    with tqdm(
        desc=f"{_STAGE}: {count} photos", total=missing, unit="photo", disable=not progress or not missing
    ) as bar:
        for found in inspect_files(files, workers=min(workers or processors(), missing)) if missing else ():
            journal.add([found])
            bar.update()


def _decide(journal: Journal, listing: Listing, settings: CheckSettings, *, progress: bool) -> Decisions:
    odd = bytearray()

    def noting() -> Iterator[Inspection]:
        for found in journal.listed():
            odd.append(reason_of(flags_of(found, settings), settings) is not None)
            yield found

    pictures, looks = Pictures.of(noting())
    proposals = proposed_pairs(looks)
    del looks  # the largest thing here
    rows = pictures.first_row[pictures.seen]
    with tqdm(
        desc=f"{_STAGE}: near-duplicates", total=len(proposals), unit="pair", disable=not progress or not len(proposals)
    ) as bar:
        near = confirmed_pairs(proposals, lambda n: journal.thumbnail(int(rows[n])), settings.likeness, bar.update)
    numbered = NearPairs(pictures.seen[near.pairs], near.likeness)
    return decide(pictures, numbered, listing, lambda row: bool(odd[row]), settings)


def _whole(workspace: Workspace, journal: Journal, decisions: Decisions, settings: CheckSettings) -> Iterator[Row]:
    set_aside: list[SetAside] = []
    inspections = journal.listed()
    number = 0
    for row in workspace.rows_before(_STAGE):
        if row.status != "fetched":
            yield row
            continue
        found = next(inspections)
        done = decided(row, number, found, decisions, journal.id, settings)
        if done.status == "odd":
            set_aside.append(SetAside(done, found.detail))
        yield done
        number += 1
    # Before the table takes its place: a table that is there means that images_odd/ is as it says.
    rebuild(workspace, journal, set_aside)


def _part(workspace: Workspace, journal: Journal, settings: CheckSettings, shard: Shard) -> Iterator[Row]:
    for row, found in zip(_photos(workspace, shard), journal.listed(), strict=True):
        flags = flags_of(found, settings)
        reason = reason_of(flags, settings)
        status: Status = "checked" if reason is None else "odd"
        yield replace(inspected(row, found), status=status, reason=reason, flags=flags)
