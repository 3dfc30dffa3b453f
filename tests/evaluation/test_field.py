"""The split `field`: which photos count as known, at which rank, and how decisions about the others are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlens.bundle import Thresholds
from handlens.evaluation.answers import AnswerSettings
from handlens.evaluation.field import field_figures
from handlens.evaluation.metrics import wilson_interval
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase
from handlens.training.samples import BadSamplesError, Sample

MINERALS = KnowledgeBase.load()
LABELS = ("almandine", "amethyst", "calcite", "quartz", "tourmaline")
SETTINGS = AnswerSettings(1.0, 0.9, Thresholds(0.6, 0.6, 0.6))


def figures(
    photos: list[tuple[str, str]],
    *,
    labels: tuple[str, ...] = LABELS,
    settings: AnswerSettings = SETTINGS,
    sure: float = 9.0,
    unusable: int = 0,
) -> dict[str, Any]:
    """Figures of photos given as (true label, label with the highest logit)."""
    samples = [
        Sample(Path(f"{n}.jpg"), f"{n}.jpg", label, f"{n}", "field", "", usable=n >= unusable)
        for n, (label, _) in enumerate(photos)
    ]
    logits = np.zeros((len(photos), len(labels)), np.float32)
    logits[np.arange(len(photos)), [labels.index(name) for _, name in photos]] = sure
    return field_figures(samples, logits, labels, settings, MINERALS)


def test_known_labels() -> None:
    found = figures([("quartz", "quartz"), ("quartz", "calcite"), ("calcite", "calcite"), ("amethyst", "quartz")])
    assert found["photos"] == found["flat"]["photos"] == found["species"]["photos"] == 4
    assert found["unknown_photos"] == 0
    assert found["flat"]["top1"] == 0.5
    assert found["flat"]["balanced"] == pytest.approx((1 / 2 + 1 + 0) / 3, abs=1e-4)
    assert found["species"]["top1"] == 0.75
    assert found["flat"]["top1_interval"] == pytest.approx(list(wilson_interval(2, 4)), abs=1e-4)
    assert found["decisions"] == {
        "known": 4,
        "known_answered": 4,
        "known_answered_rightly": 3,  # quartz is true of an amethyst
        "unknown": 0,
        "unknown_left_unknown": 0,
        "unknown_named_rightly_at_a_wider_rank": 0,
    }


def test_a_variety_the_model_lacks_counts_at_species_rank() -> None:
    assert MINERALS.species_or_self("rock crystal") == "quartz"
    found = figures([("rock crystal", "quartz"), ("rock crystal", "amethyst"), ("calcite", "calcite")])
    assert found["flat"]["photos"] == 1
    assert found["species"]["photos"] == 3
    assert found["species"]["top1"] == 1.0
    assert found["unknown_photos"] == 0
    # Amethyst is the wrong variety, though the species is right.
    assert found["decisions"]["known_answered_rightly"] == 2


def test_a_species_the_model_lacks_is_unknown() -> None:
    assert "tourmaline" in MINERALS.ancestors("elbaite")
    photos = [("elbaite", "tourmaline"), ("elbaite", "quartz"), ("gold", "calcite"), ("drawn zigzag", "quartz")]
    found = figures([*photos, ("quartz", "quartz")])
    assert found["unknown_photos"] == 4
    assert found["species"]["photos"] == found["flat"]["photos"] == 1
    assert found["decisions"]["unknown"] == 4
    assert found["decisions"]["unknown_named_rightly_at_a_wider_rank"] == 1
    assert found["decisions"]["unknown_left_unknown"] == 0
    assert found["decisions"]["known_answered_rightly"] == 1


def test_unsure_answers_are_left_unknown() -> None:
    found = figures([("gold", "calcite"), ("quartz", "calcite"), ("calcite", "calcite")], sure=0.5)
    assert found["decisions"]["unknown_left_unknown"] == 1
    assert found["decisions"]["known_answered"] == found["decisions"]["known_answered_rightly"] == 0
    assert found["flat"]["top1"] == 0.5  # figures do not ask whether a name would be given


def test_the_temperature_of_the_bundle_is_used() -> None:
    hot = AnswerSettings(30.0, 0.9, Thresholds(0.6, 0.6, 0.6))
    photos = [("quartz", "quartz"), ("calcite", "calcite")]
    assert figures(photos)["decisions"]["known_answered"] == 2
    assert figures(photos, settings=hot)["decisions"]["known_answered"] == 0
    assert figures(photos)["flat"]["ece"] < 0.01 < 0.5 < figures(photos, settings=hot)["flat"]["ece"]


def test_unusable_photos_do_not_count() -> None:
    photos = [("quartz", "calcite"), ("gold", "calcite"), ("calcite", "calcite")]
    found = figures(photos, unusable=2)
    assert found["photos"] == 1
    assert found["flat"]["top1"] == 1.0
    assert found["unknown_photos"] == 0
    with pytest.raises(BadSamplesError, match="no usable photo"):
        figures(photos, unusable=3)


def test_ten_labels_among_themselves() -> None:
    # Agate is far ahead for both copper photos, and no choice among the ten; of these, copper and pyrite are.
    labels = tuple(sorted({*ORIGIN_TEN, "agate", "gold"}))
    samples = [
        Sample(Path(f"{n}.jpg"), f"{n}.jpg", label, f"{n}", "field", "", usable=True)
        for n, label in enumerate(["copper", "copper", "gold", "wulfenite"])
    ]
    logits = np.zeros((4, len(labels)), np.float32)
    logits[:2, labels.index("agate")] = 9
    logits[0, labels.index("copper")] = logits[1, labels.index("pyrite")] = 5
    logits[2, labels.index("gold")] = logits[3, labels.index("wulfenite")] = 9
    found = field_figures(samples, logits, labels, SETTINGS, MINERALS)
    assert found["flat"]["photos"] == 4
    assert found["flat"]["top1"] == 0.5
    assert found["ten labels"]["photos"] == 3
    assert found["ten labels"]["top1"] == pytest.approx(2 / 3, abs=1e-4)


def test_figures_without_photos_are_none() -> None:
    found = figures([("gold", "quartz"), ("drawn zigzag", "calcite")])
    assert found["flat"] is None
    assert found["species"] is None
    assert found["ten labels"] is None
    assert found["unknown_photos"] == 2


def test_ten_labels_need_all_ten() -> None:
    assert figures([("quartz", "quartz")])["ten labels"] is None
    assert figures([("quartz", "quartz")], labels=tuple(sorted(ORIGIN_TEN)))["ten labels"]["photos"] == 1
