"""From pairs to groups: connected components, with a guard against chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.check.near import NearPairs

__all__ = ["Clusters", "components", "guarded_clusters"]

Numbers = NDArray[np.int64]

_ALL: Final = 0.8
"""Share of a cluster that must resemble one of its pictures for it to be copies of one picture and not a chain."""
_AT_ONCE: Final = 10_000
"""Pairs held as Python's numbers, which take ten times the memory."""
_CUT: Final = 0.25
"""Share of the weakest links that each step of cutting a chain leaves out."""


@dataclass(frozen=True, eq=False, slots=True)
class Clusters:
    """`of`: the cluster of each picture, named by its first; `cut`: how many links a chain was cut at."""

    of: Numbers
    cut: int


def components(count: int, pairs: Numbers) -> Numbers:
    """The connected component of each of `count` numbers under `pairs` (M, 2), named by its least member."""
    parent = np.arange(count, dtype=np.int64)
    for first in range(0, len(pairs), _AT_ONCE):
        for one, other in pairs[first : first + _AT_ONCE].tolist():
            a, b = _root(parent, one), _root(parent, other)
            parent[max(a, b)] = min(a, b)
    while (parent[parent] != parent).any():
        parent = parent[parent]
    return parent


def _root(parent: Numbers, number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = int(parent[number])
    return number


def guarded_clusters(count: int, near: NearPairs, longest_chain: int) -> Clusters:
    """Connected components of `count` pictures under their near pairs, chains cut.

    A component of more than `longest_chain` pictures in which no picture resembles four fifths of the others is a
    chain: its weakest links are left out, a quarter of them at a time, until each piece is short enough or no chain.
    """
    kept = np.ones(len(near), bool)
    while True:
        of = components(count, near.pairs[kept])
        cut = _weakest(of, near, kept, longest_chain)
        if not len(cut):
            return Clusters(of, int((of[near.pairs[:, 0]] != of[near.pairs[:, 1]]).sum()))
        kept[cut] = False


def _weakest(of: Numbers, near: NearPairs, kept: NDArray[np.bool_], longest_chain: int) -> Numbers:
    """The links to leave out next, of all chains."""
    links = np.flatnonzero(kept)
    if not len(links):
        return links
    sizes = np.bincount(of)
    degrees = np.bincount(near.pairs[links].ravel(), minlength=len(of))
    best = np.zeros(len(sizes), np.int64)
    np.maximum.at(best, of, degrees)
    chains = (sizes > longest_chain) & (best < _ALL * (sizes - 1))
    inside = links[chains[of[near.pairs[links, 0]]]]
    chosen = []
    for chain in np.unique(of[near.pairs[inside, 0]]).tolist():
        own = inside[of[near.pairs[inside, 0]] == chain]
        weakest = own[np.argsort(near.likeness[own], kind="stable")]
        chosen.append(weakest[: max(1, int(len(own) * _CUT))])
    return np.concatenate(chosen) if chosen else links[:0]
