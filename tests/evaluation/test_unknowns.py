"""The judging of the unknown score, on embeddings of which it is known what can be told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handlens.evaluation.tables import unknowns_parts
from handlens.evaluation.unknowns import Shown, Unknowns, far_samples, judge_unknowns, unknown_minerals
from handlens.minerals import KnowledgeBase
from handlens.training.samples import Sample

WIDTH = 12
BASIS = np.linalg.qr(np.random.default_rng(5).normal(size=(WIDTH, WIDTH)))[0]
FOLDS = ("ann", "ben", "cleo")


def sample(label: str, fold: str = "", *, half: str = "", split: str = "train", usable: bool = True) -> Sample:
    return Sample(Path("x"), f"{label}-{fold}", label, "", split, fold, usable=usable, origin=fold, half=half)


def known_samples(each: int = 60) -> list[Sample]:
    return [
        Sample(Path("x"), f"{fold}{at}", "quartz", f"{fold}{at}", "train", fold, at % 10 != 9, origin=fold)
        for fold in FOLDS
        for at in range(each)
    ]


def other_samples(each: int = 40) -> list[Sample]:
    return [sample("benitoite", fold, half="AB"[at % 2], split="others") for fold in FOLDS for at in range(each)]


def embeddings(count: int, seed: int, *, shift: float = 0.0, beside: float = 0.02) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    inner = rng.normal(size=(count, 4)) + shift * np.eye(4)[0]
    points = np.concatenate([inner, beside * rng.normal(size=(count, WIDTH - 4))], axis=1)
    return np.asarray(points @ BASIS, np.float32)


def judged(shift: float, beside: float, *, with_logits: bool = True) -> Unknowns:
    samples, others = known_samples(), other_samples()
    known = embeddings(len(samples), 1)
    logits = np.zeros((max(len(samples), len(others)), 3), np.float32)
    shown = Shown(
        known,
        known,
        embeddings(len(others), 2, shift=shift),
        {"cats": embeddings(30, 3, beside=beside)},
        {"known": logits[: len(samples)], "others": logits[: len(others)], "cats": logits[:30]} if with_logits else {},
    )
    folds = np.array([one.fold for one in samples])
    trained = np.arange(len(samples))
    return judge_unknowns(samples, others, folds, lambda _: shown, trained, lambda: shown, quiet=True)


def test_what_can_be_told_is_told() -> None:
    found = judged(shift=2.5, beside=2.0).figures
    assert found["near"]["auroc"] > 0.9
    assert found["near"]["strangers"] > 0.9
    assert found["near"]["probability"] == 0.5  # all logits are alike
    assert found["far"]["cats"]["auroc"] > 0.97
    assert found["far"]["cats"]["rejected"] > 0.9
    assert set(found["near_by_origin"]) == set(FOLDS)
    assert found["pictures"] == {"known": 162, "near": 60, "learnt": 60, "cats": 30}


def test_what_cannot_be_told_is_not() -> None:
    found = judged(shift=0.0, beside=0.02, with_logits=False).figures
    assert found["near"]["auroc"] == pytest.approx(0.5, abs=0.12)
    assert found["far"]["cats"]["auroc"] == pytest.approx(0.5, abs=0.15)
    assert found["near"]["rejected"] < 0.25
    assert "probability" not in found["near"]


def test_the_score_of_the_bundle_is_the_one_judged() -> None:
    found = judged(shift=2.5, beside=2.0)
    threshold = found.figures["threshold"]
    told = [found.open_set.novelty(one) for one in embeddings(300, 9)]
    assert np.mean([one.unknown > threshold for one in told]) == pytest.approx(0.05, abs=0.05)
    cats = [found.open_set.novelty(one) for one in embeddings(100, 10, beside=2.0)]
    assert np.mean([one.far > 0.5 for one in cats]) > 0.9
    strange = [found.open_set.novelty(one).near for one in embeddings(100, 11, shift=2.5)]
    assert np.mean(strange) > 2 * np.mean([one.near for one in told])


def test_without_unknown_minerals_only_what_is_far_is_judged() -> None:
    samples = known_samples()
    known, nothing = embeddings(len(samples), 1), np.zeros((0, WIDTH), np.float32)
    folds = np.array([one.fold for one in samples])
    shown = Shown(known, nothing, nothing, {"cats": embeddings(30, 3, beside=2.0)}, {})
    found = judge_unknowns(samples, [], folds, lambda _: shown, np.arange(len(samples)), lambda: shown, quiet=True)
    assert found.figures["near"] is None
    assert found.figures["far"]["cats"]["auroc"] > 0.97
    assert found.open_set.numbers()["score"] == "residual"
    alone = judge_unknowns(
        samples,
        [],
        folds,
        lambda _: Shown(known, nothing, nothing, {}, {}),
        np.arange(len(samples)),
        lambda: Shown(known, nothing, nothing, {}, {}),
        quiet=True,
    )
    assert unknowns_parts(alone.figures) == []


def test_the_statistics_never_see_the_judged_fold() -> None:
    samples, others = known_samples(), other_samples()
    known = embeddings(len(samples), 1)
    folds = np.array([one.fold for one in samples])
    # Ann's photos alone lie far out: to statistics that saw them they would be no odder than the others.
    known[folds == "ann", WIDTH - 1] += 40
    shown = Shown(known, known, embeddings(len(others), 2), {}, {})
    asked: list[set[str]] = []

    def ask(places: NDArray[np.intp]) -> Shown:
        asked.append(set(folds[places].tolist()))
        return shown

    judge_unknowns(samples, others, folds, ask, np.arange(len(samples)), lambda: shown, quiet=True)
    assert asked == [{"ben", "cleo"}, {"ann", "cleo"}, {"ann", "ben"}]


def test_varieties_and_members_of_known_species_are_not_unknown() -> None:
    minerals = KnowledgeBase.load()
    labels = ["amethyst", "quartz", "calcite", "corundum"]
    listed = [sample(name) for name in ("citrine", "ruby", "benitoite", "calcite", "drawn zigzag")]
    listed.append(sample("stibnite", usable=False))
    found = [one.label for one in unknown_minerals(listed, labels, minerals)]
    assert found == ["benitoite", "drawn zigzag"]


def test_far_pictures_are_those_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/cat.png", "page.jpg"):
        Image.new("RGB", (40, 30), "white").save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert [one.file for one in far_samples(tmp_path)] == ["page.jpg", "a/cat.png"]


@pytest.mark.parametrize("make", [lambda: judged(2.5, 2.0), lambda: judged(2.5, 2.0, with_logits=False)])
def test_the_report_says_what_is_rejected(make: Callable[[], Unknowns]) -> None:
    text = "\n".join(unknowns_parts(make().figures))
    assert "keeps 95.0 % of known photos" in text
    assert "cats (30 pictures, no minerals)" in text
