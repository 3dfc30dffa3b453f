"""Whether the service lives, and whether it can answer."""

from __future__ import annotations

import logging
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from handlens.service.inference import Inference
from handlens.service.problems import NotReadyError, RefusedError
from handlens.service.schemas import StatusDocument, problem_responses

__all__ = ["health_router"]

_LOG: Final = logging.getLogger(__name__)
_HEADERS: Final = {"cache-control": "no-store"}


def health_router(inference: Inference) -> APIRouter:
    """`/livez` and `/readyz`."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/livez",
        summary="The process answers",
        response_description="It does.",
        responses={200: {"model": StatusDocument}},
    )
    async def livez() -> Response:
        return JSONResponse({"status": "ok"}, headers=_HEADERS)

    @router.get(
        "/readyz",
        summary="The network answers: a drawn picture is identified now",
        response_description="It does; with the name of the model.",
        responses={200: {"model": StatusDocument}, **problem_responses(503)},
    )
    async def readyz() -> Response:
        try:
            await inference.check()
        except RefusedError:
            raise
        except Exception as error:
            _LOG.exception("The drawn picture could not be identified")
            raise NotReadyError("The network does not answer.") from error
        return JSONResponse({"status": "ok", "model": inference.identifier.bundle.name}, headers=_HEADERS)

    return router
