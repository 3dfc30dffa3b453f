"""The review page of a run: offline, of many files where there are many rows."""

from __future__ import annotations

from handlens.batch.review.pages import Review

__all__ = ["Review"]
