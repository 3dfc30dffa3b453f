"""Properties: a strict schema."""

from __future__ import annotations

from typing import Any

import pytest

from handlens.minerals.properties import WORDS, Cleavage, Properties, Range, inherited, properties_from


def test_reading() -> None:
    found = properties_from(
        {
            "formula": "CaCO3",
            "mohs": [3, 3],
            "cleavage": [["perfect", 3]],
            "streak": ["white"],
            "soluble": False,
            "strunz": "5.AB.05",
        }
    )
    assert found.mohs == Range(3, 3)
    assert found.cleavage == (Cleavage("perfect", 3),)
    assert found.streak == ("white",)
    assert found.soluble is False
    assert found.acid is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"smell": "none"},
        {"formula": "Qz"},
        {"formula": 3},
        {"mohs": [4, 3]},
        {"mohs": [0, 3]},
        {"mohs": [3]},
        {"mohs": 3},
        {"mohs": [True, 3]},
        {"gravity": [2, 30]},
        {"streak": ["plaid"]},
        {"streak": "white"},
        {"streak": ["white", "white"]},
        {"cleavage": [["perfect", 9]]},
        {"cleavage": [["superb", 1]]},
        {"cleavage": ["perfect"]},
        {"magnetism": "some"},
        {"soluble": "yes"},
        {"strunz": "11.A"},
        {"dana": "x"},
        {"look_alikes": [""]},
        {"fluorescence_colours": ["octarine"]},
    ],
)
def test_what_breaks_the_schema_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        properties_from(wrong)


def test_every_closed_list_is_of_a_property() -> None:
    assert WORDS.keys() <= set(Properties.__dataclass_fields__)


def test_the_first_that_knows_says_it() -> None:
    variety, species = Properties(colours=("purple",)), Properties(colours=("white",), hazards=())
    assert inherited([variety, species]) == Properties(colours=("purple",), hazards=())


def test_one_without_fluorescence_takes_no_colours_of_it() -> None:
    species = Properties(fluorescence="often", fluorescence_colours=("blue",))
    assert inherited([Properties(fluorescence="none"), species]).fluorescence_colours is None
    assert inherited([Properties(fluorescence="sometimes"), species]).fluorescence_colours == ("blue",)
