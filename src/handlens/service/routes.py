"""Which routes take photos or scores: those need a key where keys are set, and photos cost a client's share."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

__all__ = ["BATCH", "INFERENCE", "WITH_PHOTOS", "is_inference", "takes_photos"]

BATCH: Final = "/v1/identify/batch"
WITH_PHOTOS: Final = frozenset({"/v1/identify", BATCH, "/predict/", "/predict"})
INFERENCE: Final = WITH_PHOTOS | {"/v1/reweigh"}


def is_inference(scope: Scope) -> bool:
    """Whether this request asks for an answer about photos."""
    return scope["method"] == "POST" and scope["path"] in INFERENCE


def takes_photos(scope: Scope) -> bool:
    """Whether the network would have to work for this request."""
    return scope["method"] == "POST" and scope["path"] in WITH_PHOTOS
