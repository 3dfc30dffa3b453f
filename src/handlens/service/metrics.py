"""`/metrics` for Prometheus. Each process counts for itself, so with several workers a scrape sees one of them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from handlens._version import __version__
from handlens.service.context import FinishedRequest
from handlens.service.inference import Inference
from handlens.service.keys import Keys
from handlens.service.problems import ForbiddenError, UnauthorisedError
from handlens.service.settings import is_loopback

__all__ = ["Metrics", "metrics_router"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """An observer that counts requests, and what else there is to see of the service."""

    def __init__(self, inference: Inference) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "handlens_requests", "Requests.", ("method", "route", "status"), registry=self.registry
        )
        self._refused = Counter("handlens_refusals", "Problem documents by code.", ("reason",), registry=self.registry)
        self._seconds = Histogram(
            "handlens_seconds",
            "Time of requests with photos: queue, work (decoding and network) and total.",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._gauge("handlens_queue_length", "Photos that wait.", lambda: inference.waiting)
        self._gauge("handlens_photos_in_work", "Photos that are decoded and scored.", lambda: inference.working)
        bundle = inference.identifier.bundle
        model = Info("handlens_model", "The loaded model.", registry=self.registry)
        model.info({"name": bundle.name, "labels": str(len(bundle.labels)), "version": __version__})

    def _gauge(self, name: str, what: str, value: object) -> None:
        Gauge(name, what, registry=self.registry).set_function(value)  # type: ignore[arg-type]

    def __call__(self, finished: FinishedRequest) -> None:
        """Counts it."""
        record = finished.record
        self._requests.labels(record.method, finished.route, str(finished.status)).inc()
        if record.code:
            self._refused.labels(record.code).inc()
        if record.queue is not None and record.work is not None:
            self._seconds.labels("queue").observe(record.queue)
            self._seconds.labels("work").observe(record.work)
            self._seconds.labels("total").observe(finished.seconds)


def metrics_router(metrics: Metrics, keys: Keys) -> APIRouter:
    """`/metrics`, for who has a key, or for this machine where there are no keys."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def prometheus(request: Request) -> Response:
        if not keys:
            _only_from_here(request)
        elif keys.holder(request.headers.get("authorization")) is None:
            raise UnauthorisedError("The metrics need a key: send it in the header Authorization, as Bearer KEY.")
        headers = {"cache-control": "no-store"}
        return Response(generate_latest(metrics.registry), headers=headers, media_type=CONTENT_TYPE_LATEST)

    return router


def _only_from_here(request: Request) -> None:
    # A proxy that is not configured makes everybody look as if from here; but it says for whom it asks.
    forwarded = request.client is not None and ("forwarded" in request.headers or "x-forwarded-for" in request.headers)
    if request.client is None or forwarded or not is_loopback(request.client.host):
        raise ForbiddenError("Without keys the metrics are for this machine only.")
