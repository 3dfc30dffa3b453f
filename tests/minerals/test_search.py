"""Search: parts of names, both languages, typing errors; fast."""

from __future__ import annotations

import time

import pytest

from handlens.minerals import KnowledgeBase
from handlens.minerals.search import ranked

SPELLINGS = {"quartz": "quartz", "rose quartz": "rose quartz", "cuarzo rosa": "rose quartz", "topaz": "topaz"}


@pytest.fixture(scope="module")
def minerals() -> KnowledgeBase:
    return KnowledgeBase.load()


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("qua", ("quartz", "rose quartz")),
        ("rosa", ("rose quartz",)),
        ("quartz ro", ("rose quartz",)),
        ("paz", ("topaz",)),
        ("az", ()),
        ("topsz", ("topaz",)),
        ("quarz", ("quartz",)),
        ("basalt", ()),
        ("", ()),
    ],
)
def test_ranking(typed: str, names: tuple[str, ...]) -> None:
    assert ranked(typed, SPELLINGS) == names


@pytest.mark.parametrize(
    ("text", "first"),
    [
        # Whole names come first, whatever begins with them.
        ("quartz", "quartz"),
        ("ojo de tigre", "tiger eye"),
        ("Quartz (Var: Amethyst)", "amethyst"),
        # Parts.
        ("smok", "smoky quartz"),
        ("tigre", "tiger eye"),
        ("ahumado", "smoky quartz"),
        ("lapis", "lapis lazuli"),
        ("lapislaz", "lapis lazuli"),
        ("malaqui", "malachite"),
        # Typing errors, English and Spanish.
        ("amatsita", "amethyst"),
        ("amathyst", "amethyst"),
        ("flourite", "fluorite"),
        ("floruita", "fluorite"),
        ("cuarso", "quartz"),
        ("rodocrocita", "rhodochrosite"),
        ("hornblend", "hornblende"),
        ("rose qartz", "rose quartz"),
        ("ojo de tirge", "tiger eye"),
    ],
)
def test_search_finds_first(minerals: KnowledgeBase, text: str, first: str) -> None:
    assert minerals.search(text)[0].name == first


def test_one_letter_left_out_is_still_found(minerals: KnowledgeBase) -> None:
    """Of every name of six letters or more, without its third letter; the few that are another name are let off."""
    names = [record.name for record in minerals if len(record.name) >= 6]
    found = [name in [one.name for one in minerals.search(name[:2] + name[3:])] for name in names]
    assert sum(found) / len(names) > 0.97


def test_search_is_cut_and_repeats_nothing(minerals: KnowledgeBase) -> None:
    found = [record.name for record in minerals.search("quartz", limit=4)]
    assert found[0] == "quartz"
    assert len(found) == len(set(found)) == 4
    everything = [record.name for record in minerals.search("a", limit=1000)]
    assert len(everything) == len(set(everything))
    assert minerals.search("quartz", limit=1000)[:4] == minerals.search("quartz", limit=4)


@pytest.mark.parametrize("text", ["", "  ", "???", "кварц", "石英", "\x00", "plastic spoon", "q" * 101, "x" * 100_000])
def test_nonsense_finds_nothing(minerals: KnowledgeBase, text: str) -> None:
    assert minerals.search(text) == ()


def test_search_is_fast(minerals: KnowledgeBase) -> None:
    """Measured 1 to 9 ms; a page may ask at every letter typed."""
    minerals.search("warm")
    begin = time.perf_counter()
    for text in ("amatsita", "flourite", "ojo de tirge", "quartz"):
        minerals.search(text)
    assert time.perf_counter() - begin < 1
