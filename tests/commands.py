"""`handlens` as a process of its own, and in this process for speed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import handlens
from handlens.cli.main import main

KILL_AFTER: Final = 120
"""Seconds after which a process that hangs is killed; nothing is measured."""


def environment(bundle: Path | None = None, **more: str) -> dict[str, str]:
    """This process's environment with the package under test on the path, and the bundle in HANDLENS_BUNDLE."""
    source = str(Path(handlens.__file__).parent.parent)
    paths = [source, os.environ.get("PYTHONPATH", "")]
    made = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONIOENCODING": "utf-8"} | more
    made.pop("HANDLENS_BUNDLE", None)
    made.pop("PYTHONUNBUFFERED", None)  # output is buffered for users, and fails late
    return made | ({"HANDLENS_BUNDLE": str(bundle)} if bundle else {})


def process(
    *arguments: str | bytes | Path,
    bundle: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    """Runs `python -m handlens` to its end."""
    command = [sys.executable, "-m", "handlens", *arguments]
    env = dict(env or environment(bundle))
    return subprocess.run(
        command, cwd=cwd, env=env, stdout=stdout, stderr=subprocess.PIPE, timeout=KILL_AFTER, check=False
    )


def run(*arguments: str | Path) -> int:
    """Runs the command in this process and gives its exit status, also that of a usage error."""
    given: Sequence[str] = [str(argument) for argument in arguments]
    try:
        return main(given)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
