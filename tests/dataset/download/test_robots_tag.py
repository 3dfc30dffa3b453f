"""X-Robots-Tag in its forms."""

from __future__ import annotations

import pytest

from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.robots_tag import check_tags


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["noai"], "noai"),
        (["NoImageAI"], "noai"),
        (["noindex"], "noindex"),
        (["noimageindex"], "noindex"),
        (["none"], "noindex"),
        (["nofollow, noai"], "noai"),
        (["nofollow", "noarchive , noindex"], "noindex"),
        (["noindex, noai"], "noai"),
        (["handlens: noai"], "noai"),
        (["Handlens:noindex"], "noindex"),
        (["*: noai"], "noai"),
        (["otherbot: nofollow, handlens: noindex, nofollow"], "noindex"),
        (["handlens: all, noai"], "noai"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], "noai"),
        (["max-snippet:-1, noindex"], "noindex"),
        (["otherbot: noai", "noai"], "noai"),
    ],
)
def test_what_forbids(values: list[str], word: str) -> None:
    with pytest.raises(NotFetched) as caught:
        check_tags(values)
    assert caught.value.word == word


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["all"],
        ["index, follow"],
        ["nofollow, noarchive, nosnippet"],
        ["otherbot: noai"],
        ["otherbot: noarchive, noindex, noai"],
        ["handlensbot: noai"],
        ["unavailable_after: 25 Jun 2010 15:00:00 PST"],
        ["noaitraining"],
    ],
)
def test_what_does_not(values: list[str]) -> None:
    check_tags(values)
