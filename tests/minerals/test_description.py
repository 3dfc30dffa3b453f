"""A record as lines for people and as a document for programs."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from handlens.minerals import KnowledgeBase, Language, UnknownMineralError, document
from handlens.minerals.description import described


@pytest.fixture(scope="module")
def minerals() -> KnowledgeBase:
    return KnowledgeBase.load()


def test_galena_in_english(minerals: KnowledgeBase) -> None:
    lines = [*described(minerals, "galena", "en")]
    assert lines[0][0] == "warning"
    assert "lead" in lines[0][1]
    said = dict(lines)
    assert said["formula"] == "PbS"
    assert said["hardness"] == "2.5-2.75"
    assert said["cleavage"] == "perfect in 3 directions"
    assert said["water-soluble"] == "no"
    assert "sphalerite" in said["look-alikes"]
    assert said["source"].startswith("unverified: general knowledge")
    assert lines[-1] == ("notice", "not for food, medicine, valuation or asbestos clearance")


def test_quartz_in_spanish(minerals: KnowledgeBase) -> None:
    said = dict(described(minerals, "quartz", "es"))
    assert "aviso" not in said
    assert said["nombre"] == "cuarzo"
    assert said["rango"] == "especie"
    assert said["dureza"] == "7"
    assert said["raya"] == "blanca"
    assert said["exfoliación"] == "ninguna"
    assert said["peso específico"].startswith("2,6")
    assert "ágata" in said["incluye"]


def test_one_direction_and_colours_of_fluorescence(minerals: KnowledgeBase) -> None:
    assert dict(described(minerals, "muscovite", "en"))["cleavage"] == "perfect in 1 direction"
    assert dict(described(minerals, "adamite", "es"))["fluorescencia"] == "a menudo (verde, amarillo)"


def test_what_is_checked_is_told_from_what_is_not(minerals: KnowledgeBase) -> None:
    checked = dict(described(minerals, "talc", "en"))["source"]
    assert "hardness" in checked
    assert "Auckland" in checked
    assert "the rest is unverified" in checked


@pytest.mark.parametrize("lang", get_args(Language))
def test_every_record_can_be_read(minerals: KnowledgeBase, lang: Language) -> None:
    for record in minerals:
        lines = [*described(minerals, record.name, lang)]
        assert all(title and text and "None" not in text for title, text in lines), record.name
        assert len(minerals.properties(record.name).hazards or ()) == sum(t in ("warning", "aviso") for t, _ in lines)


def test_the_document_holds_what_the_lines_say(minerals: KnowledgeBase) -> None:
    found = document.record(minerals, "blue lace agate")
    assert json.loads(json.dumps(found))["properties"]["mohs"] == {"low": 6.5, "high": 7.0}
    assert found["species"] == "quartz"
    assert found["ancestors"] == ("agate", "chalcedony", "quartz", "silica group")
    assert found["hazards"] == ()
    chrysotile = document.record(minerals, "chrysotile")
    assert chrysotile["hazards"] == ("asbestos",)
    assert "asbesto" in chrysotile["warnings"]["es"][0]
    assert not {"hazards", "look_alikes"} & set(chrysotile["properties"])


@pytest.mark.parametrize("name", ["Quartz", "cuarzo", ""])
def test_only_canonical_names(minerals: KnowledgeBase, name: str) -> None:
    with pytest.raises(UnknownMineralError):
        document.record(minerals, name)
    with pytest.raises(UnknownMineralError):
        [*described(minerals, name, "en")]
