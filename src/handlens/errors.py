"""The base of every error Handlens raises on purpose.

Each error class carries one kebab-case word, its `code`. The same word is the `type` of an error row of
`handlens identify --format jsonl`, the `code` of an HTTP problem document and the last part of its `type`.
"""

from __future__ import annotations

from typing import ClassVar


class HandlensError(Exception):
    """An expected failure: `code` says which kind, `detail` says it in a sentence for a person."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UsageError(HandlensError):
    """A parameter has a value that makes no sense (`bad-request`)."""

    code = "bad-request"


class MissingExtraError(HandlensError):
    """Something needs packages that are not installed (`missing-extra`)."""

    code = "missing-extra"
