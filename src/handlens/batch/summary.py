"""What a run comes to: counts, failures by reason, agreement with labels; summary.json, and the same for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from handlens.batch.rows import ResultRow
from handlens.decision import UNKNOWN

__all__ = ["Summary", "Tally"]

_MOST: Final = 10


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a finished run.

    `rows`: specimens, which may have several photos. `computed`: rows computed by the last start, in `seconds`; `rate`:
    of them a second. `failures`: rows without an answer, by code. `names`: rows by the name in the answer. `compared`:
    rows whose label could be compared, `disagreeing`: of these. `suspects`: labels that are probably wrong.
    """

    rows: int
    photos: int
    computed: int
    seconds: float
    rate: float
    answered: int
    failed: int
    unknown: int
    failures: Mapping[str, int]
    names: Mapping[str, int]
    labelled: int
    compared: int
    disagreeing: int
    suspects: int

    def as_json(self) -> str:
        """As summary.json has it."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def as_text(self) -> str:
        """A few lines for people."""
        lines = [f"{self.rows:,} rows of {self.photos:,} photos: {self.answered:,} answered, {self.failed:,} failed"]
        if self.computed:
            lines.append(f"{self.computed:,} of them now, in {self.seconds:,.0f} s: {self.rate:.1f} a second")
        lines += [f"  failed: {reason}: {count:,}" for reason, count in _most(self.failures)]
        lines.append(f"{self.unknown:,} are unknown")
        lines += [f"  {name}: {count:,}" for name, count in _most(self.names)]
        if self.labelled:
            lines.append(
                f"{self.labelled:,} have a label: {self.disagreeing:,} of the {self.compared:,} that can be compared "
                f"disagree with the answer, {self.suspects:,} labels are probably wrong (suspects.csv)"
            )
        return "\n".join(lines)


class Tally:
    """Counts rows as they pass."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._names: Counter[str] = Counter()
        self._compared: Counter[bool] = Counter()
        self._rows = self._labelled = self._suspects = 0

    def add(self, row: ResultRow) -> None:
        """The next row."""
        self._rows += 1
        if row.failure is not None:
            self._failures[row.failure.code] += 1
        elif row.answer is not None:
            self._names[row.answer.name] += 1
        self._labelled += bool(row.unit.label)
        self._suspects += row.suspicion is not None
        if row.agrees is not None:
            self._compared[row.agrees] += 1

    def summary(self, *, photos: int, computed: int, seconds: float) -> Summary:
        """What it came to."""
        names, failures = dict(_sorted(self._names)), dict(_sorted(self._failures))
        unknown = names.pop(UNKNOWN, 0)
        failed = sum(failures.values())
        return Summary(
            rows=self._rows,
            photos=photos,
            computed=computed,
            seconds=round(seconds, 3),
            rate=round(computed / max(seconds, 1e-9), 3) if computed else 0.0,
            answered=self._rows - failed,
            failed=failed,
            unknown=unknown,
            failures=failures,
            names=names,
            labelled=self._labelled,
            compared=self._compared.total(),
            disagreeing=self._compared[False],
            suspects=self._suspects,
        )


def _sorted(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    found = _sorted(counts)
    rest = sum(count for _, count in found[_MOST:])
    return found[:_MOST] + ([("others", rest)] if rest else [])
