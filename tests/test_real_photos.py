"""Real photographs through two doors: the same answers from both, and the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import process
from handlens.identifier import Identifier

COUNT = 20


def numbers(answer: Any) -> list[float]:
    probabilities = [candidate["probability"] for candidate in answer["candidates"]]
    return [answer["decision"]["probability"], answer["unknown_score"], *probabilities]


@pytest.mark.real_photos
def test_the_command_and_python_agree_and_a_second_run_is_identical(
    identifier: Identifier, real_photos: Callable[[str, int], list[Path]]
) -> None:
    # Not of the split `field`, which is for measuring a released bundle and nothing else.
    photos = real_photos("others", COUNT)
    assert len(photos) == COUNT
    first, second = (process("identify", *photos, "--format", "jsonl", "--top", "100") for _ in range(2))
    assert (first.returncode, first.stderr) == (0, b"")
    assert second.stdout == first.stdout
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert [row["photo"] for row in rows] == [str(photo) for photo in photos]
    for row, photo in zip(rows, photos, strict=True):
        answer = identifier.identify(photo, top=100).as_dict()
        assert (row["decision"]["name"], row["decision"]["rank"]) == (
            answer["decision"]["name"],
            answer["decision"]["rank"],
        )
        assert row["prediction_set"] == answer["prediction_set"]
        assert [one["name"] for one in row["candidates"]] == [one["name"] for one in answer["candidates"]]
        assert numbers(row) == pytest.approx(numbers(answer), abs=1e-6)
        assert sum(numbers(row)[2:]) == pytest.approx(1, abs=1e-4)
    assert len({json.dumps(row["candidates"]) for row in rows}) == COUNT, "different photos got one answer"


@pytest.mark.real_photos
def test_labelled_photos_are_recognised_far_above_chance(
    identifier: Identifier, real_photos: Callable[[str, int], list[Path]]
) -> None:
    """No measurement (these were trained on): labels or channels that got mixed up would show."""
    photos = real_photos("train", 30)
    hits = sum(identifier.identify(photo, top=5).candidates[0].name == photo.parent.name for photo in photos)
    assert hits >= 20, f"{hits} of {len(photos)}"
