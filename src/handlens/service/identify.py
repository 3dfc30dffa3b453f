"""`POST /v1/identify`: the photos of one specimen, and evidence → the same object as every other door.

What is asked for is added: the scores of all labels and how far the photos are from all of them, from which
`/v1/reweigh` weighs anew, and the heat map of a single photo.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from handlens.explain import explain
from handlens.identifier import Identifier
from handlens.service.bodies import IDENTIFY_FORM
from handlens.service.forms import IdentifyForm, read_identify_form
from handlens.service.inference import Inference
from handlens.service.record import current_record
from handlens.service.schemas import IdentificationDocument, problem_responses
from handlens.service.settings import Settings

__all__ = ["cost_of", "identify_router"]

_HEAT_MAP = 30
_DIGITS = 9
"""Significant digits of a score: weighing anew from them is exact to far more than answers are rounded to."""


def identify_router(inference: Inference, settings: Settings) -> APIRouter:
    """The route that identifies."""
    router = APIRouter(tags=["identify"])

    @router.post(
        "/v1/identify",
        summary="Name the mineral in the photos of one specimen",
        response_description="The answer, the same as that of every other door.",
        responses={200: {"model": IdentificationDocument}, **problem_responses(400, 413, 415, 422)},
        openapi_extra=IDENTIFY_FORM,
    )
    async def identify(request: Request) -> Response:
        form = await read_identify_form(request, settings)
        if record := current_record():
            record.charge(cost_of(form) - 1)
        answer = await inference.run(partial(_answer, inference.identifier, form))
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    return router


def cost_of(form: IdentifyForm) -> int:
    """What a form takes of a client's share, in photos: a thorough look counts four times, a heat map thirty, since it
    passes some sixty views through the network but decodes one photo.
    """
    return len(form.photos) * (4 if form.thorough else 1) + (_HEAT_MAP if form.explain else 0)


def _answer(identifier: Identifier, form: IdentifyForm) -> dict[str, Any]:
    chosen = identifier.label_indices(form.among)
    seen = identifier.fused(form.photos, crop=form.crop, rotate=form.rotate, name=form.names, thorough=form.thorough)
    found = identifier.answer(
        seen.names,
        seen.logits,
        top=form.top,
        chosen=chosen,
        novelty=seen.novelty,
        evidence=form.evidence,
        lang=form.lang,
        several=seen.several,
    )
    answer = found.as_dict()
    if form.scores:
        scores = identifier.probabilities(seen.logits).tolist()
        answer["scores"] = {
            label: float(f"{score:.{_DIGITS}g}") for label, score in zip(identifier.bundle.labels, scores, strict=True)
        }
        if seen.novelty is not None:
            answer["novelty"] = seen.novelty.as_dict()
    if form.explain:
        # Of the first candidate, which evidence and `among` may have put before the photo's own first label.
        best = found.candidates[0].name
        answer["explanation"] = explain(
            identifier, form.photos[0], label=best, crop=form.crop, rotate=form.rotate
        ).as_dict()
    return answer
