"""What every route that takes photos or scores may answer besides its own answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any, Final

from handlens.service.problems import MEDIA_TYPE
from handlens.service.routes import INFERENCE, WITH_PHOTOS

__all__ = ["describe_refusals"]

_WITH_A_BODY: Final = {408: "The body did not arrive in time (slow-body)."}
_WITH_PHOTOS: Final = {
    429: "The client has sent its share (too-many-requests); Retry-After says when there is more.",
    503: "The queue is full (overloaded), or a photo took too long (request-timeout); Retry-After says when to try.",
}
_WITH_KEYS: Final = {401: "The request has no API key that is admitted (unauthorised)."}


def describe_refusals(document: dict[str, Any], *, with_keys: bool) -> None:
    """Adds the responses, and the keys where there are some, to the operations of an OpenAPI document."""
    if with_keys:
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer"}
    for path in INFERENCE & document["paths"].keys():
        operation = document["paths"][path]["post"]
        refusals = _WITH_A_BODY | (_WITH_PHOTOS if path in WITH_PHOTOS else {})
        if with_keys:
            operation["security"] = [{"key": []}]
            refusals |= _WITH_KEYS
        responses = operation["responses"]
        responses |= {str(status): _response(text) for status, text in refusals.items()}
        operation["responses"] = dict(sorted(responses.items()))


def _response(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
