"""From scores to an answer: pure functions, no I/O.

Candidates are the bundle's labels as disjoint leaves. A name higher in the tree has the summed probability of the
labels below it, itself included. The decision is the most exact name whose sum passes the threshold of its rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import Thresholds
from handlens.minerals import KnowledgeBase
from handlens.open_set import Novelty

__all__ = [
    "UNKNOWN",
    "Candidate",
    "Decision",
    "Taxonomy",
    "decide",
    "prediction_set",
    "softmax",
    "unknown_score",
]

UNKNOWN: Final = "unknown"
Rank = Literal["variety", "species", "group", "unknown"]
_RANKS: Final[tuple[Literal["variety", "species", "group"], ...]] = ("variety", "species", "group")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One label and its probability, 0 to 1."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: a name, its rank, and its summed probability.

    For "unknown" the probability is 1 minus that of the best name of any rank: how likely it is that naming it would
    have been wrong.
    """

    name: str
    rank: Rank
    probability: float


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The tree over a bundle's labels: `members[i, j]` says that label j is node i or below it."""

    names: tuple[str, ...]
    ranks: tuple[Rank, ...]
    members: NDArray[np.bool_]

    @classmethod
    def of(cls, labels: Sequence[str], minerals: KnowledgeBase) -> Taxonomy:
        """The nodes above `labels`. A label that the knowledge base does not know is a species on its own."""
        below: dict[str, set[int]] = {}
        ranks: dict[str, Rank] = {}
        for index, label in enumerate(labels):
            for name in minerals.ancestors(label) if label in minerals else (label,):
                below.setdefault(name, set()).add(index)
                ranks[name] = minerals.get(name).rank if name in minerals else "species"
        members = np.zeros((len(below), len(labels)), bool)
        for node, indices in enumerate(below.values()):
            members[node, list(indices)] = True
        return cls(tuple(below), tuple(ranks[name] for name in below), members)

    def sums(self, probabilities: NDArray[np.float64]) -> Mapping[str, float]:
        """The summed probability of every node."""
        return dict(zip(self.names, self.node_sums(probabilities).tolist(), strict=True))

    def node_sums(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same as an array (nodes,)."""
        # Not `@`: threads of BLAS wait for more work after every product, and take the processors from the network.
        return np.asarray(np.einsum("nl,l->n", self.members, probabilities))


def softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Probabilities along the last axis of logits / temperature, in double precision."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def unknown_score(probabilities: NDArray[np.float64], kept: float = 1.0, novelty: Novelty | None = None) -> float:
    """How likely it is that the photo shows none of the labels, 0 to 1.

    `kept`: what simple tests leave of the probability that it is one of them. `novelty`: how far the photo is from all
    of them; without it the score is 1 - the highest probability, the baseline of Hendrycks and Gimpel, "A Baseline for
    Detecting Misclassified and Out-of-Distribution Examples in Neural Networks" (ICLR 2017).
    """
    known = float(probabilities.max()) if novelty is None else 1 - novelty.unknown
    return 1 - known * kept


def prediction_set(probabilities: NDArray[np.float64], quantile: float) -> list[int]:
    """Indices of the labels in the prediction set, most probable first; never empty.

    `quantile` is that of 1 - p(true label) on held-out photos. Source: the least ambiguous set-valued classifier of
    Sadinle, Lei and Wasserman (JASA 2019).
    """
    order = np.argsort(-probabilities, kind="stable")
    # A rounding error must not drop a label that stands on the very limit.
    chosen = [int(index) for index in order if probabilities[index] >= 1.0 - quantile - 1e-12]
    return chosen or [int(order[0])]


def decide(probabilities: NDArray[np.float64], taxonomy: Taxonomy, thresholds: Thresholds) -> Decision:
    """The name at the most exact rank whose summed probability reaches the threshold of that rank, or unknown.

    `probabilities` (labels,) sum to 1. Among names of one rank the most exact that passes wins (agate before
    chalcedony, plagioclase before feldspar), and the most probable among those.
    """
    sums = taxonomy.node_sums(probabilities)
    sizes = taxonomy.members.sum(axis=1)
    for rank in _RANKS:
        passing = [
            node
            for node, node_rank in enumerate(taxonomy.ranks)
            if node_rank == rank and sums[node] >= getattr(thresholds, rank)
        ]
        # Of two names over the same labels the first is the more exact: `Taxonomy.of` goes upward from each label.
        exact = [
            node
            for node in passing
            if not any(
                (sizes[other], other) < (sizes[node], node)
                and not np.any(taxonomy.members[other] & ~taxonomy.members[node])
                for other in passing
            )
        ]
        if exact:
            best = max(exact, key=lambda node: float(sums[node]))
            return Decision(taxonomy.names[best], rank, float(sums[best]))
    return Decision(UNKNOWN, "unknown", float(1.0 - sums.max()))
