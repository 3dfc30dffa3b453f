"""Foreign text made safe for a terminal and for spreadsheets."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest

from handlens.safe_text import csv_cell, terminal

PLANES = [*range(0x10000), *range(0x1F000, 0x20000), *range(0xE0000, 0xE0200), *range(0xF0000, 0xF0100)]
"""All of the first plane, and of the others pictures, tags and private use."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cuarzo ahumado.jpg", "cuarzo ahumado.jpg"),
        ("石英 ñ é 💎.jpg", "石英 ñ é 💎.jpg"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("a\u2066b\u200bc", "a\\u2066b\\u200bc"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("caf\udce9.jpg", "caf\\udce9.jpg"),
        ("\x00\x7f\ue000\U000e0001", "\\x00\\x7f\\ue000\\U000e0001"),
        ("", ""),
    ],
)
def test_terminal(text: str, shown: str) -> None:
    assert terminal(text) == shown


def test_terminal_leaves_nothing_that_steers() -> None:
    kept = set(terminal("".join(map(chr, PLANES))))
    assert not {char for char in kept if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}}
    assert set("azAZ09 áñ石█") <= kept
    "".join(kept).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a.jpg", "a.jpg"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-x.jpg", "'-x.jpg"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "\\r=1"),
        ("a=1", "a=1"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2J", "\\x1b[2J"),
        ("caf\udce9.jpg", "caf\\udce9.jpg"),
        ("", ""),
    ],
)
def test_csv_cell(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_every_character_survives_a_csv_file_in_one_row() -> None:
    text = "x" + "".join(map(chr, PLANES))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([csv_cell(text), "next"])
    out.getvalue().encode("utf-8")
    assert list(csv.reader(io.StringIO(out.getvalue(), newline=""))) == [[csv_cell(text), "next"]]
