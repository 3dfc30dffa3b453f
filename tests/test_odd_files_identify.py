"""300 odd and broken files through the command with the bundle that ships: one row each, and no traceback."""

from __future__ import annotations

import json
import math
from pathlib import Path

from commands import process
from handlens.photo import PhotoError
from handlens.photo_files import photos_in
from odd_files import generate


def test_every_odd_file_gets_one_row(tmp_path: Path) -> None:
    expected = {}
    (tmp_path / "photos").mkdir()
    for number, odd in enumerate(generate(count=300)):
        # Numbered, as two may have one name; and named like photos, as other files of a folder are left alone.
        place = tmp_path / "photos" / f"{number:03d}-{odd.name}"
        if place.suffix in {".txt", ".json", ".avi", ".svg", ".jp2", ".ppm", ".jxl"}:
            place = place.with_name(f"{place.name}.jpg")
        place.write_bytes(odd.data)
        expected[str(place)] = odd
    assert list(photos_in(tmp_path / "photos")) == list(expected)
    assert len(expected) == 300

    done = process("identify", tmp_path / "photos", "--format", "jsonl")
    # Not empty: libtiff says of damaged data what it thinks, past Python.
    assert b"Traceback" not in done.stderr
    assert b"Error" not in done.stderr
    assert b"handlens" not in done.stderr
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]
    assert [row["photo"] for row in rows] == list(expected)
    codes = {kind.code for kind in PhotoError.__subclasses__()}
    answered = 0
    for row in rows:
        odd = expected[row["photo"]]
        if "error" in row:
            assert row.keys() == {"photo", "error"}
            code = row["error"]["type"]
            assert code in (codes if odd.expected is None else odd.expected), (odd.name, code)
            assert not odd.must_open, (odd.name, code)
            assert row["error"]["detail"].strip()
            continue
        answered += 1
        assert odd.expected is None, (odd.name, row["decision"])
        assert row["candidates"]
        numbers = [row["decision"]["probability"], row["unknown_score"], *(c["probability"] for c in row["candidates"])]
        assert all(math.isfinite(number) and 0 <= number <= 1 for number in numbers)
        assert row["prediction_set"]
    assert 60 < answered < 250
