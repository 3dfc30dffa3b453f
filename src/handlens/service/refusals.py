"""What every route that takes photos or scores may answer besides its own answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any, Final

from handlens.service.routes import INFERENCE, WITH_PHOTOS
from handlens.service.schemas import overloaded_response, problem_responses

__all__ = ["describe_refusals"]

_SLOW_BODY: Final = 408
_OVER_THE_SHARE: Final = 429
_NO_KEY: Final = 401


def describe_refusals(document: dict[str, Any], *, with_keys: bool) -> None:
    """Adds the responses, and the keys where there are some, to the operations of an OpenAPI document."""
    if with_keys:
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer"}
    for path in INFERENCE & document["paths"].keys():
        operation = document["paths"][path]["post"]
        refusals = problem_responses(_SLOW_BODY)
        if path in WITH_PHOTOS:
            refusals |= problem_responses(_OVER_THE_SHARE) | {503: overloaded_response()}
        if with_keys:
            operation["security"] = [{"key": []}]
            refusals |= problem_responses(_NO_KEY)
        responses = operation["responses"] | {str(status): response for status, response in refusals.items()}
        operation["responses"] = dict(sorted(responses.items()))
