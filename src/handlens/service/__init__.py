"""The HTTP service and its page (extra `serve`): `create_app` makes the application, `serve` runs it."""

from handlens.service.app import create_app
from handlens.service.serve import CannotListenError, serve
from handlens.service.settings import Settings

__all__ = ["CannotListenError", "Settings", "create_app", "serve"]
