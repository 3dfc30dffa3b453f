"""The list of a run: sorted, grouped by specimen, the same for every order of listing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from handlens.batch.errors import BadSourceError
from handlens.batch.plan import Plan, inputs_digest, key_of
from handlens.batch.units import Listed, PhotoRef


def one(name: str, specimen: str = "", **more: object) -> Listed:
    return Listed(PhotoRef(name, "file", f"/x/{name}", "1-2"), specimen, **more)  # type: ignore[arg-type]


LISTED = [
    one(f"{place:03d}.jpg", {0: "S0", 1: "", 2: "S2"}[place % 3] + ("x" if place > 20 else "")) for place in range(40)
]
LISTED += [one("é.jpg"), one("caf\udce9.jpg"), one("zz.jpg")]


def plan(path: Path, listed: list[Listed], *, later_wins: bool = False) -> Plan:
    made = Plan(path)
    made.fill(listed, later_wins=later_wins)
    return made


def test_the_order_of_listing_does_not_matter(tmp_path: Path) -> None:
    expected = list(plan(tmp_path / "a", LISTED).units())
    assert [unit.key for unit in expected] == sorted(unit.key for unit in expected)
    for seed in range(5):
        shuffled = random.Random(seed).sample(LISTED, len(LISTED))
        made = plan(tmp_path / "b", shuffled)
        assert list(made.units()) == expected
        assert len(made) == len(expected)
        assert made.photos == len(LISTED)


def test_shards_cut_the_list_and_lose_nothing(tmp_path: Path) -> None:
    made = plan(tmp_path / "a", LISTED)
    expected = list(made.units())
    for size in (1, 2, 7, 1000):
        bounds = made.bounds(size)
        shards = list(made.shards(bounds))
        assert [unit for _, units in shards for unit in units] == expected
        assert [number for number, _ in shards] == list(range(len(bounds) + 1))
        assert {len(units) for _, units in shards[:-1]} <= {size}


def test_photos_of_one_specimen(tmp_path: Path) -> None:
    listed = [one(f"{place}.jpg", "S", label="Quarz" if place else "", evidence={"acid": "none"}) for place in range(7)]
    listed[3] = one("3.jpg", "S", label="calcite", evidence={"streak": "white"})
    (unit,) = plan(tmp_path / "a", listed).units()
    assert unit.key == key_of("0.jpg")
    assert [photo.name for photo in unit.photos] == [f"{place}.jpg" for place in range(5)]
    assert unit.left_out == 2
    assert unit.evidence == {"acid": "none", "streak": "white"}
    assert unit.label == "Quarz|calcite"
    assert not unit.conflict


def test_photos_of_one_specimen_that_contradict_each_other(tmp_path: Path) -> None:
    listed = [one("a.jpg", "S", evidence={"acid": "none"}), one("b.jpg", "S", evidence={"acid": "weak"})]
    (unit,) = plan(tmp_path / "a", listed).units()
    assert "acid" in unit.conflict


def test_a_photo_listed_twice(tmp_path: Path) -> None:
    twice = [one("a.jpg", label="first"), one("a.jpg", label="last")]
    with pytest.raises(BadSourceError, match=r"a\.jpg"):
        plan(tmp_path / "a", twice)
    (unit,) = plan(tmp_path / "b", twice, later_wins=True).units()
    assert unit.label == "last"


def test_no_photo_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadSourceError, match="no photo"):
        plan(tmp_path / "a", [])


def test_what_an_answer_depends_on(tmp_path: Path) -> None:
    def digest(*listed: Listed) -> str:
        (unit,) = plan(tmp_path / "a", list(listed)).units()
        return inputs_digest(unit)

    plain = digest(one("a.jpg"))
    assert plain == digest(one("a.jpg", label="quartz", columns={"drawer": "A"}))
    different = {
        digest(one("a.jpg", "S")),
        digest(one("a.jpg", evidence={"acid": "none"})),
        digest(one("b.jpg")),
        plain,
    }
    assert len(different) == 4


def test_it_is_deleted_at_the_end(tmp_path: Path) -> None:
    plan(tmp_path / "a", LISTED).close()
    assert not list(tmp_path.iterdir())
