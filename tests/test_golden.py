"""The scores of the drawn pictures with the bundle that ships, as stored in golden/scores.json.

After a new bundle or a change meant to alter the pixels, look at the difference and write the file anew:

    python tests/test_golden.py --write
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from handlens.identifier import Identifier
from handlens.selftest import drawn_picture

STORED: Final = Path(__file__).parent / "golden" / "scores.json"
EXAMPLES: Final = Path(__file__).resolve().parent.parent / "examples"
TOLERANCE: Final = 2e-3
"""Of a probability: what another processor or version of the runtime may make of the same pixels."""


def scores(identifier: Identifier) -> dict[str, Any]:
    """Bundle and, for each picture, decision and the five most probable labels."""
    pictures: dict[str, Any] = {path.name: path for path in sorted(EXAMPLES.glob("drawn-*.png"))}
    pictures["self-test"] = drawn_picture()
    found: dict[str, Any] = {"model": identifier.bundle.name, "pictures": {}}
    for name, picture in pictures.items():
        answer = identifier.identify(picture, top=5).as_dict()
        found["pictures"][name] = {key: answer[key] for key in ("decision", "candidates", "unknown_score")}
    return found


@pytest.fixture(scope="module")
def stored() -> Any:
    return json.loads(STORED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(identifier: Identifier) -> Any:
    return scores(identifier)


def test_the_stored_scores_are_of_this_bundle_and_these_pictures(stored: Any, found: Any) -> None:
    assert stored["model"] == found["model"], "a new bundle: python tests/test_golden.py --write"
    assert sorted(stored["pictures"]) == sorted(found["pictures"])
    assert len(stored["pictures"]) >= 3


def test_decisions_are_those_stored(stored: Any, found: Any) -> None:
    for name, expected in stored["pictures"].items():
        decision, was = found["pictures"][name]["decision"], expected["decision"]
        assert (decision["name"], decision["rank"]) == (was["name"], was["rank"]), name
        assert decision["probability"] == pytest.approx(was["probability"], abs=TOLERANCE), name


def test_probabilities_are_those_stored(stored: Any, found: Any) -> None:
    for name, expected in stored["pictures"].items():
        now = {one["name"]: one["probability"] for one in found["pictures"][name]["candidates"]}
        was = {one["name"]: one["probability"] for one in expected["candidates"]}
        assert len(was) == 5
        assert now.keys() == was.keys(), name
        assert now == pytest.approx(was, abs=TOLERANCE), name
        assert found["pictures"][name]["unknown_score"] == pytest.approx(expected["unknown_score"], abs=TOLERANCE)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_golden.py --write")
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps(scores(Identifier.load()), indent=1) + "\n", encoding="utf-8")
