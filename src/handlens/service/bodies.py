"""What `/v1/identify` and `/v1/reweigh` take, as OpenAPI describes it. The form is read in `forms`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from handlens.field_tests import CHOICES
from handlens.identifier import DEFAULT_TOP, MOST_PHOTOS

__all__ = ["IDENTIFY_FORM", "LARGEST", "REWEIGH_BODY", "ReweighBody"]

LARGEST: Final = 10**9 - 1
"""No whole number of a request is larger: nine digits."""

_HARDNESS: Final = "Mohs hardness: 3, 3±0.5 or 2.5-3.5."
_STREAK: Final = f"{', '.join(CHOICES['streak'])}, or measured, such as #c8b46e."
_GRAVITY: Final = "Specific gravity: 2.7, 2.7±0.1 or 2.6-2.8."
_TEST: Final = "Other tests, each as NAME=VALUE. " + "; ".join(
    f"{name}: {', '.join(words)}" for name, words in CHOICES.items() if name != "streak"
)


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is the whole number 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class NoveltyBody(BaseModel):
    """How far photos are from all labels, as an answer gives it beside the scores."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    far: float = Field(ge=0, le=1, description="That they show no mineral specimen.")
    near: float = Field(ge=0, le=1, description="That they show one of a mineral that is no label.")


class ReweighBody(BaseModel):
    """What `/v1/reweigh` takes; the fields beside the scores mean what they mean in the form of `/v1/identify`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    scores: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        description="The scores of an answer: a probability for every label of the model, together 1."
    )
    novelty: NoveltyBody | None = Field(default=None, description="The novelty of that answer, where it had one.")
    several: bool = Field(
        default=False, description="Whether that answer warned of several-specimens, so that this one does."
    )
    photos: list[str] = Field(
        default=["photo"], min_length=1, max_length=MOST_PHOTOS, description="Names of the photos, for the answer."
    )
    top: Annotated[int, BeforeValidator(_whole)] = Field(
        default=DEFAULT_TOP, ge=1, le=LARGEST, description="Candidates to give."
    )
    among: str | None = Field(default=None, description="Names to choose from, separated by commas, or origin-ten.")
    hardness: str | None = Field(default=None, description=_HARDNESS)
    streak: str | None = Field(default=None, description=_STREAK)
    gravity: str | None = Field(default=None, description=_GRAVITY)
    test: list[str] = Field(default=[], max_length=len(CHOICES), description=_TEST)
    lang: Literal["en", "es"] = "en"


IDENTIFY_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "example": {"photos": ["(the file)"], "hardness": "3±0.5", "test": ["acid=vigorous"], "scores": "1"},
                "schema": {
                    "type": "object",
                    "required": ["photos"],
                    "additionalProperties": False,
                    "properties": {
                        "photos": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MOST_PHOTOS,
                            "items": {"type": "string", "format": "binary"},
                            "description": "1 to 5 photos of one specimen: JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or "
                            "GIF.",
                        },
                        "top": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": LARGEST,
                            "default": DEFAULT_TOP,
                            "description": "Candidates to give.",
                        },
                        "hardness": {"type": "string", "description": _HARDNESS, "example": "3±0.5"},
                        "streak": {"type": "string", "description": _STREAK, "example": "white"},
                        "gravity": {"type": "string", "description": _GRAVITY, "example": "2.7"},
                        "test": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": _TEST + ". Send the field once a test.",
                            "example": ["acid=none"],
                        },
                        "lang": {
                            "type": "string",
                            "enum": ["en", "es"],
                            "default": "en",
                            "description": "Language of the sentences in the answer.",
                        },
                        "thorough": {
                            "type": "string",
                            "enum": ["0", "1"],
                            "default": "0",
                            "description": "1: look at each photo in more ways, which takes longer and is right more "
                            "often. 422 where the model has no more ways.",
                        },
                        "scores": {
                            "type": "string",
                            "enum": ["0", "1"],
                            "default": "0",
                            "description": "1: also give every label's score, for /v1/reweigh.",
                        },
                        "explain": {
                            "type": "string",
                            "enum": ["0", "1"],
                            "default": "0",
                            "description": "1: also give the heat map of the first candidate. Of one photo only; "
                            "takes about 60 times as long.",
                        },
                        "among": {
                            "type": "string",
                            "description": "Names to choose from, separated by commas, or origin-ten.",
                            "example": "quartz,calcite,fluorite",
                        },
                        "crop": {
                            "type": "string",
                            "pattern": "^[0-9]+,[0-9]+,[0-9]+,[0-9]+$",
                            "description": "x,y,width,height in pixels of the upright, rotated photo.",
                            "example": "40,60,800,600",
                        },
                        "rotate": {
                            "type": "integer",
                            "multipleOf": 90,
                            "minimum": -LARGEST,
                            "maximum": LARGEST,
                            "default": 0,
                            "description": "Degrees clockwise, a multiple of 90.",
                        },
                    },
                },
            }
        },
    }
}


def _whole_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a body with what it refers to put in its place: inside an OpenAPI document, references begin
    at the root of that, where a model's own definitions are not.
    """
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(definitions[part["$ref"].rpartition("/")[2]])
            return {name: resolved(value) for name, value in part.items()}
        return [resolved(value) for value in part] if isinstance(part, list) else part

    whole: dict[str, Any] = resolved(schema)
    return whole


REWEIGH_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _whole_schema(ReweighBody),
                "example": {
                    "scores": {"quartz": 0.55, "calcite": 0.4, "…": 0.05},
                    "photos": ["a.jpg"],
                    "hardness": "3",
                    "test": ["acid=vigorous"],
                    "lang": "en",
                },
            }
        },
    }
}
