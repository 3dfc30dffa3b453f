"""Running the service: the bundle, a listening socket, uvicorn."""

from __future__ import annotations

import logging
import os
import socket

import uvicorn

from handlens.errors import HandlensError
from handlens.identifier import Identifier
from handlens.service.app import create_app
from handlens.service.settings import Settings

__all__ = ["CannotListenError", "serve"]

_MOST_CONNECTIONS = 64
"""With the limit on bodies this bounds the memory that uploads can take; uvicorn answers 503 beyond it."""


class CannotListenError(HandlensError):
    """The address is taken, not allowed, or not of this machine (`cannot-listen`)."""

    code = "cannot-listen"


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    bundle: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
) -> None:
    """Serves until it is interrupted, and prints the address once it listens; port 0 takes any free one.

    Requests are not logged. Raises CannotListenError, and BadBundleError for the bundle.
    """
    # The form parser warns of each byte that it did not expect, and quotes it.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    with _listen(host, port) as listener:
        app = create_app(Identifier.load(bundle), settings or Settings())
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=10,
        )
        print(f"Handlens listens on {_address(host, listener)}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise CannotListenError(f"cannot listen on {host}, port {port}: {error}") from error


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
