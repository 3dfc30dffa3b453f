"""`handlens doctor`"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform

from handlens._version import __version__
from handlens.cli import options as shared
from handlens.errors import HandlensError
from handlens.identifier import Identifier
from handlens.processors import processors
from handlens.safe_text import terminal
from handlens.selftest import run_self_test

__all__ = ["add_arguments", "run"]

_CORE = ("numpy", "onnxruntime", "pillow", "pi-heif")
_EXTRAS = {"serve": "fastapi", "train": "keras", "dataset": "cv2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens doctor`."""
    shared.add_bundle(parser)


def run(options: argparse.Namespace) -> int:
    """Prints versions, formats, providers, the bundle and a self-test; 1 when something is wrong."""
    from PIL import features

    print(f"handlens     {__version__}")
    print(f"python       {platform.python_version()} on {platform.platform()}")
    for name in _CORE:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed under this name"
        print(f"{name:<12} {version}")
    for extra, module in _EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        print(f"{extra + ':':<12} {'installed' if there else f'not installed: pip install handlens[{extra}]'}")
    missing = [name for name in ("jpg", "zlib", "webp", "libtiff", "avif", "littlecms2") if not features.check(name)]
    print(f"formats      {'all' if not missing else 'this Pillow lacks ' + ', '.join(missing)}")
    print(f"threads      {processors()}")
    try:
        identifier = Identifier.load(options.bundle)
        test = run_self_test(identifier)
    except HandlensError as error:
        print(f"bundle       {terminal(error.detail)}")
        return 1
    print(f"providers    {', '.join(identifier.model.providers)}")
    print(f"bundle       {identifier.bundle.name}: {len(identifier.bundle.labels)} labels")
    print(f"self-test    {'passed' if test.passed else 'FAILED'} (largest difference of a logit {test.difference:.1e})")
    return 0 if test.passed and not missing else 1
