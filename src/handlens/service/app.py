"""The application: the routes, the limits and the shape of every failure, put together."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from handlens._version import __version__
from handlens.identifier import Identifier
from handlens.service.body_limit import BodyLimitMiddleware
from handlens.service.catalogue import catalogue_router
from handlens.service.headers import SecurityHeadersMiddleware
from handlens.service.health import health_router
from handlens.service.identify import identify_router
from handlens.service.inference import Inference
from handlens.service.minerals import minerals_router
from handlens.service.pages import pages_router
from handlens.service.predict import predict_router
from handlens.service.problems import install_problem_handlers
from handlens.service.reweigh import reweigh_router
from handlens.service.schemas import ProblemDocument
from handlens.service.settings import Settings

__all__ = ["create_app"]

_DESCRIPTION = (
    "Names the mineral in a photograph of a hand specimen, and says how sure it is. A photo is neither stored nor "
    "logged. Every failure is an RFC 9457 problem document. Not for food, medicine, valuation or asbestos clearance."
)


def create_app(identifier: Identifier, settings: Settings = Settings()) -> FastAPI:  # noqa: B008 - frozen
    """The service around one Identifier, which all requests share.

    No photo is stored or logged: bodies stay in memory, within `settings.max_body_bytes`.
    """
    # FastAPI's own documentation pages fetch scripts from another host.
    app = FastAPI(
        title="Handlens",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    inference = Inference(identifier, settings.max_concurrent)
    app.include_router(identify_router(inference, settings))
    app.include_router(reweigh_router(inference))
    app.include_router(predict_router(inference))
    app.include_router(catalogue_router(identifier))
    app.include_router(minerals_router(identifier.minerals))  # after /v1/minerals/names
    app.include_router(health_router(inference))
    app.include_router(pages_router(lambda: app.openapi()))
    install_problem_handlers(app)
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes)
    app.add_middleware(SecurityHeadersMiddleware)  # the last added is the outermost
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Adds to the OpenAPI document the schema that all problem responses refer to."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
            app.openapi_schema = document
        return app.openapi_schema

    # FastAPI's documented way to extend the document.
    app.openapi = openapi  # type: ignore[method-assign]
