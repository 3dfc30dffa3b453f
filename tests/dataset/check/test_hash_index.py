"""The index against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from handlens.dataset.check.hash_index import CROWD, distinct, near_pairs
from handlens.dataset.check.looks import DOUBTS, KEY_BITS, TABLES, Hashes


def hashes(bits: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], seed: int = 0) -> Hashes:
    """Hashes of 128 bits given as (N, 128), with doubtful bits at random places of each sixth."""
    rng = np.random.default_rng(seed)
    doubtful = np.zeros_like(bits)
    for start in (0, 21, 42, 64, 85, 106):
        places = start + rng.permuted(np.tile(np.arange(KEY_BITS), (len(bits), 1)), axis=1)[:, :DOUBTS]
        np.put_along_axis(doubtful, places, values=True, axis=1)
    words = [
        np.packbits(part, axis=1, bitorder="little").copy().view("<u8").astype(np.uint64) for part in (bits, doubtful)
    ]
    return Hashes(words[0], np.zeros_like(words[0]), words[1])


def random_bits(count: int, seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.random.default_rng(seed).random((count, 128)) < 0.5


def changed(of: Hashes, allowed: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], seed: int) -> Hashes:
    """Hashes that differ from `of` in about half of the allowed bits."""
    noise = np.random.default_rng(seed).integers(0, 2**63, of.bits.shape, np.uint64)
    return Hashes(of.bits ^ (noise & allowed), of.dead, of.doubtful)


def test_all_pairs_that_differ_in_doubtful_bits_only_are_found() -> None:
    queries = hashes(random_bits(500))
    copies = changed(queries, queries.doubtful, 7)
    pairs = near_pairs(queries, copies.bits, radius=TABLES * DOUBTS)
    assert pairs.tolist() == [[number, number, 0] for number in range(500)]


def test_one_sixth_is_enough() -> None:
    queries = hashes(random_bits(500))
    high = np.array([0, 0xFFFF], np.uint64)  # 16 bits of the fourth sixth, sure ones among them
    assert len(near_pairs(queries, changed(queries, high, 8).bits, radius=16)) == 500


def test_every_pair_found_is_near_and_is_found_once() -> None:
    bits = random_bits(300)
    bits[100:] = bits[np.arange(200) % 100] ^ (np.random.default_rng(3).random((200, 128)) < 0.08)
    table = hashes(bits)
    pairs = near_pairs(table, table.bits, radius=12)
    apart = (bits[:, None] != bits[None, :]).sum(axis=2)
    truth = {(int(a), int(b)) for a, b in np.argwhere(apart <= 12)}
    found = [(int(a), int(b)) for a, b, _ in pairs]
    assert found == sorted(set(found))
    assert set(found) <= truth
    assert len(found) >= 0.9 * len(truth)
    assert all((number, number) in set(found) for number in range(300))


def test_the_radius_counts() -> None:
    one = hashes(random_bits(1))
    other = Hashes(one.bits ^ np.array([[0, 0b1111]], np.uint64), one.dead, one.doubtful)
    assert (len(near_pairs(one, other.bits, radius=3)), len(near_pairs(one, other.bits, radius=4))) == (0, 1)


def test_a_query_is_not_matched_with_its_own_views() -> None:
    bits = np.repeat(random_bits(40), 2, axis=0)  # each twice
    table = hashes(bits)
    views = np.concatenate([table.bits, table.bits])
    pairs = near_pairs(table, views, radius=0, not_itself=True)
    assert pairs.tolist() == [[n, other, 0] for n in range(80) for other in (n ^ 1, (n ^ 1) + 80)]


def test_a_crowd_is_compared_with_its_first_only() -> None:
    bits = np.repeat(random_bits(1), 10 * CROWD, axis=0)
    pairs = near_pairs(hashes(bits), hashes(bits).bits)
    assert len(pairs) == 10 * CROWD * CROWD
    assert set(pairs[:, 1].tolist()) == set(range(CROWD))


def test_nothing_in_nothing() -> None:
    none, some = hashes(random_bits(0)), hashes(random_bits(3))
    for pairs in (near_pairs(none, none.bits), near_pairs(some, none.bits), near_pairs(none, some.bits)):
        assert pairs.shape == (0, 3)


@pytest.mark.parametrize("numbers", [[], [5], [3, 1, 3, 3, 2, 1]])
def test_distinct(numbers: list[int]) -> None:
    assert distinct(np.array(numbers, np.int64)).tolist() == sorted(set(numbers))
