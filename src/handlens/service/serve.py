"""Running the service: the bundle, a listening socket, uvicorn in this process or in several."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from handlens.allocator import keep_bodies
from handlens.bundle import open_bundle
from handlens.errors import HandlensError
from handlens.identifier import Identifier
from handlens.processors import processors
from handlens.service.app import create_app
from handlens.service.connection import ServiceConfig
from handlens.service.keys import Keys
from handlens.service.logs import log_config
from handlens.service.settings import Settings, is_loopback

__all__ = ["CannotListenError", "network_threads", "serve"]

_WORKER_STARTS_WITHIN: Final = 60
"""Seconds after which a worker that does not answer is replaced; the first include its imports."""
_LOG: Final = logging.getLogger(__name__)


class CannotListenError(HandlensError):
    """The address is taken, not allowed, or not of this machine (`cannot-listen`)."""

    code = "cannot-listen"


class _Supervisor(Multiprocess):
    """Knows afterwards whether it was interrupted, as one process does."""

    interrupted = False

    def handle_int(self) -> None:
        self.interrupted = True
        super().handle_int()


def serve(settings: Settings = Settings()) -> None:  # noqa: B008 - frozen
    """Serves until it is told to stop, and prints the address once it listens.

    SIGTERM: takes no more connections, finishes what was begun, then SystemExit(0); SIGINT: the same, then
    KeyboardInterrupt. Raises CannotListenError, BadBundleError for the bundle, UsageError for a keys file.
    """
    config = partial(ServiceConfig, settings=settings, log_config=log_config(settings.log_format))
    with _exits_when_terminated(), _listen(settings.host, settings.port) as listener:
        if settings.workers == 1:
            server = uvicorn.Server(config(_loaded_app(settings)))
            _announce(settings, listener)
            server.run(sockets=[listener])
        else:
            # Here, where what is wrong with them can be told once.
            Keys.of(settings)
            open_bundle(settings.bundle)
            several = config(
                partial(_loaded_app, settings),
                factory=True,
                workers=settings.workers,
                timeout_worker_healthcheck=_WORKER_STARTS_WITHIN,
            )
            supervisor = _Supervisor(several, sockets=[listener])
            _announce(settings, listener)
            supervisor.run()
            if supervisor.interrupted:
                raise KeyboardInterrupt


def _loaded_app(settings: Settings) -> FastAPI:
    keep_bodies()
    threads = network_threads(settings, processors())
    return create_app(Identifier.load(settings.bundle, threads=threads), settings)


def network_threads(settings: Settings, available: int) -> int:
    """How many threads a photo is scored with: those that are scored side by side use up the `available` processors,
    and more threads than that only wait for each other.
    """
    return max(1, available // (settings.max_concurrent * settings.workers))


def _announce(settings: Settings, listener: socket.socket) -> None:
    if not is_loopback(settings.host) and not Keys.of(settings):
        warning = f"{settings.host} can be reached from other machines, and no keys are set: anybody may use it"
        if settings.log_format == "json":
            _LOG.warning(warning)
        else:
            print(f"WARNING: {warning}", file=sys.stderr, flush=True)
    print(f"Handlens listens on {_address(settings.host, listener)}", flush=True)


@contextmanager
def _exits_when_terminated() -> Iterator[None]:
    """SIGTERM ends the process with status 0, also before uvicorn listens to it and when it passes it on at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise CannotListenError(f"cannot listen on {host}, port {port}: {error}") from error


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
