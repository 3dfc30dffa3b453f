"""Settings are strict."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from handlens.dataset.check import CheckSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"least_side": 0},
        {"most_aspect": 0.5},
        {"most_text": 1.5},
        {"set_aside": ["label-conflict"]},
        {"set_aside": ["ugly"]},
        {"near": "delete"},
        {"conflicts": "delete"},
        {"likeness": 0.2},
        {"longest_chain": 1},
        {"blur": 3},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CheckSettings(**wrong)


def test_settings_survive_json() -> None:
    settings = CheckSettings(set_aside=("blank",), near="drop")
    assert CheckSettings.model_validate(settings.model_dump(mode="json")) == settings
    with pytest.raises(ValidationError):
        settings.near = "group"
