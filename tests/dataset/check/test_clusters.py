"""Components, and the guard against chains."""

from __future__ import annotations

import numpy as np

from handlens.dataset.check.clusters import components, guarded_clusters
from handlens.dataset.check.near import NearPairs


def near(*links: tuple[int, int, float]) -> NearPairs:
    pairs = np.array([link[:2] for link in links], np.int64).reshape(-1, 2)
    return NearPairs(pairs, np.array([link[2] for link in links], np.float64))


def test_components_are_named_by_their_least_member() -> None:
    pairs = np.array([[4, 2], [2, 6], [1, 5], [5, 1]])
    assert components(8, pairs).tolist() == [0, 1, 2, 3, 2, 1, 2, 7]
    assert components(3, np.empty((0, 2), np.int64)).tolist() == [0, 1, 2]


def test_a_short_chain_stays_whole() -> None:
    chain = near(*((n, n + 1, 0.9) for n in range(11)))
    clusters = guarded_clusters(12, chain, longest_chain=12)
    assert (set(clusters.of.tolist()), clusters.cut) == ({0}, 0)


def test_a_long_chain_is_cut_at_its_weakest_links() -> None:
    likeness = [0.99] * 29
    likeness[9], likeness[19] = 0.87, 0.88
    clusters = guarded_clusters(30, near(*((n, n + 1, likeness[n]) for n in range(29))), longest_chain=12)
    sizes = np.bincount(clusters.of)
    assert sizes.max() <= 12
    assert clusters.of[9] != clusters.of[10]
    assert clusters.of[19] != clusters.of[20]
    assert clusters.cut >= 2


def test_many_copies_of_one_picture_are_no_chain() -> None:
    star = near(*((0, n, 0.95) for n in range(1, 200)))
    clusters = guarded_clusters(200, star, longest_chain=12)
    assert (set(clusters.of.tolist()), clusters.cut) == ({0}, 0)


def test_a_chain_beside_others_leaves_them_alone() -> None:
    chain = [(n, n + 1, 0.9) for n in range(20)]
    pair = [(30, 31, 0.86)]
    clusters = guarded_clusters(40, near(*chain, *pair), longest_chain=5)
    assert clusters.of[31] == 30
    assert np.bincount(clusters.of).max() <= 5
