from __future__ import annotations

from conftest import ROOT
from handlens.dataset.download.reasons import REASONS, reason_of


def test_the_page_tells_every_reason() -> None:
    page = (ROOT / "docs" / "data-download.md").read_text(encoding="utf-8")
    for word, reason in REASONS.items():
        assert f"| `{word}` | {reason.status} |" in page, word
        assert f"| {reason.meaning} |" in page, word


def test_what_a_status_means() -> None:
    assert [reason_of(f"http-{status}").again for status in (404, 410, 403, 429, 503)] == [
        "never",
        "never",
        "next-run",
        "this-run",
        "this-run",
    ]
