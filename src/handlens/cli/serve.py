"""`handlens serve`"""

from __future__ import annotations

import argparse

from handlens.cli import options as shared
from handlens.cli.extras import need

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens serve`."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    shared.add_bundle(parser)


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted."""
    need("serve", "fastapi", "uvicorn", "multipart")
    from handlens.service.serve import serve

    serve(options.host, options.port, options.bundle)
    return 0
