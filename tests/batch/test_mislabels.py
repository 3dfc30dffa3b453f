"""Labels that are probably wrong, and what a label is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handlens.batch.labels import Labels
from handlens.batch.mislabels import ConfidentLearning
from handlens.identifier import Identifier
from handlens.minerals import KnowledgeBase


def probabilities(truth: np.ndarray, labels: int, sure: float, rng: np.random.Generator) -> np.ndarray:
    """Of a classifier that is sure of the truth by about that much."""
    found = rng.dirichlet(np.ones(labels), len(truth)) * (1 - sure)
    found[np.arange(len(truth)), truth] += sure
    return np.asarray(found)


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_labels_that_were_exchanged_are_found(kind: type) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, 3000)
    wrong = rng.random(3000) < 0.08
    given = np.where(wrong, (truth + rng.integers(1, 6, 3000)) % 6, truth)
    scores: Any = probabilities(truth, 6, 0.7, rng).astype(kind)
    learning = ConfidentLearning(6)
    for place, row in zip(given, scores, strict=True):
        learning.add(int(place), row)
    found = [learning.suspected(int(place), row) for place, row in zip(given, scores, strict=True)]
    suspected = np.array([one is not None for one in found])
    assert (suspected & wrong).sum() > 0.95 * wrong.sum()
    assert (suspected & ~wrong).sum() < 0.01 * len(truth)
    right = [one == true for one, true, was in zip(found, truth, suspected & wrong, strict=True) if was]
    assert np.mean(right) > 0.99


def test_the_example_worked_by_hand() -> None:
    learning = ConfidentLearning(3)
    rows = [(0, [0.9, 0.1, 0.0]), (0, [0.5, 0.5, 0.0]), (1, [0.2, 0.8, 0.0]), (1, [0.8, 0.2, 0.0])]
    for given, scores in rows:
        learning.add(given, np.array(scores))
    assert learning.thresholds.tolist() == pytest.approx([0.7, 0.5, 2.0])  # nobody has the third
    found = [learning.suspected(given, np.array(scores)) for given, scores in rows]
    assert found == [None, 1, None, 0]
    assert learning.margin(1, 0, np.array([0.8, 0.2, 0.0])) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("label", "name", "agrees"),
    [
        ("quartz", "quartz", True),
        ("Cuarzo", "quartz", True),
        ("Quartz (Var: Amethyst)", "quartz", True),
        ("quartz", "amethyst", True),
        ("garnet", "almandine", True),
        ("calcite", "quartz", False),
        ("amethyst", "citrine", False),
        ("quartz", "unknown", None),
        ("", "quartz", None),
        ("lot 17, drawer 3", "quartz", None),
        ("quartz|calcite", "quartz", None),
    ],
)
def test_what_contradicts_a_label(identifier: Identifier, label: str, name: str, agrees: bool | None) -> None:
    assert Labels(identifier.bundle.labels, KnowledgeBase.load()).agrees(label, name) is agrees
