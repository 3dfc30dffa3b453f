"""The next test: the one that tells most, never one that was done, no dust where it would harm; in two languages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handlens.evidence import Evidence, FieldEvidence
from handlens.field_tests import CHOICES
from handlens.minerals import KnowledgeBase
from handlens.minerals.knowledge import Mineral
from handlens.next_test import EASE, Advice, NextTest, Side
from handlens.next_test_text import next_test_text


def mineral(name: str, es: str, **properties: Any) -> Mineral:
    return Mineral(name, "species", None, name, es, own=properties)


BASE = KnowledgeBase(
    [
        mineral(
            "calcite", "calcita", mohs=[3, 3], gravity=[2.7, 2.7], streak=["white"], acid="vigorous", magnetism="none"
        ),
        mineral("quartz", "cuarzo", mohs=[7, 7], gravity=[2.65, 2.65], streak=["white"], acid="none", magnetism="none"),
        mineral(
            "magnetite", "magnetita", mohs=[6, 6], gravity=[5.2, 5.2], streak=["black"], acid="none", magnetism="strong"
        ),
        mineral("hematite", "hematita", mohs=[6, 6], gravity=[5.2, 5.2], streak=["red"], acid="none", magnetism="none"),
        mineral("chrysotile", "crisotilo", mohs=[2.5, 2.5], gravity=[2.5, 2.5], streak=["white"], hazards=["asbestos"]),
    ]
)
LABELS = ("calcite", "quartz", "magnetite", "hematite", "chrysotile")
ADVICE = Advice(FieldEvidence(LABELS, BASE), BASE)


def shares(**given: float) -> Any:
    return np.array([given.get(label, 0.0) for label in LABELS])


def test_gains_are_the_mutual_information_of_simulated_tests() -> None:
    """By counting: how many bits a simulated answer says of a simulated mineral."""
    prior = shares(calcite=0.5, quartz=0.3, hematite=0.2)
    rng = np.random.default_rng(0)
    for test in ("coin", "streak", "acid"):
        table = ADVICE._outcomes[test]
        minerals = rng.choice(len(LABELS), 200_000, p=prior)
        answers = (table.cumsum(axis=0)[:, minerals] < rng.random(len(minerals))).sum(axis=0)
        joint = np.zeros((len(CHOICES[test]), len(LABELS)))
        np.add.at(joint, (answers, minerals), 1 / len(minerals))
        alone = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
        counted = float(
            np.sum(np.where(joint > 0, joint * np.log2(np.maximum(joint, 1e-12) / np.maximum(alone, 1e-12)), 0))
        )
        assert ADVICE.gains(prior)[test] == pytest.approx(counted, abs=0.01)


def test_every_gain_is_there_and_none_is_negative() -> None:
    gains = ADVICE.gains(shares(calcite=0.4, quartz=0.4, magnetite=0.2))
    assert gains.keys() == EASE.keys()
    assert all(gain >= -1e-9 for gain in gains.values())
    assert all(abs(gain) < 1e-9 for gain in ADVICE.gains(shares(quartz=1.0)).values())


@pytest.mark.parametrize(
    ("prior", "wanted"),
    [
        (shares(magnetite=0.5, hematite=0.5), {"magnet", "streak"}),
        (shares(calcite=0.5, quartz=0.5), {"coin", "knife", "glass", "hardness"}),
    ],
)
def test_it_is_the_test_that_parts_the_candidates(prior: Any, wanted: set[str]) -> None:
    best = ADVICE.best(prior)
    assert best is not None
    assert best.test in wanted
    assert best.gain > 0.5


def test_what_was_done_is_not_advised_again() -> None:
    prior, done = shares(calcite=0.5, quartz=0.5), set[str]()
    while (best := ADVICE.best(prior, done)) is not None:
        assert best.test not in done
        done.add(best.test)
    assert {"coin", "acid"} <= done <= set(EASE)


def test_nothing_is_advised_where_nothing_helps() -> None:
    assert ADVICE.best(shares(quartz=1.0)) is None


def test_no_dust_of_what_may_be_asbestos() -> None:
    prior, done = shares(chrysotile=0.4, quartz=0.6), set[str]()
    while (best := ADVICE.best(prior, done)) is not None:
        assert best.test not in ("nail", "coin", "knife", "glass", "file", "streak", "hardness")
        done.add(best.test)
    assert done


def test_the_advice_follows_the_evidence() -> None:
    weigher = FieldEvidence(LABELS, BASE)
    prior = shares(calcite=0.34, magnetite=0.33, hematite=0.33)
    after = weigher.weigh(prior, Evidence(tests={"acid": "none", "heft": "very heavy"})).probabilities
    best = ADVICE.best(after, ("acid", "heft"))
    assert best is not None
    assert best.test in ("magnet", "streak")


@pytest.mark.parametrize(
    ("advice", "en", "es"),
    [
        (
            NextTest("knife", 1.0, (Side("yes", ("calcite",)), Side("no", ("quartz",)))),
            "Try a steel knife: it scratches calcite, not quartz.",
            "Prueba con una navaja de acero: raya calcita, no cuarzo.",
        ),
        (
            NextTest("coin", 1.0, (Side("no", ("quartz", "hematite")),)),
            "Try a copper coin: it does not scratch quartz or hematite.",
            "Prueba con una moneda de cobre: no raya cuarzo o hematita.",
        ),
        (
            NextTest("streak", 1.0, (Side("black", ("magnetite",)), Side("red", ("hematite",)))),
            "Rub it on unglazed porcelain: magnetite leaves a black streak, hematite leaves a red streak.",
            "Frótala sobre porcelana sin esmaltar: magnetita: raya negra, hematita: raya roja.",
        ),
        (
            NextTest("hardness", 1.0, (Side("3", ("calcite",)), Side("7", ("quartz",)))),
            "Measure its hardness with a scratch kit: calcite has 3, quartz has 7.",
            "Mide su dureza con un juego de rayado: calcita: 3, cuarzo: 7.",
        ),
    ],
)
def test_sentences(advice: NextTest, en: str, es: str) -> None:
    assert next_test_text(advice, BASE, "en") == en
    assert next_test_text(advice, BASE, "es") == es


@pytest.mark.parametrize("test", EASE)
def test_every_outcome_has_a_sentence(test: str) -> None:
    outcomes = CHOICES.get(test, ("3", "4-5"))
    for lang in ("en", "es"):
        for outcome in outcomes:
            text = next_test_text(NextTest(test, 1.0, (Side(outcome, ("quartz",)),)), BASE, lang)
            assert ("quartz" if lang == "en" else "cuarzo") in text
            assert text.endswith(".")
            assert "{" not in text
