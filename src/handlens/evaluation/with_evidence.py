"""What field tests add to a photo: every held-out photo is given simulated tests, in several orders; no I/O.

All orders of tests are judged on the same simulated specimens, errors and mistakes (`simulated_tests`), so their
differences are paired. Answers are weighed as `FieldEvidence.weigh` does, with its own share of mistakes whatever the
simulated one is. A test whose property the base does not know of the true mineral says nothing, but counts as done.

Intervals are 95 % percentile bootstraps over groups (photos of one specimen); the draws of a photo are averaged first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.decision import softmax
from handlens.evaluation.describe import species_of
from handlens.evaluation.evidence_temperature import Tempered, fit_evidence_temperature, tempered
from handlens.evaluation.metrics import balanced_accuracy, calibration_error
from handlens.evaluation.paired import Difference
from handlens.evaluation.protocol import HeldOut
from handlens.evaluation.simulated_tests import TESTS, Answers, simulate
from handlens.evidence import Evidence, FieldEvidence
from handlens.minerals import KnowledgeBase
from handlens.next_test import Advice

__all__ = [
    "COMPARED", "FIXED_ORDER", "FOLLOWED", "RANKS", "RATES", "STRATEGIES", "TEMPERED_DRAWS", "AtRank", "AtRate",
    "Scores", "Study", "log_likelihoods", "study",
]  # fmt: skip

RATES: Final = (0.05, 0.1)
FIXED_ORDER: Final = ("hardness", "streak", "acid")
_MOST: Final = 3
STRATEGIES: Final = (
    "image",
    *(", ".join(FIXED_ORDER[:count]) for count in range(1, _MOST + 1)),
    *(
        f"{way} x{count}"
        for way in ("best", "best, no balance", "most bits", "random")
        for count in range(1, _MOST + 1)
    ),
    "hardness, streak, best",
)
"""What is known of a photo. `best`: by `Advice.best` after each answer; `no balance`: of one who cannot measure a
specific gravity; `most bits`: by its gains alone, however hard or harmful the test is; `random`: any test not yet done.
"""
FOLLOWED: Final = ("hardness", "hardness, streak", "best x1", "best x2", "best x3", "hardness, streak, best")
"""What a user does who follows the advice or has a kit: one temperature is fitted for all of these."""
COMPARED: Final = (
    ("best x1", "random x1"),
    ("best x1", "hardness"),
    ("best, no balance x1", "random x1"),
    ("best, no balance x1", "hardness"),
    ("most bits x1", "hardness"),
    ("best x2", "random x2"),
    ("best x2", "hardness, streak"),
    ("best x3", "random x3"),
    ("best x3", "hardness, streak, acid"),
)
RANKS: Final = ("species", "flat")
_RESAMPLES: Final = 2000
TEMPERED_DRAWS: Final = 4
"""Specimens a photo that temperatures are refitted and judged with."""

_Likelihoods = Mapping[str, Mapping[str, NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares, 0 to 1. `top1` and `removed`, the share of the photo's errors that are gone (negative where there are
    more), each with an interval; `ece` of the top answer.
    """

    top1: float
    top1_interval: tuple[float, float]
    removed: float
    removed_interval: tuple[float, float]
    balanced: float
    ece: float


@dataclass(frozen=True, slots=True)
class AtRank:
    """By strategy; `differences` in the share of right answers by a pair of them; `tempered`: temperatures refitted."""

    scores: Mapping[str, Scores]
    differences: Mapping[tuple[str, str], Difference]
    tempered: Mapping[str, Tempered]


@dataclass(frozen=True, slots=True)
class AtRate:
    """`chosen`: by strategy, how often each test was the last one done, as a share of the draws; "" for none, where no
    test tells enough. `temperature`: fitted with the evidence of all FOLLOWED, on all folds.
    """

    ranks: Mapping[str, AtRank]
    chosen: Mapping[str, Mapping[str, float]]
    temperature: float


@dataclass(frozen=True, slots=True)
class Study:
    """`not_known`: by test, the share of photos of whose mineral the base does not know what the test tests."""

    photos: int
    groups: int
    labels: int
    draws: int
    not_known: Mapping[str, float]
    rates: Mapping[float, AtRate]


def study(
    held: HeldOut,
    groups: NDArray[np.str_],
    minerals: KnowledgeBase,
    *,
    draws: int = 20,
    rates: Sequence[float] = RATES,
    seed: int = 0,
    quiet: bool = False,
) -> Study:
    """The figures of `draws` simulated specimens a photo, by share of mistakes. `groups` (n,): photos of one specimen.

    A label that the knowledge base does not have is one of which no property is known.
    """
    evidence = FieldEvidence(held.labels, minerals)
    advice = Advice(evidence, minerals)
    photos = len(held.truth)
    rng = np.random.default_rng(seed)
    answers = simulate(evidence.table, np.repeat(held.truth, draws), rates, rng)
    orders = rng.permuted(np.tile(np.arange(len(TESTS)), (photos * draws, 1)), axis=1)[:, :_MOST]
    tallies = [_Tally(held, draws, minerals, log_likelihoods(evidence, given)) for given in answers]
    with np.errstate(divide="ignore"):  # a label that the fold's training part lacked
        log_prior = np.log(held.probabilities)
    for place in tqdm(range(photos), desc="simulated tests", disable=quiet):
        photo = _Photo(log_prior[place], advice)
        here = slice(place * draws, (place + 1) * draws)
        for tally, every in zip(tallies, answers, strict=True):
            tally.add(place, photo, {test: texts[here].tolist() for test, texts in every.items()}, orders[here])
    return Study(
        photos=photos,
        groups=len(np.unique(groups)),
        labels=len(held.labels),
        draws=draws,
        not_known={test: float((texts == "").mean()) for test, texts in answers[0].items()},
        rates={rate: tally.figures(groups) for rate, tally in zip(rates, tallies, strict=True)},
    )


def log_likelihoods(evidence: FieldEvidence, answers: Answers) -> _Likelihoods:
    """By test and answer, the logarithm of how likely it is of each label (labels,); zeros for a test not done."""
    return {
        test: {
            text: np.log(evidence.likelihood(test, Evidence.of({test: text}))[0])
            if text
            else np.zeros(len(evidence.labels))
            for text in map(str, np.unique(texts))
        }
        for test, texts in answers.items()
    }


class _Photo:
    """One photo's calibrated log-probabilities (labels,); what to do next is kept by what was answered."""

    def __init__(self, log_prior: NDArray[np.float64], advice: Advice) -> None:
        self.log_prior, self._advice = log_prior, advice
        self._kept: dict[tuple[str, tuple[tuple[str, str], ...]], str | None] = {}

    def next(self, way: str, log_weight: NDArray[np.float64], done: Mapping[str, str]) -> str | None:
        key = (way, tuple(sorted(done.items())))
        if key not in self._kept:
            now = softmax(self.log_prior + log_weight, 1.0)
            if way.startswith("best"):
                found = self._advice.best(now, {*done, "gravity"} if way == "best, no balance" else done)
                self._kept[key] = None if found is None else found.test
            else:
                gains = {test: gain for test, gain in self._advice.gains(now).items() if test not in done}
                self._kept[key] = max(gains, key=lambda test: gains[test])
        return self._kept[key]


@dataclass(frozen=True, slots=True)
class _Judged:
    """`right` and `confidence` (strategies, photos, draws) of the top answer at one rank."""

    right: NDArray[np.bool_]
    confidence: NDArray[np.float64]


class _Tally:
    """What came of every photo at one share of mistakes."""

    def __init__(self, held: HeldOut, draws: int, minerals: KnowledgeBase, likelihoods: _Likelihoods) -> None:
        self._held, self._likelihoods = held, likelihoods
        self._members = {"species": _species(held.labels, minerals), "flat": np.eye(len(held.labels))}
        shape = (len(STRATEGIES), len(held.truth), draws)
        self._judged = {rank: _Judged(np.zeros(shape, bool), np.zeros(shape)) for rank in RANKS}
        kept = min(draws, TEMPERED_DRAWS)
        self._weights = np.zeros((*shape[:2], kept, len(held.labels)), np.float32)
        self._chosen: dict[str, Counter[str]] = {strategy: Counter() for strategy in STRATEGIES[1:]}

    def add(self, place: int, photo: _Photo, given: Mapping[str, Sequence[str]], orders: NDArray[np.intp]) -> None:
        found = np.zeros((len(STRATEGIES), len(orders), len(self._held.labels)))
        for draw, order in enumerate(orders):
            told = {test: texts[draw] for test, texts in given.items()}
            for number, (log_weight, last) in enumerate(_walks(photo, told, self._likelihoods, order), 1):
                found[number, draw] = log_weight
                self._chosen[STRATEGIES[number]][last] += 1
        self._weights[:, place] = found[:, : self._weights.shape[2]]
        now = softmax(photo.log_prior + found, 1.0)
        for rank, judged in self._judged.items():
            members = self._members[rank]
            sums = now @ members
            judged.right[:, place] = sums.argmax(axis=-1) == members[self._held.truth[place]].argmax()
            judged.confidence[:, place] = sums.max(axis=-1)

    def figures(self, groups: NDArray[np.str_]) -> AtRate:
        held, draws = self._held, self._judged["flat"].right.shape[2]
        return AtRate(
            ranks={rank: self._at_rank(rank, groups) for rank in RANKS},
            chosen={
                strategy: {test: count / (len(held.truth) * draws) for test, count in counts.most_common()}
                for strategy, counts in self._chosen.items()
            },
            temperature=fit_evidence_temperature(
                held.logits,
                np.concatenate([self._weights[STRATEGIES.index(one)] for one in FOLLOWED], axis=1),
                held.truth,
            ),
        )

    def _at_rank(self, rank: str, groups: NDArray[np.str_]) -> AtRank:
        found, members = self._judged[rank], self._members[rank]
        weights = dict(zip(STRATEGIES, self._weights, strict=True))
        drawn = _resampled(found.right, groups)
        return AtRank(
            _scores(found, members.argmax(axis=1)[self._held.truth], drawn),
            _differences(found.right, drawn),
            tempered(self._held, weights, FOLLOWED, members),
        )


def _walks(
    photo: _Photo,
    given: Mapping[str, str],
    likelihoods: _Likelihoods,
    order: NDArray[np.intp],
) -> list[tuple[NDArray[np.float64], str]]:
    """In the order of STRATEGIES, without the first: the summed log-likelihoods (labels,), and the last test done."""

    def walk(first: Sequence[str], way: str = "", more: int = 0) -> list[tuple[NDArray[np.float64], str]]:
        total = np.zeros_like(photo.log_prior)
        done: dict[str, str] = {}
        steps = []
        for step in range(len(first) + more):
            test = first[step] if step < len(first) else photo.next(way, total, done)
            if test is not None:
                total = total + likelihoods[test][given[test]]
                done[test] = given[test]
            steps.append((total, test or ""))
        return steps

    return [
        *walk(FIXED_ORDER),
        *walk((), "best", _MOST),
        *walk((), "best, no balance", _MOST),
        *walk((), "most bits", _MOST),
        *walk([TESTS[number] for number in order]),
        walk(FIXED_ORDER[:2], "best", 1)[-1],
    ]


def _species(labels: Sequence[str], minerals: KnowledgeBase) -> NDArray[np.float64]:
    """(labels, species): 1 where the label counts as the species."""
    names = np.array([species_of(label, minerals) for label in labels])
    return np.asarray(names[:, np.newaxis] == np.unique(names), dtype=np.float64)


def _resampled(right: NDArray[np.bool_], groups: NDArray[np.str_]) -> NDArray[np.float64]:
    """Shares of right answers (resamples, strategies) with the groups drawn anew; the same ones for all strategies."""
    _, member = np.unique(groups, return_inverse=True)
    photos = np.bincount(member)
    gained = np.stack([np.bincount(member, weights=one) for one in right.mean(axis=2)], axis=1)
    counts = np.random.default_rng(0).multinomial(len(photos), np.full(len(photos), 1 / len(photos)), _RESAMPLES)
    return np.asarray((counts @ gained) / (counts @ photos)[:, np.newaxis])


def _scores(found: _Judged, truth: NDArray[np.intp], drawn: NDArray[np.float64]) -> dict[str, Scores]:
    shares = found.right.mean(axis=(1, 2))
    wrong, wrong_drawn = max(1 - float(shares[0]), 1e-12), np.maximum(1 - drawn[:, 0], 1e-12)
    every = np.repeat(truth, found.right.shape[2])
    return {
        strategy: Scores(
            top1=float(shares[number]),
            top1_interval=_interval(drawn[:, number]),
            removed=float(shares[number] - shares[0]) / wrong,
            removed_interval=_interval((drawn[:, number] - drawn[:, 0]) / wrong_drawn),
            # A wrong answer is any column but the true one.
            balanced=balanced_accuracy(np.where(found.right[number].ravel(), every, -1), every),
            ece=calibration_error(found.confidence[number].ravel(), found.right[number].ravel()),
        )
        for number, strategy in enumerate(STRATEGIES)
    }


def _differences(right: NDArray[np.bool_], drawn: NDArray[np.float64]) -> dict[tuple[str, str], Difference]:
    shares = right.mean(axis=(1, 2))
    pairs = {pair: (STRATEGIES.index(pair[0]), STRATEGIES.index(pair[1])) for pair in COMPARED}
    return {
        pair: Difference(float(shares[one] - shares[other]), *_interval(drawn[:, one] - drawn[:, other]))
        for pair, (one, other) in pairs.items()
    }


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
