"""The knowledge base over HTTP: the list, one record, the words.

Nothing of it changes while the service runs, so the documents are made once, a record when it is first asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from handlens.minerals import KnowledgeBase, Language, Mineral, UnknownMineralError, document
from handlens.minerals.words import NOTICE, TEXTS, TITLES
from handlens.service.cached import Cached
from handlens.service.mineral_documents import MineralDocument, MineralsDocument, WordsDocument
from handlens.service.problems import problem
from handlens.service.schemas import problem_responses

__all__ = ["minerals_router"]

_LANGUAGES: Final = get_args(Language)
_LONGEST: Final = 100
_MOST: Final = 50
_Search = Annotated[
    str,
    Query(
        max_length=_LONGEST,
        description="A name or the beginning of one, English or Spanish, right or nearly; all where it is not given.",
        examples=["amatista"],
    ),
]
_Limit = Annotated[int, Query(ge=1, le=_MOST, description="The most that a search gives.", examples=[5])]
_Name = Annotated[str, Path(max_length=_LONGEST, description="A mineral by any of its names.", examples=["galena"])]
_Lang = Annotated[Language, Query(description="The language of the words; en where it is not given.", examples=["es"])]


def minerals_router(minerals: KnowledgeBase) -> APIRouter:
    """`/v1/minerals`, `/v1/minerals/words` and `/v1/minerals/{name}`.

    The last one takes any path below the first, so a router with other such paths (`/v1/minerals/names`) goes before.
    """
    router = APIRouter(tags=["minerals"])
    everything = _listed(minerals, minerals)
    words = {lang: _cached(_words(lang)) for lang in _LANGUAGES}

    @cache
    def record(name: str) -> Cached:
        return _cached(document.record(minerals, name))

    @router.get(
        "/v1/minerals",
        summary="The minerals of the knowledge base, all or those that a search finds",
        response_description="All by name; with search those that it finds, best first.",
        responses={200: {"model": MineralsDocument}, **problem_responses(422)},
    )
    async def list_minerals(request: Request, search: _Search = "", limit: _Limit = 20) -> Response:
        found = _listed(minerals, minerals.search(search, limit)) if search else everything
        return found.response(request)

    @router.get(
        "/v1/minerals/words",
        summary="The words of the knowledge base, in English or Spanish",
        response_description="From every property and word to what a person reads.",
        responses={200: {"model": WordsDocument}, **problem_responses(422)},
    )
    async def mineral_words(request: Request, lang: _Lang = "en") -> Response:
        return words[lang].response(request)

    @router.get(
        "/v1/minerals/{name}",
        summary="One mineral: properties, hazards, look-alikes",
        response_description="All that is known of it.",
        responses={200: {"model": MineralDocument}, **problem_responses(404, 422)},
    )
    async def one_mineral(request: Request, name: _Name) -> Response:
        try:
            found = minerals.find(name)
        except UnknownMineralError as error:
            return problem(HTTPStatus.NOT_FOUND, error.code, error.detail, near=error.near)
        return record(found.name).response(request)

    return router


def _listed(minerals: KnowledgeBase, some: Iterable[Mineral]) -> Cached:
    return _cached({"minerals": [document.entry(minerals, mineral) for mineral in some]})


def _words(lang: Language) -> dict[str, Any]:
    return {
        "lang": lang,
        "titles": {key: texts[lang] for key, texts in TITLES.items()},
        "words": {key: {word: texts[lang] for word, texts in known.items()} for key, known in TEXTS.items()},
        "notice": NOTICE[lang],
    }


def _cached(content: Mapping[str, Any]) -> Cached:
    return Cached(json.dumps(content, ensure_ascii=False).encode(), "application/json")
