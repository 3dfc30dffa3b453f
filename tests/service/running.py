"""A real server on loopback, in a thread of the test process."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image
from starlette.types import ASGIApp

from handlens.bundle import Bundle
from handlens.identifier import Identifier
from handlens.model import Scores
from handlens.service.connection import ServiceConfig
from handlens.service.settings import Settings


@contextlib.contextmanager
def running(app: ASGIApp, settings: Settings = Settings()) -> Iterator[str]:  # noqa: B008 - frozen
    """Serves `app` as `serve` does, on a free port; gives the base address. `settings`: those of its connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = settings.model_copy(update={"shutdown_timeout": 2})
        config = ServiceConfig(app, connections, log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + 20
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                assert time.monotonic() < deadline, "the server did not start in time"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@contextlib.contextmanager
def client_of(app: FastAPI, settings: Settings = Settings()) -> Iterator[httpx.Client]:  # noqa: B008 - frozen
    """A client of a server that runs `app`."""
    with running(app, settings) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


class HeldIdentifier(Identifier):
    """An identifier whose network waits with each photo until it may `go_on`; `begun` is released at each."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, threads=1)
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.photos = 0

    def score(self, views: NDArray[np.uint8], more: NDArray[np.uint8] | None = None) -> Scores:
        self.photos += 1
        self.begun.release()
        assert self.go_on.wait(60)
        return super().score(views, more)


def connected(address: str, timeout: float = 30) -> socket.socket:
    """A bare connection to the server at `address`."""
    url = httpx.URL(address)
    return socket.create_connection((url.host, url.port or 0), timeout=timeout)


def read_answer(connection: socket.socket) -> httpx.Response:
    """The next answer on a bare connection."""
    raw = http.client.HTTPResponse(connection)
    raw.begin()
    return httpx.Response(raw.status, headers=raw.getheaders(), content=raw.read())


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes the connection without another word, before the connection's timeout."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def metric(client: httpx.Client, name: str) -> float:
    """The value of a metric, 0 where it is not there yet; `name` with its labels."""
    lines = client.get("/metrics").raise_for_status().text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


def wait_for_metric(client: httpx.Client, name: str, value: float) -> None:
    """Asks until a metric has this value."""
    deadline = time.monotonic() + 30
    while (seen := metric(client, name)) != value:
        assert time.monotonic() < deadline, f"{name} is {seen}, not {value}"


def drawn(colour: tuple[int, int, int] = (150, 60, 170), size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A drawn "crystal": a lit hexagon of one colour on a grey ground, unlike its turns and mirror images."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    u, v = (x - 0.45 * width) / (0.35 * width), (y - 0.55 * height) / (0.4 * height)
    inside = np.maximum(np.abs(u), np.abs(0.5 * u) + np.abs(0.87 * v)) < 1
    light = (0.6 + 0.3 * u - 0.3 * v + 0.15 * np.sin(9 * u + 5 * v))[..., None]
    rgb = np.where(inside[..., None], light * np.array(colour) + 30, 190 - 40 * (y / height)[..., None])
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def encoded(im: Image.Image, image_format: str = "JPEG") -> bytes:
    """The bytes of a file with this picture."""
    out = io.BytesIO()
    im.save(out, image_format)
    return out.getvalue()


JPEG = encoded(drawn())


def check_problem(response: httpx.Response, status: int, code: str, photo: str | None = None) -> str:
    """Asserts that this is a complete problem document of this kind; gives its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"/problems/{code}"
    assert document["code"] == code
    assert document["status"] == status
    assert document["title"]
    assert document.get("photo") == photo
    assert set(document) <= {"type", "title", "status", "detail", "code", "photo"}
    detail = document["detail"]
    assert isinstance(detail, str)
    assert detail.strip()
    return detail
