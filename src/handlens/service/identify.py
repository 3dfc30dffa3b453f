"""`POST /v1/identify`: one photo → the same object as every other door."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from handlens.service.forms import read_identify_form
from handlens.service.inference import Inference
from handlens.service.schemas import IDENTIFY_FORM, IdentificationDocument, problem_responses
from handlens.service.settings import Settings

__all__ = ["identify_router"]


def identify_router(inference: Inference, settings: Settings) -> APIRouter:
    """The route that identifies."""
    router = APIRouter(tags=["identify"])

    @router.post(
        "/v1/identify",
        summary="Name the mineral in a photo",
        response_description="The answer, the same as that of every other door.",
        responses={200: {"model": IdentificationDocument}, **problem_responses(400, 413, 415, 422)},
        openapi_extra=IDENTIFY_FORM,
    )
    async def identify(request: Request) -> Response:
        form = await read_identify_form(request, settings)
        work = partial(
            inference.identifier.identify,
            form.photo,
            top=form.top,
            among=form.among,
            crop=form.crop,
            rotate=form.rotate,
            name=form.name,
        )
        answer = await inference.run(work)
        return JSONResponse(answer.as_dict(), headers={"cache-control": "no-store"})

    return router
