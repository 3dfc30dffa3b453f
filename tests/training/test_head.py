"""The linear head: what it learns, how classes weigh, and that folding the scaling changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from handlens.decision import softmax
from handlens.errors import UsageError
from handlens.training.head import HeadSettings, LinearHead, adjusted, fit_head
from handlens.training.samples import BadSamplesError

LABELS = ("agate", "quartz", "ruby")


def clouds(
    counts: tuple[int, ...], *, distance: float = 4.0, seed: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Normal clouds around corners of a cube in 5 dimensions of very different scale and offset."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for index, count in enumerate(counts):
        centre = np.zeros(5)
        centre[index] = distance
        rows.append(rng.normal(size=(count, 5)) + centre)
        labels += [LABELS[index]] * count
    scaled = np.concatenate(rows) * [1, 10, 0.1, 100, 1] + [5, -50, 0, 1000, 0]
    return scaled.astype(np.float32), np.array(labels)


def named(head: LinearHead, features: NDArray[np.float32]) -> NDArray[np.str_]:
    names: NDArray[np.str_] = np.array(head.labels)[head.logits(features).argmax(axis=1)]
    return names


def test_separable_labels_are_learnt() -> None:
    features, labels = clouds((40, 40, 40), distance=6)
    head = fit_head(features, labels, HeadSettings(strength=1.0))
    fresh, truth = clouds((30, 30, 30), distance=6, seed=4)
    assert np.mean(named(head, fresh) == truth) > 0.97


def test_labels_are_in_alphabetical_order_whatever_the_order_of_photos() -> None:
    features, labels = clouds((40, 40, 40))
    order = np.random.default_rng(1).permutation(len(labels))[::-1]
    head, other = (fit_head(features[p], labels[p], HeadSettings()) for p in (np.arange(len(labels)), order))
    assert head.labels == other.labels == LABELS
    np.testing.assert_allclose(head.logits(features), other.logits(features), atol=1e-3)
    assert all(type(label) is str for label in head.labels)  # no NumPy text reaches bundle.json


@pytest.mark.parametrize("counts", [(30, 50, 70), (30, 60)])
def test_logits_are_those_of_the_regression_on_standardised_features(counts: tuple[int, ...]) -> None:
    features, labels = clouds(counts, distance=2)
    head = fit_head(features, labels, HeadSettings(strength=0.1))
    reference = LogisticRegression(C=0.1, max_iter=300, class_weight="balanced")
    standardised = StandardScaler().fit_transform(features.astype(np.float64))
    expected = reference.fit(standardised, labels).predict_proba(standardised)
    np.testing.assert_allclose(softmax(head.logits(features), 1.0), expected, atol=2e-3)
    decision = reference.decision_function(standardised)
    found = head.logits(features)
    if len(counts) == 2:
        np.testing.assert_allclose(found[:, 1] - found[:, 0], decision, atol=2e-2)
    else:
        np.testing.assert_allclose(
            found - found.mean(axis=1, keepdims=True), decision - decision.mean(axis=1, keepdims=True), atol=2e-2
        )


def test_balance_gives_a_thin_label_its_share() -> None:
    features, labels = clouds((300, 15), distance=1.2)
    fresh, truth = clouds((300, 300), distance=1.2, seed=9)

    def recall(balance: float) -> float:
        head = fit_head(features, labels, HeadSettings(strength=1.0, balance=balance))
        return float(np.mean(named(head, fresh)[truth == "quartz"] == "quartz"))

    assert recall(0.0) < 0.5 < recall(1.0)
    assert recall(0.0) < recall(0.5) < recall(1.0)


def test_what_is_frequent_is_taken_out_of_the_logits() -> None:
    features, labels = clouds((300, 30, 15), distance=1.2)
    plain, less, least = (
        fit_head(features, labels, HeadSettings(strength=1.0, balance=0.0, adjust=times)) for times in (0.0, 1.0, 2.0)
    )
    share = np.log(np.array([300, 30, 15]) / 345)
    np.testing.assert_allclose(plain.logits(features) - less.logits(features), np.tile(share, (345, 1)), atol=1e-3)
    np.testing.assert_allclose(less.bias - least.bias, plain.bias - less.bias, atol=1e-5)
    # Whoever takes all of it out is as a head that was fitted with every label alike.
    fresh, truth = clouds((200, 200, 200), distance=1.2, seed=9)
    balanced = fit_head(features, labels, HeadSettings(strength=1.0))
    right = [np.mean(named(head, fresh) == truth) for head in (plain, less, balanced)]
    assert right[0] + 0.1 < right[1]
    assert right[1] == pytest.approx(right[2], abs=0.03)


def test_shares_are_of_the_photos_in_whatever_order() -> None:
    head = LinearHead(("a", "b"), np.zeros((3, 2), np.float32), np.array([1.0, 2.0], np.float32))
    found = adjusted(head, np.array(["b", "a", "b", "b"]), 1.5)
    np.testing.assert_allclose(found.bias, [1 - 1.5 * np.log(0.25), 2 - 1.5 * np.log(0.75)], rtol=1e-6)
    assert found.bias.dtype == np.float32
    np.testing.assert_array_equal(adjusted(head, np.array(["a", "b"]), 0.0).bias, head.bias)


def test_a_stronger_penalty_makes_flatter_answers() -> None:
    features, labels = clouds((40, 40, 40))
    flat, sharp = (
        softmax(fit_head(features, labels, HeadSettings(strength=strength)).logits(features), 1.0).max(axis=1).mean()
        for strength in (1e-4, 1.0)
    )
    assert flat < 0.6 < sharp


def test_a_feature_that_never_varies_does_no_harm() -> None:
    features, labels = clouds((40, 40))
    features[:, 4] = 0.0
    head = fit_head(features, labels, HeadSettings())
    alive = features.copy()
    alive[:, 4] = 3.0
    np.testing.assert_allclose(head.logits(alive), head.logits(features), atol=1e-4)


def test_the_same_data_give_the_same_head() -> None:
    features, labels = clouds((20, 30, 40))
    first, second = (fit_head(features, labels, HeadSettings()) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.bias, second.bias)
    assert first.weights.dtype == first.bias.dtype == np.float32


@pytest.mark.parametrize("count", [0, 5])
def test_fewer_than_two_labels(count: int) -> None:
    features, labels = np.ones((count, 3), np.float32), np.array(["quartz"] * count)
    with pytest.raises(BadSamplesError, match="two labels or more"):
        fit_head(features, labels, HeadSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": 0.0},
        {"strength": -1.0},
        {"strength": float("nan")},
        {"strength": float("inf")},
        {"balance": 1.5},
        {"balance": float("nan")},
        {"adjust": -0.5},
        {"adjust": float("inf")},
        {"iterations": 0},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        HeadSettings(**wrong)  # type: ignore[arg-type]


def photographed(seed: int, shift: float) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.str_]]:
    """Two labels that differ along one direction, photographed by two people who differ along another: the first has
    mostly agates, the second mostly quartz, so that the studio tells the label, too.
    """
    rng = np.random.default_rng(seed)
    rows, labels, whose = [], [], []
    for label, away, counts in (("agate", -0.8, (66, 4)), ("quartz", 0.8, (4, 66))):
        for person, count in enumerate(counts):
            found = rng.normal(size=(count, 6))
            found[:, 0] += away
            found[:, 1] += shift * (2 * person - 1)
            rows.append(found)
            labels += [label] * count
            whose += [f"person {person}"] * count
    return np.concatenate(rows).astype(np.float32), np.array(labels), np.array(whose)


def test_what_tells_the_photographer_is_left_out() -> None:
    features, labels, whose = photographed(0, 2.0)
    plain = fit_head(features, labels, HeadSettings(strength=1.0), whose)
    blind = fit_head(features, labels, HeadSettings(strength=1.0, nuisance=1), whose)

    def studio(head: LinearHead) -> float:
        return float(np.abs(head.weights[1]).max() / np.abs(head.weights[0]).max())

    assert studio(plain) > 0.2
    assert studio(blind) < 0.1 * studio(plain)
    # In the other studio than most of its kind.
    swapped, truth, _ = photographed(1, -2.0)
    assert np.mean(named(blind, swapped) == truth) > np.mean(named(plain, swapped) == truth) + 0.05


@pytest.mark.parametrize("whose", [None, "one", "own"])
def test_without_two_photographers_of_one_label_nothing_is_left_out(whose: str | None) -> None:
    features, labels, _ = photographed(0, 2.0)
    people = None if whose is None else labels if whose == "own" else np.full(len(labels), "")
    plain, asked = (fit_head(features, labels, HeadSettings(nuisance=n), people) for n in (0, 8))
    np.testing.assert_array_equal(plain.weights, asked.weights)
    np.testing.assert_array_equal(plain.bias, asked.bias)


def test_no_more_directions_are_left_out_than_there_are() -> None:
    features, labels, whose = photographed(0, 2.0)
    head = fit_head(features, labels, HeadSettings(nuisance=50), whose)
    assert np.isfinite(head.weights).all()
    assert np.mean(named(head, features) == labels) > 0.7
