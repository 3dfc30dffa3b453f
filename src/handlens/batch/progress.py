"""What a run says while it works, on standard error: a line for people, or JSON lines for programs, or nothing."""

from __future__ import annotations

import json
import time
from typing import Any, Final, Literal, TextIO

from handlens.batch.units import Failure
from handlens.safe_text import terminal

__all__ = ["Mode", "Progress"]

Mode = Literal["text", "json", "quiet"]
_MOST_FAILURES: Final = 50
"""Failures told one by one to people; the rest are in the table."""
_TERMINAL_SECONDS: Final = 0.5
_LOG_SECONDS: Final = 30.0
_JSON_SECONDS: Final = 1.0


class Progress:
    """Counts rows and tells of them. `kept`: rows that were finished before, which count for no rate."""

    def __init__(self, out: TextIO, mode: Mode = "text") -> None:
        self._out, self._mode = out, mode
        self._on_terminal = mode == "text" and out.isatty()
        self.total = self.kept = self.computed = self.failed = 0
        self._begun = self._told = time.monotonic()
        self._told_failures = 0

    @property
    def done(self) -> int:
        """Rows that need nothing more."""
        return self.kept + self.computed

    @property
    def seconds(self) -> float:
        """Since the first row was to be computed."""
        return time.monotonic() - self._begun

    @property
    def rate(self) -> float:
        """Rows computed a second."""
        return self.computed / max(self.seconds, 1e-9)

    def start(self, total: int) -> None:
        """The list is made: `total` rows."""
        self.total = total
        self._begun = self._told = time.monotonic()

    def keep(self, rows: int) -> None:
        """Rows that stand."""
        self.kept += rows
        self._tell()

    def finish(self, failure: Failure | None) -> None:
        """A row that was computed."""
        self.computed += 1
        if failure is not None:
            self.failed += 1
            self._tell_failure(failure)
        self._tell()

    def note(self, text: str) -> None:
        """Something that happened to the run as a whole."""
        if self._mode == "json":
            self._write_json({"event": "note", "text": text})
        elif self._mode == "text":
            self._line(terminal(text))

    def end(self) -> None:
        """The last word."""
        self._tell(now=True)
        if self._on_terminal:
            print(file=self._out)

    def _tell(self, *, now: bool = False) -> None:
        every = {"json": _JSON_SECONDS, "text": _TERMINAL_SECONDS if self._on_terminal else _LOG_SECONDS}
        if self._mode == "quiet" or (not now and time.monotonic() - self._told < every[self._mode]):
            return
        self._told = time.monotonic()
        left = self.total - self.done
        eta = left / self.rate if self.computed else None
        if self._mode == "json":
            rate = round(self.rate, 3)
            self._write_json(
                {
                    "event": "progress",
                    "done": self.done,
                    "total": self.total,
                    "kept": self.kept,
                    "failed": self.failed,
                    "rate": rate,
                    "eta_seconds": None if eta is None else round(eta),
                }
            )
            return
        text = f"{self.done:,} of {self.total:,} rows, {self.rate:.1f} a second, {self.failed:,} failed"
        text += f", {_clock(eta)} left" if eta is not None and left else ""
        if self._on_terminal:
            print(f"\r\x1b[2K{text}", end="", file=self._out, flush=True)
        else:
            print(text, file=self._out, flush=True)

    def _tell_failure(self, failure: Failure) -> None:
        if self._mode == "json":
            self._write_json(
                {"event": "failure", "photo": failure.photo, "type": failure.code, "detail": failure.detail}
            )
        elif self._mode == "text":
            self._told_failures += 1
            if self._told_failures <= _MOST_FAILURES:
                self._line(f"{terminal(failure.photo)}: {failure.code}: {terminal(failure.detail)}")
            elif self._told_failures == _MOST_FAILURES + 1:
                self._line("further failures are told in the results only")

    def _line(self, text: str) -> None:
        clear = "\r\x1b[2K" if self._on_terminal else ""
        print(f"{clear}{text}", file=self._out, flush=True)

    def _write_json(self, row: dict[str, Any]) -> None:
        print(json.dumps(row), file=self._out, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
