"""Evidence: what people write, Bayes' rule, what is neutral, what contradicts, and how the unknown can win."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handlens.evidence import OTHERS_SHARE, BadEvidenceError, Evidence, FieldEvidence, Gravity, Hardness
from handlens.minerals import KnowledgeBase
from handlens.minerals.knowledge import Mineral
from handlens.minerals.properties import Properties


def mineral(name: str, **properties: Any) -> Mineral:
    return Mineral(name, "species", None, name, name, own=properties)


BASE = KnowledgeBase(
    [
        mineral("calcite", mohs=[3, 3], gravity=[2.7, 2.7], streak=["white"], acid="vigorous"),
        mineral("quartz", mohs=[7, 7], gravity=[2.65, 2.65], streak=["white"], acid="none"),
        mineral("fluorite", mohs=[4, 4], gravity=[3.2, 3.2], streak=["white"], acid="none"),
        mineral("mystery"),
        mineral("talc", mohs=[1, 1], streak=["white"]),
        mineral("topaz", mohs=[8, 8], streak=["white"]),
    ]
)
LABELS = ("quartz", "calcite", "fluorite", "mystery")
WEIGHER = FieldEvidence(LABELS, BASE)
EVEN = np.array([0.25, 0.25, 0.25, 0.25])


@pytest.mark.parametrize(
    ("text", "low", "high", "sd"),
    [
        ("3", 3, 3, 0.5),
        ("3±0.5", 3, 3, 0.5),
        ("3 +- 0.25", 3, 3, 0.25),
        ("3,5", 3.5, 3.5, 0.5),
        ("2.5-3.5", 2.5, 3.5, 0),
        ("5.5 – 11", 5.5, 11, 0),
    ],
)
def test_hardness_as_people_write_it(text: str, low: float, high: float, sd: float) -> None:
    found = Hardness.parse(text)
    assert (found.low, found.high, found.sd) == (low, high, sd)


@pytest.mark.parametrize("text", ["", "hard", "0.5", "11", "3±0", "3±9", "4-3", "3-3", "nan", "1e3", "3±0.5±0.1"])
def test_what_is_no_hardness(text: str) -> None:
    with pytest.raises(BadEvidenceError, match="hardness"):
        Hardness.parse(text)


def test_gravity_as_people_write_it() -> None:
    assert Gravity.parse("2.7") == Gravity.near(2.7, 0.1)
    assert Gravity.parse("2.6-2.8") == Gravity.between(2.6, 2.8)
    with pytest.raises(BadEvidenceError, match="gravity 25"):
        Gravity.near(25)


def test_evidence_of_texts_and_back() -> None:
    given = {"hardness": "3±0.5", "streak": "#c8b46e", "gravity": "2.6-2.8", "acid": "vigorous", "nail": "no"}
    evidence = Evidence.of({**given, "magnet": "  "})
    assert Evidence.of(evidence.as_dict()) == evidence
    assert evidence.as_dict() == given
    assert set(evidence.names) == set(given)
    assert not Evidence()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"streak": "plaid"}, "streak 'plaid'"),
        ({"acid": "maybe"}, "acid 'maybe'"),
        ({"smell": "garlic"}, "no test 'smell'"),
        ({"streak": "#12345"}, "streak"),
    ],
)
def test_wrong_evidence_names_the_test(given: dict[str, str], told: str) -> None:
    with pytest.raises(BadEvidenceError, match=told):
        Evidence.of(given)


def test_bayes_rule_by_hand() -> None:
    evidence = Evidence(hardness=Hardness.near(7), tests={"acid": "none"})
    prior = np.array([0.2, 0.5, 0.2, 0.1])
    by_hand = prior.copy()
    for test in ("hardness", "acid"):
        by_hand = by_hand * WEIGHER.likelihood(test, evidence)[0]
    found = WEIGHER.weigh(prior, evidence)
    np.testing.assert_allclose(found.probabilities, by_hand / by_hand.sum())
    assert LABELS[int(found.probabilities.argmax())] == "quartz"


def test_the_order_of_tests_does_not_matter_and_none_changes_nothing() -> None:
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    one = WEIGHER.weigh(prior, Evidence(tests={"acid": "none", "nail": "no"}))
    two = WEIGHER.weigh(prior, Evidence(tests={"nail": "no", "acid": "none"}))
    np.testing.assert_allclose(one.probabilities, two.probabilities)
    none = WEIGHER.weigh(prior, Evidence())
    np.testing.assert_allclose(none.probabilities, prior)
    assert none.kept == 1.0


def test_what_the_base_does_not_know_is_neutral() -> None:
    own, others, _ = WEIGHER.likelihood("hardness", Evidence(hardness=Hardness.near(3)))
    known = [own[LABELS.index(name)] for name in ("quartz", "calcite", "fluorite")]
    outside = np.mean([known, known])  # talc and topaz lie in the same table as others
    assert min(known) < own[LABELS.index("mystery")] < max(known)
    assert 0 < others < outside
    # A property that it knows of nobody says nothing at all.
    np.testing.assert_allclose(WEIGHER.weigh(EVEN, Evidence(tests={"magnet": "strong"})).probabilities, EVEN)


def test_contradictions_are_told_of_what_the_photo_speaks_for() -> None:
    prior = np.array([0.02, 0.9, 0.04, 0.04])
    [found] = WEIGHER.weigh(prior, Evidence(hardness=Hardness.near(7))).contradictions
    assert found.as_dict() == {
        "test": "hardness",
        "observed": "7±0.5",
        "mineral": "calcite",
        "text": "",
    }
    assert not WEIGHER.weigh(prior, Evidence(hardness=Hardness.near(3))).contradictions


def test_the_unknown_wins_where_no_label_fits() -> None:
    fits = WEIGHER.weigh(np.array([0.0, 1.0, 0.0, 0.0]), Evidence(hardness=Hardness.near(3)))
    assert fits.kept == 1.0
    wrong = WEIGHER.weigh(np.array([0.5, 0.5, 0.0, 0.0]), Evidence(hardness=Hardness.near(1.2)))
    assert wrong.kept < 0.4
    twice = WEIGHER.weigh(np.array([0.5, 0.5, 0.0, 0.0]), Evidence(hardness=Hardness.near(1.2), tests={"nail": "yes"}))
    assert twice.kept < wrong.kept
    assert 0 < OTHERS_SHARE < 1


def test_a_photo_that_is_quite_sure_can_be_contradicted_without_an_error() -> None:
    prior = np.array([0.0, 1.0, 0.0, 0.0])
    found = WEIGHER.weigh(prior, Evidence(hardness=Hardness.near(9, 0.05), gravity=Gravity.near(8, 0.005)))
    assert np.isfinite(found.probabilities).all()
    assert found.probabilities.sum() == pytest.approx(1)
    assert len(found.contradictions) == 2


def test_properties_come_from_above() -> None:
    quartz = mineral("quartz", mohs=[7, 7], streak=["white"])
    amethyst = Mineral("amethyst", "variety", "quartz", "amethyst", "amatista", own={"colours": ["purple"]})
    group = Mineral("garnet", "group", None, "garnet", "granate", own={"mohs": [6.5, 7.5]})
    member = Mineral("almandine", "species", "garnet", "almandine", "almandino")
    base = KnowledgeBase([quartz, amethyst, group, member])
    assert base.properties("amethyst").mohs == base.properties("quartz").mohs
    assert base.properties("amethyst").colours == ("purple",)
    assert base.properties("quartz").colours is None
    assert base.properties("almandine") == Properties()
