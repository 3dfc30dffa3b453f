"""Pairs of near hashes without comparing every pair: multi-index hashing with directed probes.

Each of the six sixths of a hash is a key of a table of its own (Norouzi, Punjani and Fleet, Fast Search in Hamming
Space with Multi-Index Hashing, 2012). In place of all keys near the query's, those are tried that differ in the bits
known to be doubtful, the likeliest to differ (after Lv et al., Multi-Probe LSH, 2007): 2^3 keys a table. A pair is
found when in some sixth all the bits that differ are doubtful ones of the query; it is then compared in full.

So the time is that of 48 look-ups a hash and of the pairs found, and some near pairs are missed; how many is measured
in `benchmarks/near_duplicates.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.check.looks import DOUBTS, KEY_BITS, POSES, TABLES, Hashes, Words

__all__ = ["CROWD", "RADIUS", "distinct", "near_pairs"]

Matches = NDArray[np.int64]
"""(M, 3): number of the query, number in the index, pose of the query."""

RADIUS: Final = 22
"""Bits of 128 that may differ; of copies that lost up to 5 % of their sides, 99.8 % differ in no more."""
CROWD: Final = 64
"""Hashes under one key with which a query is compared. Of more, as where one placeholder stands for thousands of
photos, the first are enough: every one of the crowd is compared with them."""

_BLOCK: Final = 1 << 14
"""Queries at once, so that memory stays bounded."""
_MASK: Final = np.uint64((1 << KEY_BITS) - 1)


def near_pairs(
    queries: Hashes, index: Words, radius: int = RADIUS, poses: Sequence[int] = (0,), *, not_itself: bool = False
) -> Matches:
    """Hashes of the index (M, 2) that differ in at most `radius` bits from a query in one of the poses.

    Each match once, sorted. `not_itself`: the index holds views of the queries, all of one view in the order of the
    queries and then all of the next, and no query is matched with a view of its own.
    """
    found: list[NDArray[np.int64]] = []
    for table in range(TABLES):
        keys = _sixth(index, table)
        order = np.argsort(keys, kind="stable").astype(np.int32)
        starts = np.zeros((1 << KEY_BITS) + 1, np.int32)
        np.cumsum(np.bincount(keys, minlength=1 << KEY_BITS), out=starts[1:])
        del keys
        for first, pose in product(range(0, len(queries), _BLOCK), poses):
            block = queries[first : first + _BLOCK].posed(pose)
            for probed in _probes(block, table):
                start = starts[probed]
                counts = np.minimum(starts[probed + 1] - start, CROWD)
                hit = np.flatnonzero(counts)
                counts = counts[hit]
                query = np.repeat(hit, counts)
                within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
                there = order[np.repeat(start[hit], counts) + within].astype(np.int64)
                differing = np.bitwise_count(block.bits[query] ^ index[there]).sum(axis=1)
                near = differing <= radius
                if not_itself:
                    near &= there % len(queries) != query + first
                found.append(((query[near] + first) * len(index) + there[near]) * POSES + pose)
        found = [distinct(np.concatenate(found))] if found else []
    rest, pose_of = np.divmod(found[0] if found else np.empty(0, np.int64), POSES)
    return np.stack([*np.divmod(rest, max(1, len(index))), pose_of], axis=1)


def distinct(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different numbers among many, sorted; over millions, `numpy.unique` takes five times as long."""
    codes = np.sort(codes)
    first = np.ones(len(codes), bool)
    np.not_equal(codes[1:], codes[:-1], out=first[1:])
    return codes[first]


def _probes(hashes: Hashes, table: int) -> Iterator[NDArray[np.int64]]:
    """The key of each hash, then with every choice of its doubtful bits changed."""
    rest = _sixth(hashes.doubtful, table)
    lowest = []
    for _ in range(DOUBTS):
        lowest.append(rest & -rest)
        rest = rest & (rest - 1)
    keys = _sixth(hashes.bits, table)
    for changed in range(DOUBTS + 1):
        for bits in combinations(lowest, changed):
            yield keys ^ sum(bits, np.int64(0))


def _sixth(words: Words, table: int) -> NDArray[np.int64]:
    shift = np.uint64(KEY_BITS * (table % 3))
    return (words[:, table // 3] >> shift & _MASK).astype(np.int64)
