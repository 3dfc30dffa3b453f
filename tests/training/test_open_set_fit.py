"""The unknown score fitted on embeddings of which it is known what is unusual about them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.training.features import embeddings_of
from handlens.training.open_set_fit import PRIOR, Judged, calibrated, fit_open_set

RNG = np.random.default_rng(0)
BASIS = np.linalg.qr(RNG.normal(size=(24, 24)))[0].astype(np.float32)


def drawn(count: int, *, shift: float = 0.0, beside: float = 0.05) -> NDArray[np.float32]:
    """Points in 8 dimensions of 24 and a little beside; what is unknown is shifted along the first."""
    inner = RNG.normal(size=(count, 8)) + shift * np.eye(8)[0]
    points = np.concatenate([inner, beside * RNG.normal(size=(count, 16))], axis=1)
    return np.asarray(points @ BASIS.T, np.float32)


def judged(unknown: float = 2.0) -> tuple[Judged, NDArray[np.float32]]:
    known, others = drawn(400), drawn(300, shift=unknown)
    raw = fit_open_set(known, known, others)
    new, strange = drawn(400), drawn(200, shift=unknown)
    shown = raw.standardised(new)
    found = Judged(
        raw.residual(shown),
        shown @ raw.weights + raw.bias,
        np.array(["museum"] * 400),
        raw.standardised(strange) @ raw.weights + raw.bias,
        np.array(["museum"] * 200),
    )
    return found, known


def test_embeddings_are_those_of_the_graph() -> None:
    features = np.array([[3.0, 0, 3, 8]], np.float32)  # two views
    assert embeddings_of(features, 2) == pytest.approx(np.array([[0.6, 0.8]]))
    assert np.isfinite(embeddings_of(np.zeros((1, 4), np.float32), 2)).all()
    assert embeddings_of(np.zeros((0, 4), np.float32), 2).shape == (0, 2)


def test_directions_are_orthonormal_and_as_many_as_the_photos_allow() -> None:
    found = fit_open_set(drawn(40), drawn(0), drawn(0))
    assert found.directions.shape == (10, 24)
    assert found.directions @ found.directions.T == pytest.approx(np.eye(10), abs=2e-3)
    assert math.isinf(found.bias)
    assert not found.weights.any()


def test_what_lies_beside_is_far_and_what_is_shifted_is_near() -> None:
    scale, known = judged()
    raw = fit_open_set(known, known[:0], known[:0])
    assert raw.directions.shape == (12, 24)  # never more than half of all there are
    few = replace(raw, directions=raw.directions[:8])
    shown = few.residual(few.standardised(drawn(300)))
    found = calibrated(few, replace(scale, residual=shown))
    novelties = [found.novelty(one) for one in drawn(200)]
    assert np.mean([one.far for one in novelties]) < 0.1
    beside = [found.novelty(one) for one in drawn(50, beside=1.0)]
    assert min(one.far for one in beside) > 0.9
    assert {one.near for one in novelties} == {0.0}


def test_the_far_probability_follows_from_known_photos() -> None:
    scale, known = judged()
    raw = fit_open_set(known, known, drawn(300, shift=2.0))
    found = calibrated(raw, scale)
    half, quarter = np.quantile(scale.residual, (0.975, 0.95))
    assert found.centre == pytest.approx(half)
    assert 1 / (1 + math.exp(-(quarter - found.centre) / found.width)) == pytest.approx(0.25)


def test_the_near_probability_is_calibrated_to_the_prior() -> None:
    scale, known = judged()
    found = calibrated(fit_open_set(known, known, drawn(300, shift=2.0)), scale)
    ours = np.array([found.novelty(one).near for one in drawn(500)])
    theirs = np.array([found.novelty(one).near for one in drawn(500, shift=2.0)])
    # Where it says 0.5 a photo is of either kind as often, were PRIOR of all photos unknown.
    assert theirs.mean() > 2 * ours.mean()
    share = PRIOR * theirs.mean() + (1 - PRIOR) * ours.mean()
    assert share == pytest.approx(PRIOR, abs=0.05)


def test_collections_that_differ_are_not_told_for_minerals() -> None:
    scale, known = judged(unknown=0.0)
    # Unknown minerals are all from another museum, whose photos differ by more than any mineral does.
    apart = replace(scale, unknown=scale.unknown + 5, theirs=np.array(["other"] * 200))
    found = calibrated(fit_open_set(known, known, drawn(300, shift=3.0)), apart)
    assert math.isinf(found.bias)
    assert found.novelty(drawn(1, shift=3.0)[0]).near == 0
    # The same shift between two museums that have both kinds is no slope either.
    both = Judged(
        scale.residual,
        np.r_[scale.linear[:200], scale.linear[200:] + 5],
        np.array(["one"] * 200 + ["two"] * 200),
        np.r_[scale.linear[:100], scale.linear[200:300] + 5],
        np.array(["one"] * 100 + ["two"] * 100),
    )
    flat = calibrated(fit_open_set(known, known, drawn(300, shift=3.0)), both)
    assert abs(flat.novelty(drawn(1, shift=3.0)[0]).near - PRIOR) < 0.1 or math.isinf(flat.bias)


def test_a_slope_against_the_unknown_is_no_slope() -> None:
    scale, known = judged()
    turned = replace(scale, linear=-scale.linear, unknown=-scale.unknown)
    assert math.isinf(calibrated(fit_open_set(known, known, drawn(300, shift=2.0)), turned).bias)


@pytest.mark.parametrize("count", [2, 5])
def test_few_photos(count: int) -> None:
    few = drawn(count)
    found = calibrated(
        fit_open_set(few, few[:0], few[:0]),
        Judged(np.zeros(count), np.zeros(count), np.array([""] * count), np.zeros(0), np.zeros(0, np.str_)),
    )
    assert found.width > 0
    assert np.isfinite(found.novelty(few[0]).far)
