"""docs/evidence.md says what the code does: its error models, its worked example, its weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from handlens import field_tests
from handlens.contradiction_text import told
from handlens.evaluation.evidence_report import PUBLISHED
from handlens.evidence import OTHERS_SHARE, Evidence, FieldEvidence
from handlens.field_tests import CHOICES, EDGE_SD, MISTAKE, SCRATCH_SD, TOOLS, WORD_TESTS
from handlens.fusion import VIEWS_EXPONENT
from handlens.minerals import KnowledgeBase
from handlens.minerals.properties import WORDS
from handlens.next_test import EASE, Advice

PAGE = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
LABELS = ("calcite", "fluorite", "quartz")
PHOTO = np.array([0.3, 0.5, 0.2])
EVIDENCE = FieldEvidence(LABELS, KnowledgeBase.load())
ADVICE = Advice(EVIDENCE, KnowledgeBase.load())


def per_cent(share: float) -> str:
    return f"{100 * share:.3g} %"


def number_rows() -> list[str]:
    """The tests with a number behind them, as the page has them."""
    heft = ", ".join(f"{word} {low:g} to {high:g}" for word, (low, high) in field_tests._HEFT.items())
    scratch = f"tool of hardness {{:g}}; normal error, sd {SCRATCH_SD:g}"
    return [
        "| `hardness`, a value | normal error, sd as given, else 0.5 |",
        f"| `hardness`, from-to | normal error of both ends, sd {EDGE_SD:g} |",
        "| `gravity`, a value | normal error, sd as given, else 0.1 |",
        f"| `gravity`, from-to | normal error of both ends, sd {EDGE_SD:g} |",
        *(f"| `{tool}` | {scratch.format(hardness)} |" for tool, hardness in TOOLS.items()),
        f"| `heft` | {heft}; normal error, sd {field_tests._HEFT_SD:g} |",
        f"| `streak`, measured | normal in CIELAB about each streak colour, sd {field_tests._COLOUR_SD:g} |",
    ]


def word_rows() -> list[str]:
    """The tests with a word for an answer: how often which answer is given of what is true."""
    rows = []
    for test, confusion in field_tests._CONFUSIONS.items():
        true = CHOICES["cleavage"] if test == "cleavage" else WORDS[WORD_TESTS[test]]
        for word, shares in zip(true, confusion, strict=True):
            order = [int(at) for at in np.argsort(-shares, kind="stable") if shares[at] > 0]
            given = ", ".join(f"{CHOICES[test][at]} {per_cent(float(shares[at]))}" for at in order)
            rows.append(f"| `{test}` | {word} | {given} |")
    return rows


@pytest.mark.parametrize("row", [*number_rows(), *word_rows()])
def test_error_models_are_those_of_the_code(row: str) -> None:
    assert PAGE.splitlines().count(row) == 1


def test_no_row_of_the_error_models_is_left_over() -> None:
    part = PAGE[PAGE.index("## The error models") : PAGE.index("## A worked example")]
    assert {line for line in part.splitlines() if line.startswith("| `")} == {*number_rows(), *word_rows()}
    assert f"one test in {1 / MISTAKE:g}" in TEXT


def test_the_worked_example_can_be_recomputed() -> None:
    for given in ({"hardness": "3±0.5"}, {"hardness": "3±0.5", "acid": "vigorous"}):
        evidence = Evidence.of(given)
        weighed = EVIDENCE.weigh(PHOTO, evidence).probabilities
        last = list(given)[-1]
        likelihood, _, _ = EVIDENCE.likelihood(last, evidence)
        before = PHOTO if len(given) == 1 else EVIDENCE.weigh(PHOTO, Evidence.of({"hardness": "3±0.5"})).probabilities
        for label, prior, one, after in zip(LABELS, before, likelihood, weighed, strict=True):
            row = f"| {label} | {prior:.4f} | {one:.4f} | {prior * one:.5f} | {after:.4f} |"
            assert PAGE.splitlines().count(row) == 1, row
    contradictions = EVIDENCE.weigh(PHOTO, Evidence.of({"hardness": "3±0.5"})).contradictions
    texts = [told(one, KnowledgeBase.load(), "en").text for one in contradictions]
    assert texts == ["hardness 3±0.5 does not fit quartz"]
    assert f'"{texts[0]}"' in TEXT
    assert f"{OTHERS_SHARE:.0%}".replace("%", " %") in TEXT


def test_the_next_test_is_that_of_the_example() -> None:
    gains = {test: max(gain, 0.0) for test, gain in ADVICE.gains(PHOTO).items()}  # of nothing, but for rounding
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) bits \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [(name, gain, ease, worth) for name, gain, ease, worth in rows] == [
        (name, f"{gains[name]:.2f}", f"{EASE[name]:g}", f"{gains[name] * EASE[name]:.2f}")
        for name in ("hardness", "knife", "acid", "streak")
    ]
    best = ADVICE.best(PHOTO)
    assert best is not None
    assert best.test == "hardness"


def test_several_photos_count_as_the_code_counts_them() -> None:
    assert VIEWS_EXPONENT == 0.5
    assert f"{4**VIEWS_EXPONENT:g} independent ones" in TEXT


def test_the_published_figure_stands_beside_ours() -> None:
    assert PUBLISHED in TEXT
