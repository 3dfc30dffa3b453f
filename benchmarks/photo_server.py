"""A fast loopback server for the benchmarks: photo number I of any number at /I.jpg, each with content of its own.

Several processes share one port. An answer is put together from bytes that are ready, so that one process gives far
more photos a second than a client can take; `benchmarks/download.py` measures that, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import multiprocessing
import re
import socket
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image

SHARED_PHOTOS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "photos" / "train"

_REQUEST = re.compile(rb"GET (?:http://[^/ ]+)?/([0-9]+)\.jpg HTTP")


def photos(most: int = 300) -> tuple[list[bytes], str]:
    """JPEG files, and in words what they are: real photos where there are any, else drawn ones of like size."""
    real = sorted(SHARED_PHOTOS.rglob("*.jpg"))
    if real:
        return [path.read_bytes() for path in real[:: max(1, len(real) // most)]], "real photos"
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(20):
        coarse = Image.fromarray(random.integers(0, 256, (40, 52, 3), np.uint8))
        out = io.BytesIO()
        coarse.resize((416, 320), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        drawn.append(out.getvalue())
    return drawn, "drawn pictures"


def tiny() -> list[bytes]:
    """One JPEG of 16 by 16 pixels."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (120, 90, 200)).save(out, "JPEG")
    return [out.getvalue()]


@contextlib.contextmanager
def serving(contents: list[bytes], processes: int = 1) -> Iterator[int]:
    """Serves until the block ends; gives the port of 127.0.0.1 (and of every other address of 127.0.0.0/8)."""
    listener = _listener(0)
    port = int(listener.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    servers: list[BaseProcess] = [
        context.Process(target=_serve, args=(contents, port), daemon=True) for _ in range(processes)
    ]
    for server in servers:
        server.start()
    try:
        _wait(port, listener)
        yield port
    finally:
        for server in servers:
            server.terminate()
            server.join()


def _wait(port: int, listener: socket.socket) -> None:
    listener.close()  # it only held the port
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("0.0.0.0", port))
    return listener


class _Photos(asyncio.Protocol):
    def __init__(self, contents: list[bytes]) -> None:
        self._contents = contents
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._asked += data
        while (end := self._asked.find(b"\r\n\r\n")) >= 0:
            head, self._asked = self._asked[: end + 2], self._asked[end + 4 :]
            found = _REQUEST.match(head)
            if found is None:
                self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                content = self._contents[int(found[1]) % len(self._contents)]
                comment = b"\xff\xfe" + (len(found[1]) + 2).to_bytes(2, "big") + found[1]
                told = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                length = len(content) + len(comment)
                self._transport.write(b"".join((told % length, content[:2], comment, content[2:])))
            if b"connection: close\r\n" in head.lower():
                self._transport.close()


def _serve(contents: list[bytes], port: int) -> None:
    async def forever() -> None:
        listener = _listener(port)
        server = await asyncio.get_running_loop().create_server(lambda: _Photos(contents), sock=listener, backlog=1024)
        await server.serve_forever()

    asyncio.run(forever())
