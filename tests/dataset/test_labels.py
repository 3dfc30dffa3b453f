"""What titles become."""

from __future__ import annotations

import pytest

from handlens.dataset.labels import LabelReader, Named


@pytest.fixture(scope="module")
def reader() -> LabelReader:
    return LabelReader()


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Quartz (Var: Amethyst)", ["amethyst"]),
        ("quartz(var:amethyst", ["amethyst"]),
        ("quartz, amethyst", ["amethyst"]),
        ("  Azurite ,  Malachite, ", ["azurite", "malachite"]),
        ("azurite and malachite", ["azurite", "malachite"]),
        ("Azurite-Malachite", ["azurite", "malachite"]),
        ("azurite, azurite", ["azurite"]),
        ("Gold in Quartz", ["gold", "quartz"]),
        ("barita y galena", ["barite", "galena"]),
        ("quartz, amethyst, calcite", ["amethyst", "calcite"]),
        ("Chlorite Group, Quartz (Var: Rock Crystal)", ["chlorite", "rock crystal"]),
        ("Fluorite - Rogerley Mine, England", ["fluorite"]),
        ("Fluorite (Rogerley Mine, England), Galena", ["fluorite", "galena"]),
        ("Wulfenite from Los Lamentos, Mexico", ["wulfenite"]),
        ("Calcite, Elmwood Mine, Tennessee", ["calcite"]),
        ("Rogerley Mine: Fluorite", ["fluorite"]),
        ("Malachite after azurite", ["malachite"]),
        ("Baryte", ["barite"]),
        ("barite", ["barite"]),
        ("Sulfur", ["sulphur"]),
        ("celestite", ["celestine"]),
        ("Cuarzo amatista", ["amethyst"]),
        ("smoky_quartz", ["smoky quartz"]),
        ("Quartz, smoky", ["smoky quartz"]),
        ("Tiger's eye", ["tiger eye"]),
        ("kfeldspar", ["alkali feldspar"]),
        ("chloritegroup", ["chlorite"]),
        ("Tourmaline Group", ["tourmaline"]),
        ("stilbite-ca, heulandite-ca", ["stilbite", "heulandite"]),
        ("axinite-(fe)", ["axinite"]),
        ("Axinite-(Fe)", ["axinite"]),
    ],
)
def test_known_names(reader: LabelReader, title: str, names: list[str]) -> None:
    assert reader.read(title) == Named(tuple(names))


@pytest.mark.parametrize(
    ("title", "names", "unknown"),
    [
        ("Duftite", ["duftite"], ["duftite"]),
        ("kinoite, apophyllite", ["kinoite", "apophyllite"], ["kinoite"]),
        ("samarskite-(y)", ["samarskite y"], ["samarskite y"]),
        ("pyrochloresupergroup(var:betafite", ["betafite"], ["betafite"]),
        ("Quartz (Var: Herkimer)", ["quartz"], ["herkimer"]),
        ("quartz, microlitegroup", ["quartz", "microlitegroup"], ["microlitegroup"]),
        ("My  best_finds", ["my best finds"], ["my best finds"]),
    ],
)
def test_unknown_names_are_kept_and_told(reader: LabelReader, title: str, names: list[str], unknown: list[str]) -> None:
    assert reader.read(title) == Named(tuple(names), tuple(unknown))


@pytest.mark.parametrize("title", ["", "  ", "?", "-", "()", "word " * 40])
def test_titles_without_a_name(reader: LabelReader, title: str) -> None:
    assert reader.read(title).names == ()


def test_near_matches(reader: LabelReader) -> None:
    assert reader.near("uvarovit")[0] == "uvarovite"
    assert reader.near("zzzzzz") == ()


def test_every_name_of_the_knowledge_base_is_itself(reader: LabelReader) -> None:
    for mineral in reader.minerals:
        assert reader.read(mineral.name) == Named((mineral.name,))


def test_titles_are_read_once(reader: LabelReader) -> None:
    before = reader.read.cache_info().misses
    for _ in range(3):
        reader.read("a title that no other test reads")
    assert reader.read.cache_info().misses == before + 1


@pytest.mark.parametrize("title", ["((((", "a(" * 200, ", , ,", " - quartz", "quartz - ", "\u202equartz", "x" * 10_000])
def test_odd_titles_do_no_harm(reader: LabelReader, title: str) -> None:
    named = reader.read(title)
    assert set(named.unknown) <= set(named.names)
    assert all(name == name.strip() for name in named.names)
