"""A real server on loopback, in a thread of the test process."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image


@contextlib.contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serves `app` with uvicorn on a free port; gives the base address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=2)
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
def client_of(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of a server that runs `app`."""
    with running(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


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
