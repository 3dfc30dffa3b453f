"""`POST /predict/` and `/predict`: the contract of the service that Handlens began as, kept for its clients.

JSON `{"image_base64": "..."}` → `{"La categoria es": "Quartz"}`, always one of the ten categories.
"""

from __future__ import annotations

import contextlib
import re
from functools import partial
from http import HTTPStatus
from typing import Final

import pybase64
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from handlens.errors import UsageError
from handlens.identifier import ORIGIN_TEN, Identifier
from handlens.photo import PhotoError
from handlens.service.inference import Inference
from handlens.service.problems import BadBase64Error, NotAvailableError, error_problem
from handlens.service.schemas import PREDICT_BODY, PredictBody, PredictDocument, problem_responses

__all__ = ["CATEGORIES", "predict_router"]

CATEGORIES: Final = {name: name.capitalize() for name in ORIGIN_TEN} | {"amethyst": "Quartz (Var: Amethyst)"}
"""From label to the category as the original contract spells it."""
_DATA_URI: Final = re.compile(r"\s*data:[^,]{0,200},", re.IGNORECASE)


def predict_router(inference: Inference) -> APIRouter:
    """The two routes of the original contract."""
    router = APIRouter(tags=["original contract"])

    async def predict(request: Request) -> Response:
        body = await request.body()
        if not inference.has_origin_ten:
            raise NotAvailableError("The loaded model does not know all ten categories of this contract.")
        try:
            category = await inference.run(partial(_category, inference.identifier, body))
        except PhotoError as error:
            return error_problem(error, HTTPStatus.BAD_REQUEST)
        return JSONResponse({"La categoria es": category}, headers={"cache-control": "no-store"})

    for path, listed in (("/predict/", True), ("/predict", False)):
        router.add_api_route(
            path,
            predict,
            methods=["POST"],
            summary="The most probable of ten categories",
            response_description="One of the ten categories, never unknown.",
            responses={200: {"model": PredictDocument}, **problem_responses(400, 413, 422, 501)},
            openapi_extra=PREDICT_BODY,
            include_in_schema=listed,
        )
    return router


def _category(identifier: Identifier, body: bytes) -> str:
    try:
        given = PredictBody.model_validate_json(body)
    except ValidationError as error:
        # Without the value that pydantic would show: it may be part of a photo.
        faults = "; ".join(fault["msg"] for fault in error.errors(include_input=False, include_url=False))
        detail = f'The body must be a JSON object {{"image_base64": "…"}}: {faults}.'
        raise UsageError(detail) from None
    photo = _decoded(given.image_base64)
    del body, given  # three times the photo, which need not be kept while it is decoded
    answer = identifier.identify(photo, among=["origin-ten"], top=1)
    return CATEGORIES[answer.candidates[0].name]


def _decoded(text: str) -> bytes:
    if prefix := _DATA_URI.match(text):
        text = text[prefix.end() :]
    with contextlib.suppress(ValueError):
        return pybase64.b64decode(text, validate=True)
    try:
        return pybase64.b64decode("".join(text.split()), validate=True)  # in lines, as some encoders write it
    except ValueError:
        raise BadBase64Error("image_base64 is not valid base64.") from None
