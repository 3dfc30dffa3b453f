"""Names as numbers, and rows joined by what they share."""

from __future__ import annotations

import numpy as np
import pytest

from handlens.dataset.keys import codes, drawn_key, united


def test_drawn_keys_are_the_same_everywhere() -> None:
    # The first 8 bytes of sha256("7 abc").
    assert drawn_key(7, "abc") == 0x82B036E5FCE107DC
    assert drawn_key(7, "abc") != drawn_key(8, "abc")
    assert drawn_key(7, "abc") != drawn_key(7, "abd")


def test_codes() -> None:
    found = codes(np.array([50, 0, 7, 50, 0, 7], np.uint64)).tolist()
    assert found[0] == found[3]
    assert found[2] == found[5]
    assert len(set(found)) == 4
    assert len(set(codes(np.zeros(3, np.uint64)).tolist())) == 3
    assert codes(np.zeros(0, np.uint64)).tolist() == []


def test_united() -> None:
    one = np.array([0, 1, 1, 2, 3, 4])
    other = np.array([0, 1, 2, 2, 3, 0])
    assert united(one, other).tolist() == [0, 1, 1, 1, 4, 0]
    assert united(np.zeros(0, np.int64)).tolist() == []


@pytest.mark.parametrize("seed", range(20))
def test_united_as_a_plain_search_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, 150, 120) for _ in range(2)]
    first = list(range(120))
    changed = True
    while changed:
        changed = False
        for column in columns:
            for place in range(120):
                least = min(first[near] for near in range(120) if column[near] == column[place])
                changed |= least < first[place]
                first[place] = least
    assert united(*columns).tolist() == first


@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
def test_a_long_chain_is_one(order: str) -> None:
    # Rows 2n and 2n + 1 share the first key, 2n + 1 and 2n + 2 the second.
    count = 200_001
    place = np.arange(count)
    one, other = place // 2, (place + 1) // 2
    if order == "backwards":
        one, other = one[::-1].copy(), other[::-1].copy()
    elif order == "shuffled":
        shuffled = np.random.default_rng(0).permutation(count)
        one, other = one[shuffled], other[shuffled]
    assert not united(one, other).any()
