"""`POST /v1/reweigh`: scores of earlier photos and evidence → the same object as `/v1/identify`. Nothing is kept.

So a page can show at once what a test changes, without another upload and without arithmetic of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from handlens.errors import UsageError
from handlens.evidence_fields import evidence_of_fields
from handlens.identifier import Identifier
from handlens.open_set import Novelty
from handlens.service.bodies import REWEIGH_BODY, ReweighBody
from handlens.service.forms import among_names, photo_name
from handlens.service.inference import Inference
from handlens.service.problems import BodyTooLargeError, UnsupportedMediaTypeError
from handlens.service.schemas import IdentificationDocument, problem_responses

__all__ = ["reweigh_router"]

_MOST_BYTES: Final = 2**20
_MOST_FAULTS: Final = 3
_NEAR_ONE: Final = 1e-3
"""By how much the sum of the scores may differ from 1."""


def reweigh_router(inference: Inference) -> APIRouter:
    """The route that weighs anew."""
    router = APIRouter(tags=["identify"])

    @router.post(
        "/v1/reweigh",
        summary="Weigh the scores of an earlier answer with evidence",
        response_description="The answer that the photos would get with this evidence.",
        responses={200: {"model": IdentificationDocument}, **problem_responses(413, 415, 422)},
        openapi_extra=REWEIGH_BODY,
    )
    async def reweigh(request: Request) -> Response:
        if request.query_params:
            raise UsageError("The parameters belong into the body, not into the address.")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaTypeError("Send the scores as application/json.")
        body = await request.body()
        if len(body) > _MOST_BYTES:
            raise BodyTooLargeError(f"The body is larger than {_MOST_BYTES} bytes, the most that is accepted here.")
        answer = await inference.run_quick(partial(_answer, inference.identifier, body))
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    return router


def _answer(identifier: Identifier, body: bytes) -> dict[str, Any]:
    try:
        given = ReweighBody.model_validate_json(body)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))[:80] or 'body'}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)[:_MOST_FAULTS]
        )
        raise UsageError(f"The body is not as it must be: {faults}.") from None
    labels = identifier.bundle.labels
    if odd := given.scores.keys() ^ set(labels):
        raise UsageError(f"The scores must be of the model's {len(labels)} labels, each once: see {min(odd)[:40]!r}.")
    scores = np.array([given.scores[label] for label in labels])
    if abs(float(scores.sum()) - 1) > _NEAR_ONE:
        raise UsageError(f"The scores sum to {scores.sum():.6g}; they must sum to 1.")
    return identifier.reweigh(
        [photo_name(name) for name in given.photos],
        scores,
        novelty=None if given.novelty is None else Novelty(given.novelty.far, given.novelty.near),
        top=given.top,
        among=among_names(given.among),
        evidence=evidence_of_fields(
            hardness=given.hardness, streak=given.streak, gravity=given.gravity, tests=given.test
        ),
        lang=given.lang,
        several=given.several,
    ).as_dict()
