"""The documents of the API as OpenAPI describes them. They describe, they do not convert: what a route answers is
what `Identification.as_dict` gives, and a test holds the two together.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from handlens.service.problems import MEDIA_TYPE

__all__ = [
    "PREDICT_BODY",
    "IdentificationDocument",
    "ModelDocument",
    "NamesDocument",
    "PredictBody",
    "PredictDocument",
    "ProblemDocument",
    "StatusDocument",
    "overloaded_response",
    "problem_responses",
]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DecisionDocument(_Document):
    """The most exact name that is likely enough; "unknown" where none is."""

    name: str
    rank: Literal["variety", "species", "group", "unknown"]
    probability: float = Field(ge=0, le=1)


class CandidateDocument(_Document):
    """A label of the model and its probability."""

    name: str
    probability: float = Field(ge=0, le=1)


class ContradictionDocument(_Document):
    """What was observed in a test and does not fit a mineral that the photo speaks for."""

    test: str
    observed: str
    mineral: str
    text: str = Field(description="The same in a sentence, in the language asked for.")


class NextTestDocument(_Document):
    """The test that would help most."""

    test: str
    text: str = Field(description="A sentence in the language asked for.")


class HazardDocument(_Document):
    """A mineral of the answer and what is dangerous about it."""

    mineral: str
    hazards: list[str]


class ReferenceDocument(_Document):
    """A reference specimen."""

    label: str
    source: str = Field(description="Where its photo is from.")
    similarity: float = Field(ge=-1, le=1, description="The cosine of the two embeddings.")


class ExplanationDocument(_Document):
    """Which part of the photo the first candidate rests on."""

    label: str
    probability: float = Field(ge=0, le=1, description="Of the label by the photo alone.")
    box: list[int] = Field(
        min_length=4,
        max_length=4,
        description="The part that was looked at: x, y, width, height in pixels of the upright, rotated photo.",
    )
    heat: list[list[float]] = Field(
        description="10 rows of 10 cells over the box: by how much the logarithm of the probability falls when the "
        "cell is covered. Above 0: speaks for the label; below: against it."
    )
    nearest: list[ReferenceDocument] | None = Field(
        default=None, description="The reference specimens that the photo looks most like, where the model has some."
    )


class NoveltyDocument(_Document):
    """How far the photos are from all labels."""

    far: float = Field(ge=0, le=1, description="That they show no mineral specimen.")
    near: float = Field(ge=0, le=1, description="That they show one of a mineral that is no label.")


class IdentificationDocument(_Document):
    """The answer for the photos of one specimen. What there is nothing to say of is left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "photo": "a.jpg",
                "decision": {"name": "quartz", "rank": "species", "probability": 0.82},
                "candidates": [
                    {"name": "quartz", "probability": 0.61},
                    {"name": "amethyst", "probability": 0.21},
                ],
                "prediction_set": ["quartz", "amethyst", "calcite"],
                "unknown_score": 0.07,
                "model": "handlens-1.1",
            }
        }
    )

    photo: str | None = Field(default=None, description="The base name of the uploaded file.")
    photos: list[str] | None = Field(default=None, description="In place of photo where there are several.")
    decision: DecisionDocument
    candidates: list[CandidateDocument] = Field(description="The most probable labels, best first.")
    prediction_set: list[str] = Field(description="The labels of the 90 % set, best first.")
    unknown_score: float = Field(ge=0, le=1, description="Higher: less likely any label.")
    model: str = Field(description="The name of the model bundle.")
    evidence: dict[str, str] | None = Field(default=None, description="What was observed, by test.")
    contradictions: list[ContradictionDocument] | None = None
    next_test: NextTestDocument | None = Field(default=None, description="Where the answer is not sure.")
    hazards: list[HazardDocument] | None = None
    warnings: list[Literal["no-specimen", "several-specimens"]] | None = Field(
        default=None,
        description="no-specimen: the photo hardly shows a mineral specimen. several-specimens: it seems to show "
        "several, apart from each other; crop to one of them.",
    )
    specimen: str | None = Field(default=None, description="An id that was passed through.")
    scores: dict[str, float] | None = Field(
        default=None, description="Where asked for: the probability of every label before any evidence."
    )
    novelty: NoveltyDocument | None = Field(
        default=None, description="Beside the scores, where the model can tell; for `/v1/reweigh`."
    )
    explanation: ExplanationDocument | None = Field(default=None, description="Where asked for, of one photo.")


class ProblemDocument(_Document):
    """An RFC 9457 problem document."""

    type: str = Field(description="/problems/ and the code.")
    title: str
    status: int
    detail: str = Field(description="One sentence for a person.")
    code: str = Field(description="One word for a program, the same in every door of Handlens.")
    photo: str | None = Field(default=None, description="The photo's name, where it is about a photo.")
    near: list[str] | None = Field(default=None, description="Names like one that is not known.")


class PredictBody(BaseModel):
    """The body of the original contract; other keys are ignored, as they always were."""

    image_base64: str = Field(description="The bytes of an image file in base64; a data-URI prefix is accepted.")


class PredictDocument(_Document):
    """The answer of the original contract."""

    model_config = ConfigDict(json_schema_extra={"example": {"La categoria es": "Quartz"}}, serialize_by_alias=True)

    category: str = Field(alias="La categoria es")


class StatusDocument(_Document):
    """How the service is."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok", "model": "handlens-1.1"}})

    status: Literal["ok"]
    model: str | None = None


class NamesDocument(_Document):
    """The names to show for every name that an answer can hold."""

    model_config = ConfigDict(json_schema_extra={"example": {"lang": "es", "names": {"quartz": "cuarzo"}}})

    lang: Literal["en", "es"]
    names: dict[str, str]


class ModelDocument(_Document):
    """The loaded model, and the largest photo that is accepted."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "handlens-1.1",
                "labels": ["calcite", "quartz"],
                "max_photo_bytes": 26214400,
                "card": "# handlens-1.1\n\nNames 2 minerals …",
                "metrics": {"protocols": {"leave-one-fold-out": {"flat": {"photos": 713, "top1": 0.7, "ece": 0.04}}}},
                "training_data": {"photos": 3134, "per_label": {"calcite": 1200, "quartz": 1934}},
                "licences": {"weights": "Apache-2.0"},
            }
        }
    )

    name: str
    labels: list[str] = Field(description="In network order.")
    max_photo_bytes: int
    card: str = Field(description="The model card, Markdown; empty where the bundle has none.")
    metrics: dict[str, Any] = Field(description="By protocol, as `handlens evaluate` measured them.")
    training_data: dict[str, Any] = Field(description="How many photos, of each label.")
    licences: dict[str, Any]


_WHEN: Final = {
    400: ("truncated-image", "The photo is empty, damaged or too small, or the crop or rotation does not fit it."),
    401: ("unauthorised", "The request has no API key that is admitted."),
    404: ("unknown-mineral", "No mineral of the knowledge base has this name; near holds names like it."),
    408: ("slow-body", "The body did not arrive in time."),
    413: ("image-too-large", "The photo or the request's body is too large."),
    415: ("not-an-image", "The file is no image of a readable format, or the body is of another content type."),
    422: ("bad-request", "A field is missing, unknown or has a value that makes no sense."),
    429: ("too-many-requests", "The client has sent its share; Retry-After says when there is more."),
    501: ("not-available", "The loaded model does not know the ten labels."),
    503: ("not-ready", "The network does not answer."),
}
_OVERLOADED: Final = (
    "overloaded",
    "The queue is full, or a photo took too long (request-timeout); Retry-After says when to try.",
)
_RETRY_AFTER: Final = {
    "description": "Seconds after which to try again.",
    "schema": {"type": "integer", "minimum": 1},
    "example": 2,
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI descriptions of the problem documents with these statuses."""
    return {status: _problem(status, *_WHEN[status]) for status in statuses}


def overloaded_response() -> dict[str, Any]:
    """The description of 503 for a route that takes photos."""
    return _problem(503, *_OVERLOADED) | {"headers": {"Retry-After": _RETRY_AFTER}}


def _problem(status: int, code: str, description: str) -> dict[str, Any]:
    example = {
        "type": f"/problems/{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": description,
        "code": code,
    }
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    response = {"description": description, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}
    return response | ({"headers": {"Retry-After": _RETRY_AFTER}} if status == HTTPStatus.TOO_MANY_REQUESTS else {})


PREDICT_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": PredictBody.model_json_schema(),
                "example": {"image_base64": "/9j/4AAQSkZJRgABAQ…"},
            }
        },
    }
}
