"""The application: the routes, the limits and the shape of every failure, put together."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from handlens._version import __version__
from handlens.identifier import Identifier
from handlens.service.batch import batch_router
from handlens.service.body_limit import BodyLimitMiddleware
from handlens.service.catalogue import catalogue_router
from handlens.service.context import ContextMiddleware, Observer
from handlens.service.gate import HeadLimitMiddleware, QueueGateMiddleware
from handlens.service.headers import SecurityHeadersMiddleware
from handlens.service.health import health_router
from handlens.service.identify import identify_router
from handlens.service.inference import Inference
from handlens.service.keys import KeyMiddleware, Keys
from handlens.service.logs import RequestLog
from handlens.service.minerals import minerals_router
from handlens.service.pages import pages_router
from handlens.service.plain_problems import PlainProblemsMiddleware
from handlens.service.predict import predict_router
from handlens.service.problems import install_problem_handlers
from handlens.service.rate_limit import RateLimitMiddleware
from handlens.service.refusals import describe_refusals
from handlens.service.reweigh import reweigh_router
from handlens.service.schemas import ProblemDocument
from handlens.service.settings import Settings

__all__ = ["create_app"]

_DESCRIPTION: Final = (
    "Names the mineral in a photograph of a hand specimen, and says how sure it is. A photo is neither stored nor "
    "logged. Every failure is an RFC 9457 problem document. Not for food, medicine, valuation or asbestos clearance."
)
_CORS_REQUEST: Final = ("authorization", "content-type", "x-request-id")
_CORS_RESPONSE: Final = ("ratelimit", "ratelimit-policy", "retry-after", "x-request-id")
_LEAST_TO_COMPRESS: Final = 1024


def create_app(identifier: Identifier, settings: Settings = Settings()) -> FastAPI:  # noqa: B008 - frozen
    """The service around one Identifier, which all requests share.

    No photo is stored or logged: bodies stay in memory, within the limits of `settings`. `host` and the like are
    used where something follows from them; to listen is the matter of `serve`. Raises UsageError for a keys file
    that cannot be read.
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
    keys = Keys.of(settings)
    inference = Inference(identifier, settings.max_concurrent, settings.max_queue, settings.request_timeout)
    observers: list[Observer] = [RequestLog()] if settings.log_format == "json" else []
    app.include_router(identify_router(inference, settings))
    app.include_router(batch_router(inference, settings))
    app.include_router(reweigh_router(inference))
    app.include_router(predict_router(inference))
    app.include_router(catalogue_router(identifier))
    app.include_router(minerals_router(identifier.minerals))  # after /v1/minerals/names
    app.include_router(health_router(inference))
    if settings.metrics:
        from handlens.service.metrics import Metrics, metrics_router

        metrics = Metrics(inference)
        observers.append(metrics)
        app.include_router(metrics_router(metrics, keys))
    if settings.page:
        app.include_router(pages_router(lambda: app.openapi()))
    install_problem_handlers(app)
    _add_layers(app, settings, keys, inference, observers)
    _describe_problems(app, with_keys=bool(keys))
    return app


def _add_layers(app: FastAPI, settings: Settings, keys: Keys, inference: Inference, observers: list[Observer]) -> None:
    """The layers around the routes, from the inside out, as the last added is the outermost.

    Every layer that can refuse by the head of a request is outside of the one that lets the body in: a client
    without a key, with its share used up or before a full queue costs no memory and no time. Among them the cheapest
    question comes first, and the key before the share, as the share is that of the key.
    """
    app.add_middleware(BodyLimitMiddleware, settings=settings)
    app.add_middleware(QueueGateMiddleware, inference=inference)
    if settings.photos_per_minute:
        app.add_middleware(RateLimitMiddleware, per_minute=settings.photos_per_minute, burst=settings.burst)
    app.add_middleware(KeyMiddleware, keys=keys)
    app.add_middleware(HeadLimitMiddleware, settings=settings)
    # Of answers only: a body that is compressed is not taken. Small ones are not worth it.
    app.add_middleware(GZipMiddleware, minimum_size=_LEAST_TO_COMPRESS, compresslevel=6)
    if settings.cors_origins:
        # Outside of all that refuses: a page of another origin may read why.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=_CORS_REQUEST,
            expose_headers=_CORS_RESPONSE,
        )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.allowed_hosts, www_redirect=False)
    app.add_middleware(PlainProblemsMiddleware)  # what Starlette's layers, just inside, answer as text
    app.add_middleware(ContextMiddleware, observers=observers)  # sees every request and answers every failure
    app.add_middleware(SecurityHeadersMiddleware)


def _describe_problems(app: FastAPI, *, with_keys: bool) -> None:
    """Adds to the OpenAPI document what all routes share: problem documents, refusals and keys."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
            describe_refusals(document, with_keys=with_keys)
            app.openapi_schema = document
        return app.openapi_schema

    # FastAPI's documented way to extend the document.
    app.openapi = openapi  # type: ignore[method-assign]
