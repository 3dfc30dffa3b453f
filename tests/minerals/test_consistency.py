"""The whole knowledge base: every record keeps the schema, and none contradicts another."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from handlens.bundle import open_bundle
from handlens.minerals import KnowledgeBase, Mineral, knowledge
from handlens.minerals.formula import ELEMENTS, elements_of
from handlens.minerals.properties import WORDS, Properties

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("hardness", "gravity", "streak", "lustre", "system", "formula")
FIELDS = {"hardness": "mohs"}
DANGEROUS = {
    "Pb": "lead",
    "As": "arsenic",
    "Hg": "mercury",
    "U": "radioactive",
    "Th": "radioactive",
    "Sb": "antimony",
    "Tl": "thallium",
    "Cd": "cadmium",
}


@pytest.fixture(scope="module")
def minerals() -> KnowledgeBase:
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def properties(minerals: KnowledgeBase) -> dict[str, Properties]:
    """Of all records, with what they inherit; reading them checks the schema of each."""
    return {record.name: minerals.properties(record.name) for record in minerals}


def lacking(known: Properties) -> list[str]:
    return [one for one in NEEDED if not getattr(known, FIELDS.get(one, one))]


def test_the_file_is_tidy() -> None:
    spec = importlib.util.spec_from_file_location("tidy_minerals", ROOT / "scripts" / "tidy_minerals.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = Path(knowledge.__file__).with_name("minerals.json").read_text(encoding="utf-8")
    assert text == script.tidy(json.loads(text))


def test_there_are_enough(minerals: KnowledgeBase) -> None:
    assert sum(record.rank != "group" for record in minerals) >= 300


def test_every_label_of_the_default_bundle_can_be_tested(properties: dict[str, Properties]) -> None:
    labels = open_bundle(None).labels
    assert len(labels) >= 80
    assert {label: lacks for label in labels if (lacks := lacking(properties[label]))} == {}


def test_every_species_and_variety_can_be_tested(minerals: KnowledgeBase, properties: dict[str, Properties]) -> None:
    told = [record.name for record in minerals if record.rank != "group"]
    assert {name: lacks for name in told if (lacks := lacking(properties[name]))} == {}


def test_the_parents_exist_and_form_no_ring(minerals: KnowledgeBase) -> None:
    by_name = {record.name: record for record in minerals}
    for record in minerals:
        seen: list[str] = []
        above: Mineral | None = record
        while above is not None:
            assert above.name not in seen, f"{record.name}: a ring {seen}"
            seen.append(above.name)
            assert above.parent is None or above.parent in by_name, f"{above.name}: no record {above.parent}"
            above = by_name[above.parent] if above.parent else None


def test_varieties_stand_under_something(minerals: KnowledgeBase) -> None:
    varieties = [record for record in minerals if record.rank == "variety"]
    assert varieties
    for record in varieties:
        species = minerals.at_rank(record.name, "species")
        assert species or minerals.at_rank(record.name, "group"), record.name
        assert species is None or minerals.get(species).rank == "species"


def test_ranges_rise_within_what_is_possible(properties: dict[str, Properties]) -> None:
    for name, known in properties.items():
        if known.mohs:
            assert 1 <= known.mohs.low <= known.mohs.high <= 10, name
        if known.gravity:
            assert 0.9 <= known.gravity.low <= known.gravity.high <= 23, name


def test_formulas_have_elements(properties: dict[str, Properties]) -> None:
    for name, known in properties.items():
        if known.formula:
            found = elements_of(known.formula)
            assert found, name
            assert found <= ELEMENTS, name


def test_words_are_of_the_closed_lists(properties: dict[str, Properties]) -> None:
    for name, known in properties.items():
        for field, words in WORDS.items():
            value = getattr(known, field) or ()
            said = (
                [one.quality for one in value] if field == "cleavage" else [value] if isinstance(value, str) else value
            )
            assert set(said) <= set(words), f"{name}: {field}"


def test_cleavages_do_not_repeat_a_quality(properties: dict[str, Properties]) -> None:
    for name, known in properties.items():
        qualities = [one.quality for one in known.cleavage or ()]
        assert len(set(qualities)) == len(qualities), name
        assert qualities == sorted(qualities, key=WORDS["cleavage"].index), name


def test_look_alikes_are_other_minerals(minerals: KnowledgeBase, properties: dict[str, Properties]) -> None:
    for record in minerals:
        own = set(minerals.ancestors(record.name)) | minerals.descendants(record.name)
        alike = properties[record.name].look_alikes or ()
        assert [one for one in alike if one not in minerals] == [], record.name
        assert set(alike).isdisjoint(own), record.name
        assert len(set(alike)) == len(alike), record.name


def test_dangerous_elements_have_their_hazard(properties: dict[str, Properties]) -> None:
    missing = {}
    for name, known in properties.items():
        elements = elements_of(known.formula) if known.formula else frozenset()
        if lacks := {DANGEROUS[one] for one in elements & DANGEROUS.keys()} - set(known.hazards or ()):
            missing[name] = sorted(lacks)
    assert missing == {}


def test_groups_warn_of_what_all_their_species_hold(minerals: KnowledgeBase, properties: dict[str, Properties]) -> None:
    """A group's name must not hide what every mineral in it has."""
    for record in minerals:
        species = [one for one in minerals.descendants(record.name) if minerals.get(one).rank == "species"]
        if record.rank == "group" and species:
            common = set.intersection(*(set(properties[one].hazards or ()) for one in species))
            assert common <= set(properties[record.name].hazards or ()), record.name


def test_fluorescence_and_its_colours_go_together(properties: dict[str, Properties]) -> None:
    for name, known in properties.items():
        if known.fluorescence_colours:
            assert known.fluorescence in ("sometimes", "often"), name


def test_what_is_checked_is_known(minerals: KnowledgeBase, properties: dict[str, Properties]) -> None:
    checked = [record for record in minerals if record.checked]
    assert len(checked) >= 40
    page = (ROOT / "docs" / "minerals-check.md").read_text(encoding="utf-8")
    for record in checked:
        assert all(getattr(properties[record.name], one) is not None for one in record.checked), record.name
        assert f"### {record.name}\n" in page
