"""The journal: what is missing, what is taken over, what is tried again, and files that are none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from handlens.dataset.check.inspect import Inspection
from handlens.dataset.check.journal import Journal
from handlens.dataset.errors import BadManifestError

ROWS = [("id-a", "aa", "images/a"), ("id-b", "bb", "images/b"), ("id-a2", "aa", "images/a"), ("id-c", "cc", "images/c")]
FOUND = Inspection("aa", None, None, "PNG", 30, 20, "ff", 0.5, 0.6, 0.7, 0.1, (0.1, 0.2, 0.3), b"looks", b"thumbnail")


def test_missing_contents_are_listed_once_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path / "check.sqlite") as journal:
        journal.enlist(ROWS)
        assert journal.missing_count() == 3
        assert list(journal.missing()) == [("aa", "images/a"), ("bb", "images/b"), ("cc", "images/c")]
        journal.add([FOUND])
        assert list(journal.missing()) == [("bb", "images/b"), ("cc", "images/c")]


def test_more_are_missing_than_are_read_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "check.sqlite") as journal:
        journal.enlist((f"id-{number}", f"{number:04}", "f") for number in range(2500))
        seen = []
        for sha256, _ in journal.missing():  # noted while it is read
            journal.add([Inspection(sha256, "corrupt-image")])
            seen.append(sha256)
        assert seen == [f"{number:04}" for number in range(2500)]
        assert journal.missing_count() == 0


def test_findings_come_back_row_by_row_after_it_was_closed(tmp_path: Path) -> None:
    with Journal(tmp_path / "check.sqlite") as journal:
        journal.add([FOUND, Inspection("bb", "truncated-image", "It ends."), Inspection("cc", "not-found")])
    with Journal(tmp_path / "check.sqlite") as journal:
        journal.enlist(ROWS)
        assert list(journal.missing()) == [("cc", "images/c")]  # a failure of the disk is tried again
        journal.add([Inspection("cc", "empty-file")])
        found = list(journal.listed())
        assert [one.sha256 for one in found] == ["aa", "bb", "aa", "cc"]
        assert (found[0].colour, found[0].looks, found[0].thumbnail) == (FOUND.colour, b"looks", None)
        assert found[1] == Inspection("bb", "truncated-image", "It ends.")
        assert journal.thumbnail(2) == b"thumbnail"
        assert journal.id(2) == "id-a2"


def test_a_shard_is_taken_over_and_its_own_findings_stay(tmp_path: Path) -> None:
    with Journal(tmp_path / "check.1-of-2.sqlite") as part:
        part.add([FOUND, Inspection("bb", "empty-file")])
    with Journal(tmp_path / "check.sqlite") as journal:
        journal.add([Inspection("bb", "corrupt-image")])
        journal.take(tmp_path / "check.1-of-2.sqlite")
        journal.enlist(ROWS[:2])
        assert [one.error for one in journal.listed()] == [None, "corrupt-image"]


def test_a_journal_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "check.sqlite"
    with Journal(path) as journal:
        journal.add([FOUND])
    base = sqlite3.connect(path)
    base.execute("PRAGMA user_version = 99")
    base.close()
    with Journal(path) as journal:
        journal.enlist(ROWS[:1])
        assert journal.missing_count() == 1


def test_what_is_no_journal_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "check.1-of-1.sqlite"
    broken.write_bytes(b"no data base " * 100)
    with pytest.raises(BadManifestError, match=r"check\.1-of-1\.sqlite"):
        Journal(broken)
    with Journal(tmp_path / "check.sqlite") as journal:
        with pytest.raises(BadManifestError, match=r"check\.1-of-1\.sqlite"):
            journal.take(broken)
        journal.add([FOUND])
