"""Shards: what `--shard` takes, and that every piece of work is somebody's and nobody else's."""

from __future__ import annotations

import pytest

from handlens.dataset.shards import WHOLE, Shard
from handlens.errors import UsageError

KEYS = [f"host{number}.example.org" for number in range(3000)] + ["", "Ágata", "\udcff"]


@pytest.mark.parametrize(("text", "shard"), [("1/1", WHOLE), ("2/5", Shard(2, 5)), (" 5/5 ", Shard(5, 5))])
def test_what_is_read(text: str, shard: Shard) -> None:
    assert Shard.parse(text) == shard
    assert Shard.parse(str(shard)) == shard


@pytest.mark.parametrize("text", ["", "1", "0/5", "6/5", "1/0", "0/0", "-1/5", "1/5/2", "a/b", "1.0/2", "1 / 2", "²/3"])
def test_what_is_not(text: str) -> None:
    with pytest.raises(UsageError, match="2/5"):
        Shard.parse(text)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_every_key_has_one_owner(count: int) -> None:
    shards = [Shard(index, count) for index in range(1, count + 1)]
    for key in KEYS:
        assert sum(shard.owns(key) for shard in shards) == 1


def test_the_parts_are_about_equal() -> None:
    sizes = [sum(Shard(index, 5).owns(key) for key in KEYS) for index in range(1, 6)]
    assert max(sizes) < 1.15 * min(sizes)


def test_the_owner_is_the_same_on_every_machine() -> None:
    # Fixed by the definition: the first 8 bytes of the key's sha256, modulo the number of parts.
    owners = {key: next(n for n in range(1, 8) if Shard(n, 7).owns(key)) for key in ("example.org", "Ágata")}
    assert owners == {"example.org": 5, "Ágata": 7}
