"""Held-out predictions: nothing of the judged photos, their groups or their photographers reaches the fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.evaluation.calibration import fit_temperature
from handlens.evaluation.protocol import HeldOut, grouped_folds, held_out, photographer_folds
from handlens.training.samples import BadSamplesError, Sample

FOLDS = ("ann", "ben", "cleo")
Splitter = Callable[[Sequence[Sample]], NDArray[np.str_]]


def a_sample(number: int, label: str, group: str, fold: str, *, usable: bool = True) -> Sample:
    return Sample(Path(f"{number}.jpg"), f"{number}.jpg", label, group, "train", fold, usable)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """120 photos of 4 labels in groups of up to three; some groups reach over two folds, a tenth is unusable."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(120):
        label = f"label {number % 4}"
        group = f"g{number % 4}-{rng.integers(0, 18)}"
        found.append(a_sample(number, label, group, FOLDS[number % 3], usable=bool(rng.uniform() > 0.12)))
    return found


class Recorder:
    """A fit that keeps what it was given and answers logits from a table, one row a sample."""

    def __init__(self, samples: Sequence[Sample], seed: int = 0) -> None:
        self.samples = samples
        self.labels = sorted({sample.label for sample in samples})
        self.table = np.random.default_rng(seed).normal(0, 2, (len(samples), len(self.labels))).astype(np.float32)
        self.calls: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []

    def __call__(self, places: NDArray[np.intp], judged: NDArray[np.intp]) -> tuple[Sequence[str], NDArray[np.float32]]:
        self.calls.append((places, judged))
        known = sorted({self.samples[place].label for place in places})
        columns = np.array([self.labels.index(label) for label in known], np.intp)
        return known, self.table[np.ix_(judged, columns)]


@pytest.mark.parametrize("splitter", [photographer_folds, grouped_folds])
@pytest.mark.parametrize("keep_unusable", [True, False])
def test_nothing_leaks(samples: list[Sample], splitter: Splitter, keep_unusable: bool) -> None:
    folds = splitter(samples)
    fit = Recorder(samples)
    found = held_out(samples, folds, fit, keep_unusable=keep_unusable)
    assert len(fit.calls) == len(np.unique(folds))
    for places, judged in fit.calls:
        (fold,) = np.unique(folds[judged])
        here = np.flatnonzero(folds == fold)
        assert not set(places) & set(here)
        # The near-duplicates trap: no other photo of a specimen that is judged, even from another photographer.
        assert not {samples[place].group for place in places} & {samples[place].group for place in here}
        assert all(samples[place].usable for place in judged)
        if not keep_unusable:
            assert all(samples[place].usable for place in places)
        # And no more is held back than that.
        groups = {samples[place].group for place in here}
        expected = [
            place
            for place, sample in enumerate(samples)
            if folds[place] != fold and sample.group not in groups and (sample.usable or keep_unusable)
        ]
        assert places.tolist() == expected
    usable = [place for place, sample in enumerate(samples) if sample.usable]
    assert sorted(found.places.tolist()) == usable


def test_the_set_up_has_what_could_leak(samples: list[Sample]) -> None:
    folds = {group: {s.fold for s in samples if s.group == group} for group in {s.group for s in samples}}
    assert sum(len(places) > 1 for places in folds.values()) > 10
    assert 5 < sum(not sample.usable for sample in samples) < 40


def test_rows_belong_to_their_photos(samples: list[Sample]) -> None:
    fit = Recorder(samples)
    folds = photographer_folds(samples)
    found = held_out(samples, folds, fit, keep_unusable=True)
    assert found.labels == ("label 0", "label 1", "label 2", "label 3")
    np.testing.assert_array_equal(found.logits, fit.table[found.places])
    assert [found.labels[column] for column in found.truth] == [samples[place].label for place in found.places]
    np.testing.assert_array_equal(found.folds, folds[found.places])


def test_a_temperature_does_not_depend_on_its_own_fold(samples: list[Sample]) -> None:
    folds = photographer_folds(samples)
    fit = Recorder(samples)
    before = held_out(samples, folds, fit, keep_unusable=True)
    own = folds == "ben"
    fit.table[own] *= 7
    after = held_out(samples, folds, fit, keep_unusable=True)
    here = before.folds == "ben"
    np.testing.assert_array_equal(before.temperatures[here], after.temperatures[here])
    for other in ("ann", "cleo"):
        place = before.folds == other
        assert before.temperatures[place][0] != after.temperatures[place][0]
    # Each is the one of all the other folds together.
    for fold in FOLDS:
        elsewhere = after.folds != fold
        expected = fit_temperature(after.logits[elsewhere], after.truth[elsewhere])
        np.testing.assert_allclose(after.temperatures[~elsewhere], expected)


def test_probabilities_use_each_photos_own_temperature(samples: list[Sample]) -> None:
    found = held_out(samples, photographer_folds(samples), Recorder(samples), keep_unusable=True)
    assert len(np.unique(found.temperatures)) == 3
    for row in (0, 50, 100):
        powers = np.exp(found.logits[row] / found.temperatures[row])
        np.testing.assert_allclose(found.probabilities[row], powers / powers.sum(), rtol=1e-6)


def test_a_label_that_training_lacked_is_impossible(samples: list[Sample]) -> None:
    # "only ann" occurs in one fold: when that is held out, nothing could learn it.
    changed = [
        replace(sample, label="only ann", group=sample.file) if sample.fold == "ann" and place < 30 else sample
        for place, sample in enumerate(samples)
    ]
    found = held_out(changed, photographer_folds(changed), Recorder(changed), keep_unusable=True)
    column = found.labels.index("only ann")
    here = found.folds == "ann"
    assert np.isneginf(found.logits[here, column]).all()
    assert np.isfinite(found.logits[~here]).all()
    assert np.isfinite(np.delete(found.logits[here], column, axis=1)).all()
    assert (found.probabilities[here, column] == 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
    assert np.isfinite(found.temperatures).all()


def test_a_label_with_unusable_photos_only(samples: list[Sample]) -> None:
    odd = [a_sample(200 + n, "polished only", f"p{n}", FOLDS[n % 3], usable=False) for n in range(6)]
    kept = held_out(
        [*samples, *odd], photographer_folds([*samples, *odd]), Recorder([*samples, *odd]), keep_unusable=True
    )
    assert "polished only" in kept.labels  # it is trained, and can be named in error
    without = held_out(
        [*samples, *odd], photographer_folds([*samples, *odd]), Recorder([*samples, *odd]), keep_unusable=False
    )
    assert "polished only" not in without.labels


def test_a_fold_without_usable_photos_is_trained_on_only(samples: list[Sample]) -> None:
    changed = [replace(sample, usable=False) if sample.fold == "cleo" else sample for sample in samples]
    fit = Recorder(changed)
    found = held_out(changed, photographer_folds(changed), fit, keep_unusable=True)
    assert set(found.folds) == {"ann", "ben"}
    assert len(fit.calls) == 2
    assert any(changed[place].fold == "cleo" for place in fit.calls[0][0])


def test_no_usable_photo(samples: list[Sample]) -> None:
    changed = [replace(sample, usable=False) for sample in samples]
    with pytest.raises(BadSamplesError, match="no usable photo"):
        held_out(changed, photographer_folds(changed), Recorder(changed), keep_unusable=True)


@pytest.mark.parametrize("seed", range(4))
def test_grouped_folds_cut_no_group(samples: list[Sample], seed: int) -> None:
    folds = grouped_folds(samples, seed=seed)
    for group in {sample.group for sample in samples}:
        assert len({folds[place] for place, sample in enumerate(samples) if sample.group == group}) == 1
    assert sorted(set(folds)) == [f"part {number}" for number in range(1, 6)]
    for fold in set(folds):
        assert len({samples[place].label for place in np.flatnonzero(folds == fold)}) == 4  # stratified


def test_grouped_folds_are_the_same_every_time_and_differ_by_seed(samples: list[Sample]) -> None:
    np.testing.assert_array_equal(grouped_folds(samples), grouped_folds(samples))
    assert (grouped_folds(samples) != grouped_folds(samples, seed=1)).any()


def test_too_little_for_grouped_folds(samples: list[Sample]) -> None:
    with pytest.raises(BadSamplesError, match="5 folds need"):
        grouped_folds(samples[:16])  # four photos a label
    with pytest.raises(BadSamplesError, match="5 folds need"):
        grouped_folds([replace(sample, group=f"g{place % 4}") for place, sample in enumerate(samples)])
    with pytest.raises(BadSamplesError):
        grouped_folds([])


def test_photographer_folds_are_those_of_the_manifest(samples: list[Sample]) -> None:
    assert photographer_folds(samples).tolist() == [sample.fold for sample in samples]


@pytest.mark.parametrize("place", [0, 119])
def test_photographer_folds_need_one_for_every_photo(samples: list[Sample], place: int) -> None:
    changed = list(samples)
    changed[place] = replace(changed[place], fold="")
    with pytest.raises(BadSamplesError, match="a fold for every photo"):
        photographer_folds(changed)


def test_photographer_folds_need_two(samples: list[Sample]) -> None:
    for few in ([replace(sample, fold="ann") for sample in samples], []):
        with pytest.raises(BadSamplesError, match="two folds or more"):
            photographer_folds(few)


def test_held_out_figures_tell_learning_by_heart_from_learning(samples: list[Sample]) -> None:
    # The trap: near-duplicates across the split. A nearest-neighbour fit is perfect on twins and worthless without.
    rng = np.random.default_rng(9)
    twins = [a_sample(n, f"label {rng.integers(0, 4)}", f"twin {n // 2}", FOLDS[n % 3]) for n in range(240)]
    twins = [replace(sample, label=twins[place // 2 * 2].label) for place, sample in enumerate(twins)]
    features = rng.normal(size=(120, 6)).repeat(2, axis=0)

    def nearest(places: NDArray[np.intp], judged: NDArray[np.intp]) -> tuple[Sequence[str], NDArray[np.float32]]:
        names = sorted({twins[place].label for place in places})
        distance = np.linalg.norm(features[judged][:, None] - features[places][None], axis=2)
        best = places[distance.argmin(axis=1)]
        logits = np.zeros((len(judged), len(names)), np.float32)
        logits[np.arange(len(judged)), [names.index(twins[place].label) for place in best]] = 1
        return names, logits

    def top1(found: HeldOut) -> float:
        return float(np.mean(found.logits.argmax(axis=1) == found.truth))

    for folds in (photographer_folds(twins), grouped_folds(twins)):
        assert top1(held_out(twins, folds, nearest, keep_unusable=True)) < 0.45
    alone = [replace(sample, group=sample.file) for sample in twins]
    assert top1(held_out(alone, photographer_folds(alone), nearest, keep_unusable=True)) > 0.95
