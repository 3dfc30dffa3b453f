"""Every reason for which a row is not fetched: one word each, and when it is asked for again.

`http-404` and its like are made from the status of the answer; `REASONS` has all the other words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["REASONS", "RULED_BY_SETTINGS", "Again", "NotFetched", "Reason", "reason_of"]

Again = Literal["never", "this-run", "next-run"]
"""When a row is asked for again: only with `refresh`; after a pause, and in the next run; in the next run."""


@dataclass(frozen=True, slots=True)
class Reason:
    """`status` of the row ("refused" by a rule or "failed"), when it is asked for `again`, and what it means."""

    status: Literal["refused", "failed"]
    again: Again
    meaning: str


REASONS: Final = {
    "terms": Reason("refused", "never", "the terms of this host are not acknowledged in the configuration"),
    "robots": Reason("refused", "never", "the host's robots.txt disallows this address"),
    "noai": Reason("refused", "never", "X-Robots-Tag says noai or noimageai"),
    "noindex": Reason("refused", "never", "X-Robots-Tag says noindex, noimageindex or none"),
    "private-address": Reason("refused", "never", "the host is at an address of a private network or of this machine"),
    "too-large": Reason("refused", "never", "more bytes than max_bytes, as sent or unpacked"),
    "too-many-pixels": Reason("refused", "never", "more pixels than max_pixels, or a side longer than max_side"),
    "bad-url": Reason("failed", "never", "no http or https address"),
    "redirects": Reason("failed", "never", "more redirects than max_redirects, or a redirect to nowhere"),
    "encoding": Reason(
        "failed", "never", "sent in a Content-Encoding that was not asked for and is not known, or broken"
    ),
    "not-an-image": Reason("failed", "never", "the content is no image: a web page, a document, noise"),
    "unsupported-format": Reason("failed", "never", "an image of a format that is not read"),
    "empty-file": Reason("failed", "never", "an answer, or a file, without content"),
    "timeout": Reason("failed", "this-run", "no answer in time, or one that came too slowly"),
    "connection": Reason("failed", "this-run", "the connection was refused, reset or dropped"),
    "dns": Reason("failed", "this-run", "the name of the host cannot be resolved"),
    "tls": Reason("failed", "next-run", "the host's certificate is not valid, or no secure connection came about"),
    "cut-short": Reason("failed", "this-run", "fewer bytes came than were announced, or than the picture has"),
    "bad-response": Reason("failed", "this-run", "the answer is no HTTP"),
    "robots-unavailable": Reason("failed", "next-run", "robots.txt cannot be had, so nothing may be asked for now"),
    "host-failing": Reason("failed", "next-run", "not asked: the host refused or failed too many requests in a row"),
    "not-found": Reason("failed", "next-run", "there is no local file of this name"),
    "not-a-file": Reason("failed", "next-run", "the local path is a folder, a pipe or a device"),
    "permission-denied": Reason("failed", "next-run", "the local file may not be read"),
    "unreadable-file": Reason("failed", "next-run", "the system failed to read the local file"),
}

RULED_BY_SETTINGS: Final = ("terms", "private-address", "too-large", "too-many-pixels", "redirects")
"""Reasons that other settings can undo: such rows are tried again when the settings change."""

_HTTP_AGAIN: Final[dict[int, Again]] = {403: "next-run", 408: "this-run", 425: "this-run", 429: "this-run"}


def reason_of(word: str) -> Reason:
    """What a word means. Raises KeyError for one that is no reason."""
    if word not in REASONS and word.startswith("http-"):
        status = int(word.removeprefix("http-"))
        again = _HTTP_AGAIN.get(status, "this-run" if status >= 500 else "never")
        return Reason("failed", again, f"the host answered with status {status}")
    return REASONS[word]


class NotFetched(Exception):  # noqa: N818 - one of two ends of a fetch, as common as the other
    """A row that is not fetched: the `word` of its reason, a `detail` for a person, and what the host said.

    `http_status`: of the last answer, None where there was none. `retry_after`: seconds that the host asks to wait.
    """

    def __init__(
        self, word: str, detail: str, *, http_status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{word}: {detail}")
        self.word = word
        self.detail = detail.encode("utf-8", "replace").decode("utf-8")  # a header may hold any bytes
        self.http_status = http_status
        self.retry_after = retry_after
