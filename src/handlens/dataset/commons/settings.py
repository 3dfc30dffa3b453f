"""What to ask Wikimedia Commons for, and how politely."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from handlens.dataset.http_manners import check_contact
from handlens.dataset.licences import FAMILIES, FREE

__all__ = ["API", "CommonsSettings"]

API: Final = "https://commons.wikimedia.org/w/api.php"


class CommonsSettings(BaseModel):
    """Settings of `fetch_commons`.

    What is asked for:
        contact    an e-mail address or web page of whoever runs this; Wikimedia's User-Agent policy asks for it
        licences   families (`licences.FAMILIES`) that are taken
        depth      levels of subcategories below a mineral's own category, 0 to 6
        most       photos asked about for each label, at most
        width      pixels: wider photos are listed as Commons scales them to this width, one of its standard sizes;
                   None lists the originals, which may have a hundred megabytes
        min_side   pixels: photos with a shorter side are left out
    How:
        api        address of the API
        delay      seconds between the end of an answer and the next request; there is never more than one
        maxlag     seconds that Wikimedia's databases may lag behind before we wait
        attempts   for each request
        pause      seconds to wait after a refusal that names no time, doubled at each attempt
        patience   longest wait in seconds; a server that asks for more ends the run
        timeout    seconds for one answer
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contact: str = Field(max_length=200)
    licences: tuple[str, ...] = FREE
    depth: int = Field(default=2, ge=0, le=6)
    most: int = Field(default=2_000, ge=1)
    width: int | None = Field(default=1280, ge=64)
    min_side: int = Field(default=200, ge=1)
    api: str = Field(default=API, pattern=r"^https?://[^\s]+$")
    delay: float = Field(default=1.0, ge=0)
    maxlag: int = Field(default=5, ge=1)
    attempts: int = Field(default=6, ge=1)
    pause: float = Field(default=5.0, ge=0)
    patience: float = Field(default=600.0, ge=0)
    timeout: float = Field(default=60.0, gt=0)

    @field_validator("contact")
    @classmethod
    def _reachable(cls, given: str) -> str:
        return check_contact(given)

    @field_validator("licences")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [family for family in given if family not in FAMILIES]:
            raise ValueError(f"{unknown[0]!r} is no family of licences; there are {', '.join(FAMILIES)}")
        return given
