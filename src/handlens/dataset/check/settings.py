"""What `check` flags, and which flags set a photo aside."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FLAGS", "CheckSettings", "Flag"]

Flag = Literal["unreadable", "too-small", "odd-aspect", "blank", "text-card", "blurred", "dark"]
"""Flags that one photo by itself can have; for an unreadable one, the code of the error stands in the manifest."""

FLAGS: Final[tuple[str, ...]] = (
    "too-small",
    "odd-aspect",
    "blank",
    "text-card",
    "label-conflict",
    "blurred",
    "dark",
)
"""Flags of readable photos, in the order in which they are listed; the first that counts is the reason."""


class CheckSettings(BaseModel):
    """Settings of `check`. Thresholds were chosen on real photos, see docs/data-checks.md.

    `least_side` in pixels; `most_aspect` is longer through shorter side; the others are scores from 0 to 1.
    `set_aside` names the flags for which a photo goes to images_odd/. `near` says what becomes of near-duplicates of
    one label: they share a group, or only the first stays. `conflicts` says what becomes of a picture that carries
    several labels. `likeness` is how alike the details of near-duplicates are; clusters of more than `longest_chain`
    pictures that do not all resemble one of them are cut at their weakest links.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_side: int = Field(default=64, ge=1)
    most_aspect: float = Field(default=4.0, ge=1)
    least_contrast: float = Field(default=0.1, ge=0, le=1)
    least_sharpness: float = Field(default=0.45, ge=0, le=1)
    least_brightness: float = Field(default=0.35, ge=0, le=1)
    most_text: float = Field(default=0.5, ge=0, le=1)
    set_aside: tuple[Flag, ...] = ("unreadable", "too-small", "odd-aspect", "blank", "text-card")
    near: Literal["group", "drop"] = "group"
    conflicts: Literal["set-aside", "keep"] = "set-aside"
    likeness: float = Field(default=0.86, ge=0.5, le=1)
    longest_chain: int = Field(default=12, ge=2)
