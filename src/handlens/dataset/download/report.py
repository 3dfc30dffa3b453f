"""What a run has to say when it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from handlens.dataset.download.engine import Ran
from handlens.dataset.download.reasons import reason_of
from handlens.dataset.download.state import State

__all__ = ["DownloadSummary", "failure_table", "summary_of_run", "summary_of_table"]


@dataclass(frozen=True, slots=True)
class DownloadSummary:
    """What a download came to.

    `by_status` and `by_reason`: rows of the table, or URLs where the run was `interrupted` and no table was written;
    those not asked for yet count as "listed". `photos`, `bytes`, `seconds`: of this run alone. `later`: rows that the
    next run asks for again.
    """

    by_status: dict[str, int]
    by_reason: dict[str, int]
    photos: int = 0
    bytes: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def rows(self) -> int:
        """Rows, or URLs, in all."""
        return sum(self.by_status.values())

    @property
    def later(self) -> int:
        """Rows that the next run asks for again."""
        return sum(count for word, count in self.by_reason.items() if reason_of(word).again != "never")


def summary_of_table(table: Path, ran: Ran | None) -> DownloadSummary:
    """The summary of a finished table; `ran`: what was done for it now. Raises OSError."""
    columns = pq.read_table(table, columns=["status", "reason"])
    counted = columns.group_by(["status", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return _summary([(row["status"], row["reason"], row["count_all"]) for row in counted], ran)


def summary_of_run(state: State, ran: Ran) -> DownloadSummary:
    """The summary of a run that was interrupted."""
    names = {"waiting": "listed", "later": "failed"}
    return _summary(
        [
            (names.get(status, status), reason if status in ("refused", "failed", "later") else None, count)
            for status, reason, count in state.counts()
        ],
        ran,
    )


def _summary(counted: list[tuple[str, str | None, int]], ran: Ran | None) -> DownloadSummary:
    by_status: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    for status, reason, count in counted:
        by_status[status] += count
        if reason is not None:
            by_reason[reason] += count
    statuses, reasons = (
        dict(sorted(by_status.items())),
        dict(sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))),
    )
    if ran is None:
        return DownloadSummary(statuses, reasons)
    return DownloadSummary(statuses, reasons, ran.photos, ran.bytes, ran.seconds, ran.interrupted)


def failure_table(summary: DownloadSummary) -> str:
    """The rows that are not fetched by reason, most first, as lines of text; "" where there are none."""
    if not summary.by_reason:
        return ""
    again = {"never": "no", "this-run": "next run", "next-run": "next run"}
    width = max(len("reason"), *map(len, summary.by_reason))
    lines = [f"{'rows':>9}  {'reason':<{width}}  {'again':<8}  meaning"]
    for word, count in summary.by_reason.items():
        reason = reason_of(word)
        lines.append(f"{count:>9,}  {word:<{width}}  {again[reason.again]:<8}  {reason.meaning}")
    return "\n".join(lines)
