"""`POST /v1/identify/batch`: photos of many specimens in one request → a line of JSON for each, in their order.

The lines are those of `handlens identify --format jsonl`: the answer, or the photo's name and its error. Each is sent
when it is done; a client that goes away stops the work.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect

from handlens.errors import HandlensError
from handlens.service.bodies import IDENTIFY_FORM
from handlens.service.context import log_failure
from handlens.service.forms import IdentifyForm, read_identify_form
from handlens.service.identify import cost_of
from handlens.service.inference import Inference
from handlens.service.problems import OverloadedError
from handlens.service.record import current_record
from handlens.service.routes import BATCH
from handlens.service.schemas import problem_responses
from handlens.service.settings import Settings

__all__ = ["batch_router"]

_MEDIA_TYPE: Final = "application/x-ndjson"
_FIELDS: Final = frozenset({"photos", "top", "among", "lang", "thorough"})
_FAILED: Final = ("internal-error", "Something failed inside the service. It is not the fault of the photo.")


def batch_router(inference: Inference, settings: Settings) -> APIRouter:
    """The route that identifies many specimens."""
    router = APIRouter(tags=["identify"])

    @router.post(
        BATCH,
        summary="Name the minerals in photos of many specimens",
        response_description="A line for each photo, in their order: the answer, or its error.",
        response_class=StreamingResponse,
        responses={200: _lines(), **problem_responses(413, 415, 422)},
        openapi_extra=_form(settings.max_batch_photos),
    )
    async def identify_batch(request: Request) -> Response:
        form = await read_identify_form(request, settings, fields=_FIELDS, most_photos=settings.max_batch_photos)
        # Here, where what is wrong with the request itself can still be its answer.
        inference.identifier.label_indices(form.among)
        inference.identifier.check_thorough(form.thorough)
        if inference.is_full:
            raise OverloadedError()
        if record := current_record():
            record.charge(cost_of(form) - 1)
        return StreamingResponse(
            _answers(inference, form), media_type=_MEDIA_TYPE, headers={"cache-control": "no-store"}
        )

    return router


async def _answers(inference: Inference, form: IdentifyForm) -> AsyncIterator[str]:
    identify = partial(
        inference.identifier.identify, top=form.top, among=form.among, lang=form.lang, thorough=form.thorough
    )
    photos = deque(zip(form.photos, form.names, strict=True))
    del form  # each photo is let go once it is done
    while photos:
        photo, name = photos.popleft()
        try:
            # The batch was let in as a whole: one of its photos in turn waits with all others.
            row = (await inference.run(partial(identify, photo, name=name), admitted=True)).as_dict()
        except ClientDisconnect:
            return
        except HandlensError as error:
            row = _error_row(name, error.code, error.detail)
        except Exception as error:  # noqa: BLE001 - the status has been sent: the line is all that can tell it
            log_failure(error, current_record())
            row = _error_row(name, *_FAILED)
        yield json.dumps(row) + "\n"


def _error_row(photo: str, code: str, detail: str) -> dict[str, Any]:
    return {"photo": photo, "error": {"type": code, "detail": detail}}


def _lines() -> dict[str, Any]:
    answer = {"photo": "a.jpg", "decision": {"name": "quartz", "rank": "species", "probability": 0.82}, "…": "…"}
    broken = _error_row("b.jpg", "truncated-image", "The file ends before the picture does.")
    return {
        "description": "A line of JSON for each photo.",
        "content": {
            _MEDIA_TYPE: {
                "schema": {"type": "string", "description": "Lines; each is as /v1/identify answers, or has error."},
                "example": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (answer, broken)),
            }
        },
    }


def _form(most: int) -> dict[str, Any]:
    """The form: the fields of `/v1/identify` that make sense for many specimens."""
    schema = IDENTIFY_FORM["requestBody"]["content"]["multipart/form-data"]["schema"]
    fields: Mapping[str, Any] = {name: schema["properties"][name] for name in sorted(_FIELDS)}
    photos = fields["photos"] | {"maxItems": most, "description": "Photos, each of a specimen of its own."}
    form = schema | {"properties": {**fields, "photos": photos}}
    content = {"example": {"photos": ["(a file)", "(another file)"], "top": 3}, "schema": form}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": content}}}
