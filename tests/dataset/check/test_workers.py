"""Processes that inspect: order does not matter, and none that dies ends the run."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from handlens.dataset.check.inspect import READER_DIED
from handlens.dataset.check.workers import inspect_files

from .drawn import encoded, lethal, picture


def files(folder: Path, names: list[str]) -> list[tuple[str, Path]]:
    made = []
    for number, name in enumerate(names):
        data = encoded(picture(number))
        (folder / name).write_bytes(data)
        made.append((hashlib.sha256(data).hexdigest(), folder / name))
    return made


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_photo_that_kills_its_process_is_flagged_and_the_others_are_inspected(tmp_path: Path, workers: int) -> None:
    names = [f"{'lethal' if number in (3, 15) else 'fine'}-{number}.jpg" for number in range(30)]
    tasks = files(tmp_path, names)
    found = {one.sha256: one.error for one in inspect_files(tasks, workers=workers, inspect=lethal)}
    assert len(found) == 30
    for (sha256, _), name in zip(tasks, names, strict=True):
        assert found[sha256] == (READER_DIED if name.startswith("lethal") else None)


def test_each_file_once_and_no_more_taken_than_needed(tmp_path: Path) -> None:
    tasks = files(tmp_path, [f"{number}.jpg" for number in range(8)])
    taken = []

    def offered() -> object:
        for number in range(400):
            taken.append(number)
            yield tasks[number % 8]

    results = inspect_files(offered(), workers=1)  # type: ignore[arg-type]
    next(results)
    assert len(taken) <= 8 * 4
    results.close()  # type: ignore[attr-defined]


def test_no_files() -> None:
    assert list(inspect_files([], workers=2)) == []
