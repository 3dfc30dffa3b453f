"""The fields of evidence as every door takes them."""

from __future__ import annotations

from typing import Any

import pytest

from handlens.evidence import BadEvidenceError, Evidence
from handlens.evidence_fields import evidence_of_fields


def test_fields_are_the_evidence_that_their_texts_are() -> None:
    found = evidence_of_fields(
        hardness=" 3 ", streak="White", gravity="2.6-2.8", tests=["acid=none", " Nail = no ", "heft=very heavy"]
    )
    given = {"hardness": "3", "streak": "white", "gravity": "2.6-2.8", "acid": "none", "nail": "no"}
    assert found == Evidence.of({**given, "heft": "very heavy"})
    assert evidence_of_fields(tests=["hardness=3", "streak=white"]) == evidence_of_fields(hardness="3", streak="white")


def test_nothing_given_is_no_evidence() -> None:
    assert evidence_of_fields() is None
    assert evidence_of_fields(tests=[]) is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"hardness": " "}, "hardness has no value"),
        ({"tests": ["acid="]}, "acid has no value"),
        ({"tests": ["acid"]}, "write it as NAME=VALUE"),
        ({"tests": ["=none"]}, "write it as NAME=VALUE"),
        ({"tests": ["acid=none", "Acid=none"]}, "acid is given twice"),
        ({"gravity": "2.7", "tests": ["gravity=2.7"]}, "gravity is given twice"),
        ({"tests": ["acid=none=warm"]}, "acid 'none=warm'"),
        ({"tests": ["smell=garlic"]}, "there is no test 'smell'"),
    ],
)
def test_wrong_fields_name_the_test(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(BadEvidenceError, match=told):
        evidence_of_fields(**fields)
