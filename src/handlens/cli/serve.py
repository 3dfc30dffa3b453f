"""`handlens serve`"""

from __future__ import annotations

import argparse

from handlens.cli import options as shared
from handlens.cli.extras import need

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens serve`; one that is not given leaves the setting to the environment and the file."""
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, help="default: 8000; 0 takes any free one")
    shared.add_bundle(parser)
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: 1)")
    parser.add_argument("--no-page", dest="page", action="store_false", default=None, help="serve the API only")
    parser.add_argument(
        "--log-format", choices=("text", "json", "none"), help="json: a line for every request (default: text)"
    )
    parser.add_argument("--settings", metavar="FILE", help="a TOML file with settings; see docs/service.md")
    parser.add_argument(
        "--show-settings", action="store_true", help="print every setting with where it comes from, and stop"
    )
    parser.add_argument("--new-key", action="store_true", help="print a new API key and its hash, and stop")


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted."""
    need("serve", "fastapi", "uvicorn", "multipart", "prometheus_client")
    if options.new_key:
        from handlens.service.keys import new_key

        key, line = new_key()
        print(f"{key}\nThis is the key; it is shown this once. For the keys file:\n{line}")
        return 0
    from handlens.service.settings_sources import load_settings

    names = ("host", "port", "bundle", "workers", "page", "log_format")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    loaded = load_settings(given, path=options.settings)
    if options.show_settings:
        print(*loaded.lines(), sep="\n")
        return 0
    from handlens.service.serve import serve

    serve(loaded.settings)
    return 0
