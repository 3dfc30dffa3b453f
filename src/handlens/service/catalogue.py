"""What the page needs to know beside the answers: the names to show, the model, the largest photo.

These documents change only with the bundle, so they are made once and served with an ETag.
"""

from __future__ import annotations

import json
from typing import Annotated, Final, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from handlens.identifier import Identifier
from handlens.minerals.knowledge import Language
from handlens.photo import DEFAULT_LIMITS
from handlens.service.cached import Cached
from handlens.service.schemas import ModelDocument, NamesDocument, problem_responses

__all__ = ["catalogue_router"]

_LANGUAGES: Final = get_args(Language)
_OF_THE_MANIFEST: Final = ("metrics", "training_data", "licences")
_Asked = Annotated[Language, Query(description="The language of the names; en where it is not given.", examples=["es"])]


def catalogue_router(identifier: Identifier) -> APIRouter:
    """`/v1/minerals/names` and `/v1/model`."""
    router = APIRouter(tags=["catalogue"])
    names = {lang: _document({"lang": lang, "names": _names(identifier, lang)}) for lang in _LANGUAGES}
    model = _document(
        {
            "name": identifier.bundle.name,
            "labels": list(identifier.bundle.labels),
            "max_photo_bytes": DEFAULT_LIMITS.max_bytes,
            "card": identifier.bundle.card,
            **{key: identifier.bundle.manifest.get(key) or {} for key in _OF_THE_MANIFEST},
        }
    )

    @router.get(
        "/v1/minerals/names",
        summary="The names to show, in English or Spanish",
        response_description="From every name that an answer can hold to the one to show.",
        responses={200: {"model": NamesDocument}, **problem_responses(422)},
    )
    async def minerals_names(request: Request, lang: _Asked = "en") -> Response:
        return names[lang].response(request)

    @router.get(
        "/v1/model",
        summary="The loaded model",
        response_description="Its labels, its card, how it was measured and on what it was trained; the largest photo.",
        responses={200: {"model": ModelDocument}},
    )
    async def loaded_model(request: Request) -> Response:
        return model.response(request)

    return router


def _names(identifier: Identifier, lang: Language) -> dict[str, str]:
    """From every name that an answer can hold, label or above, to the name in this language."""
    minerals = identifier.minerals
    known = sorted(identifier.taxonomy.names)
    return {name: minerals.display(name, lang) if name in minerals else name for name in known}


def _document(content: dict[str, object]) -> Cached:
    return Cached(json.dumps(content, ensure_ascii=False).encode(), "application/json")
