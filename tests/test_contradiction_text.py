"""What is said of an observation that does not fit."""

from __future__ import annotations

import pytest

from handlens.contradiction_text import told
from handlens.evidence import Contradiction
from handlens.field_tests import CHOICES
from handlens.minerals import KnowledgeBase

MINERALS = KnowledgeBase.load()


@pytest.mark.parametrize(
    ("test", "observed", "english", "spanish"),
    [
        ("hardness", "7±0.5", "hardness 7±0.5 does not fit calcite", "dureza 7±0.5 no concuerda con calcita"),
        ("gravity", "5", "gravity 5 does not fit calcite", "densidad relativa 5 no concuerda con calcita"),
        ("streak", "red", "streak red does not fit calcite", "raya roja no concuerda con calcita"),
        ("streak", "#c8b46e", "streak #c8b46e does not fit calcite", "raya #c8b46e no concuerda con calcita"),
        ("glass", "yes", "glass yes does not fit calcite", "vidrio: sí no concuerda con calcita"),
    ],
)  # fmt: skip
def test_in_both_languages(test: str, observed: str, english: str, spanish: str) -> None:
    found = Contradiction(test, observed, "calcite")
    assert told(found, MINERALS, "en").text == english
    assert told(found, MINERALS, "es").text == spanish
    assert told(found, MINERALS, "es").as_dict()["observed"] == observed


def test_a_label_that_the_base_does_not_know_keeps_its_name() -> None:
    assert told(Contradiction("magnet", "strong", "mystery"), MINERALS, "en").text.endswith("does not fit mystery")


@pytest.mark.parametrize("test", CHOICES)
def test_every_answer_has_spanish_words(test: str) -> None:
    for word in CHOICES[test]:
        text = told(Contradiction(test, word, "calcite"), MINERALS, "es").text
        assert test not in text.split(), text
        assert word == "no" or word not in text.replace(":", "").split(), text
