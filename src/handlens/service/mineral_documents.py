"""The documents of the knowledge base as OpenAPI describes them; `handlens.minerals.document` makes them."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

__all__ = ["MineralDocument", "MineralsDocument", "WordsDocument"]

_NAMES: Final[JsonDict] = {"en": "galena", "es": "galena"}
_NOTICE: Final = "not for food, medicine, valuation or asbestos clearance"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BothLanguages(_Document):
    """A text in English and Spanish."""

    en: str
    es: str


class BothLists(_Document):
    """Texts in English and Spanish."""

    en: list[str]
    es: list[str]


class MineralEntry(_Document):
    """A mineral in a list."""

    name: str = Field(description="The canonical name, lower case.")
    rank: Literal["variety", "species", "group"]
    names: BothLanguages = Field(description="The names to show.")
    species: str | None = Field(description="The species it is or belongs to; null where that is not told.")


class MineralsDocument(_Document):
    """Minerals: all by name, or those that a search finds, best first."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"minerals": [{"name": "galena", "rank": "species", "names": _NAMES, "species": "galena"}]}
        },
    )

    minerals: list[MineralEntry]


class RangeDocument(_Document):
    """From low to high, both included."""

    low: float
    high: float


class CleavageDocument(_Document):
    """How well it cleaves, in how many directions."""

    quality: str
    directions: int


class PropertiesDocument(_Document):
    """What is known of the mineral; what is not known is left out. An empty list: there is none."""

    formula: str | None = None
    system: list[str] | None = None
    mohs: RangeDocument | None = Field(default=None, description="Hardness, 1 to 10.")
    gravity: RangeDocument | None = Field(default=None, description="Specific gravity.")
    streak: list[str] | None = None
    lustre: list[str] | None = None
    transparency: list[str] | None = None
    colours: list[str] | None = None
    cleavage: list[CleavageDocument] | None = None
    fracture: list[str] | None = None
    tenacity: list[str] | None = None
    magnetism: str | None = None
    acid: str | None = Field(default=None, description="With dilute hydrochloric acid.")
    fluorescence: str | None = None
    fluorescence_colours: list[str] | None = None
    soluble: bool | None = Field(default=None, description="In water.")
    taste: str | None = None
    strunz: str | None = None
    dana: str | None = None
    ima: str | None = None


class MineralDocument(MineralEntry):
    """All that is known of one mineral."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "galena",
                "rank": "species",
                "names": _NAMES,
                "species": "galena",
                "synonyms": {"en": ["lead glance"], "es": ["galenita"]},
                "note": "",
                "ancestors": [],
                "holds": [],
                "hazards": ["lead"],
                "warnings": {"en": ["It contains lead: …"], "es": ["Contiene plomo: …"]},
                "properties": {
                    "formula": "PbS",
                    "mohs": {"low": 2.5, "high": 2.75},
                    "cleavage": [{"quality": "perfect", "directions": 3}],
                },
                "look_alikes": ["sphalerite", "stibnite"],
                "source": "unverified",
                "checked": [],
                "notice": {"en": _NOTICE, "es": "…"},
            }
        },
    )

    synonyms: BothLists
    note: str
    ancestors: list[str] = Field(description="The names above it, nearest first.")
    holds: list[str] = Field(description="The names below it.")
    hazards: list[str]
    warnings: BothLists = Field(description="A sentence a hazard.")
    properties: PropertiesDocument
    look_alikes: list[str]
    source: str = Field(description="unverified: general knowledge, compared with nothing.")
    checked: list[str] = Field(description="The properties that were compared with the source.")
    notice: BothLanguages = Field(description="What the answer is not for.")


class WordsDocument(_Document):
    """The words of the knowledge base as people read them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "lang": "es",
                "titles": {"streak": "raya"},
                "words": {"streak": {"white": "blanca"}, "hazards": {"lead": "Contiene plomo: …"}},
                "notice": "…",
            }
        },
    )

    lang: Literal["en", "es"]
    titles: dict[str, str] = Field(description="From a property to its name.")
    words: dict[str, dict[str, str]] = Field(description="From a property and a word to the text; a hazard's warns.")
    notice: str
