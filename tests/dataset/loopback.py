"""A web server on loopback that behaves as the web does, and writes down who asked it for what and when.

It listens on every address of 127.0.0.0/8, so that 127.0.0.2, 127.0.0.3, ... are hosts of their own. What a path
answers is a function; those below make the usual ones.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from conftest import SHARED_PHOTOS

Answer = Callable[["Handler"], None]


@dataclass(frozen=True)
class Asked:
    """One request: `at` and `until` in seconds of time.monotonic; `whole` where the answer was sent to its end.

    `until` is no later than the client can have had the whole answer and asked again.
    """

    host: str
    path: str
    at: float
    until: float
    status: int
    whole: bool
    headers: Mapping[str, str]


class Handler(BaseHTTPRequestHandler):
    """One connection; `tell` is what answers use."""

    protocol_version = "HTTP/1.1"
    server: Loopback
    at = 0.0
    until: float | None = None
    status = 0
    whole = False

    def do_GET(self) -> None:
        self.at, self.until, self.status, self.whole = time.monotonic(), None, 0, False
        host = self.connection.getsockname()[0]
        try:
            with contextlib.suppress(ConnectionError):  # the client hung up, or was killed
                self.server.answer(host, self.path)(self)
        finally:
            until = self.until or time.monotonic()
            self.server.log.append(Asked(host, self.path, self.at, until, self.status, self.whole, dict(self.headers)))

    def tell(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, **more: str) -> None:
        """A whole answer; header names in `more` have _ for -."""
        self.until = time.monotonic()
        self.head(status, {"Content-Length": str(len(body))} | dict(headers or {}), **more)
        self.wfile.write(body)
        self.whole = True

    def head(self, status: int, headers: Mapping[str, str], **more: str) -> None:
        self.status = status
        self.send_response(status)
        for name, value in ({**headers} | {name.replace("_", "-"): value for name, value in more.items()}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class Loopback(ThreadingHTTPServer):
    """`pages`: what each path answers, on every host, or "host/path" on one; `log`: every request that has ended."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), Handler)
        self.pages: dict[str, Answer] = {}
        self.log: list[Asked] = []
        self.times: defaultdict[str, int] = defaultdict(int)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}{path}"

    def answer(self, host: str, path: str) -> Answer:
        return self.pages.get(f"{host}{path}") or self.pages.get(path) or status(404)

    def forget(self) -> None:
        """As if nobody had asked yet."""
        self.log.clear()
        self.times.clear()

    def asked(self, host: str | None = None, *, robots: bool = False) -> list[Asked]:
        """The requests in the order they came."""
        return sorted(
            (
                asked
                for asked in list(self.log)
                if host in (None, asked.host) and (robots or asked.path != "/robots.txt")
            ),
            key=lambda asked: asked.at,
        )

    def handle_error(self, *_: object) -> None:
        """A client that hung up is no error."""


@contextlib.contextmanager
def loopback() -> Iterator[Loopback]:
    """A server in a thread of this process."""
    server = Loopback()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def photo(content: bytes, pause: float = 0.0, **headers: str) -> Answer:
    """200 with this content, after a pause of so many seconds."""

    def answer(handler: Handler) -> None:
        time.sleep(pause)
        handler.tell(200, content, {"Content-Type": "image/jpeg"}, **headers)

    return answer


def text(content: str, kind: str = "text/plain") -> Answer:
    return lambda handler: handler.tell(200, content.encode(), {"Content-Type": kind})


def status(code: int, **headers: str) -> Answer:
    return lambda handler: handler.tell(code, b"" if code in (204, 304) else b"no", None, **headers)


def redirect(target: str, code: int = 301, **headers: str) -> Answer:
    return lambda handler: handler.tell(code, b"", {"Location": target}, **headers)


def first(times: int, answer: Answer, then: Answer) -> Answer:
    """Another answer to the first requests for a path than to those that follow."""

    def either(handler: Handler) -> None:
        handler.server.times[handler.path] += 1
        (answer if handler.server.times[handler.path] <= times else then)(handler)

    return either


def changing(content: bytes, etag: str) -> Answer:
    """A photo with an ETag and a date, and 304 to who has it."""

    def answer(handler: Handler) -> None:
        if handler.headers["If-None-Match"] == etag:
            handler.tell(304, b"", {"ETag": etag})
        else:
            handler.tell(200, content, {"ETag": etag, "Last-Modified": "Tue, 01 Oct 2024 10:00:00 GMT"})

    return answer


def drip(content: bytes, pause: float = 0.1) -> Answer:
    """A byte at a time."""

    def answer(handler: Handler) -> None:
        handler.head(200, {"Content-Length": str(len(content))})
        for at in range(len(content)):
            handler.wfile.write(content[at : at + 1])
            time.sleep(pause)

    return answer


def reset(content: bytes = b"") -> Answer:
    """The connection is reset after that many bytes of content."""

    def answer(handler: Handler) -> None:
        if content:
            handler.head(200, {"Content-Length": str(2 * len(content))})
            handler.wfile.write(content)
            handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True

    return answer


def wrong_length(content: bytes, by: int) -> Answer:
    """A Content-Length that is wrong by so many bytes; the connection is closed after the content."""

    def answer(handler: Handler) -> None:
        handler.head(200, {"Content-Length": str(len(content) + by), "Connection": "close"})
        handler.wfile.write(content)
        handler.close_connection = True

    return answer


def without_length(content: bytes) -> Answer:
    """Content that ends where the connection does."""

    def answer(handler: Handler) -> None:
        handler.head(200, {"Connection": "close"})
        handler.wfile.write(content)
        handler.close_connection = handler.whole = True

    return answer


def packed(content: bytes, encoding: str = "gzip") -> Answer:
    data = gzip.compress(content) if encoding == "gzip" else content
    return lambda handler: handler.tell(200, data, {"Content-Encoding": encoding})


def bomb(size: int = 2**28) -> Answer:
    """A JPEG's first bytes and hundreds of megabytes of zeros, in a thousandth of that of gzip."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        file.write(PHOTOS[0][:20_000])
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    data = out.getvalue()
    return lambda handler: handler.tell(200, data, {"Content-Encoding": "gzip"})


def endless() -> Answer:
    """Chunks that do not end."""

    def answer(handler: Handler) -> None:
        handler.head(200, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(PHOTOS[0]), PHOTOS[0]))
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")

    return answer


def drawn_photo(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small JPEG, another for every number."""
    noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return encoded(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))


def encoded(im: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    im.save(out, image_format, **options)
    return out.getvalue()


def some_photos(count: int) -> list[bytes]:
    """Different photos: real ones where there are any, else drawn ones."""
    real = sorted((SHARED_PHOTOS / "train").rglob("*.jpg"))
    if len(real) < count:
        return [drawn_photo(number) for number in range(count)]
    distinct: dict[bytes, None] = {}
    for path in real:
        distinct[path.read_bytes()] = None
        if len(distinct) == count:
            break
    return list(distinct)


PHOTOS = [drawn_photo(number) for number in range(12)]
