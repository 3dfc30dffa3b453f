"""Formulas: what is one and what is none."""

from __future__ import annotations

import pytest

from handlens.minerals.formula import elements_of


@pytest.mark.parametrize(
    ("formula", "elements"),
    [
        ("Au", "Au"),
        ("CaCO3", "Ca C O"),
        ("(Mg,Fe)2SiO4", "Mg Fe Si O"),
        ("CaSO4·2H2O", "Ca S O H"),
        ("SiO2·nH2O", "Si O H"),
        ("Fe1-xS", "Fe S"),
        ("Na0-1(Ca,□)2[Si4O10](OH)2", "Na Ca Si O H"),
        ("(Cu,Ag)10(Zn,Fe)2Sb4S13", "Cu Ag Zn Fe Sb S"),
    ],
)
def test_elements(formula: str, elements: str) -> None:
    assert elements_of(formula) == frozenset(elements.split())


@pytest.mark.parametrize(
    "text",
    ["", "Xx2", "Ca(CO3", "CaCO3)", "(,Ca)", "Ca,", "2Ca", "Fe2+", "calcite", "(Ca]", "Ca()", "()", "Ca CO3", "·H2O"],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        elements_of(text)
