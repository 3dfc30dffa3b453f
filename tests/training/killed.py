"""A command that is killed while it trains."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import commands

__all__ = ["run_killed"]

_PROGRAM = """
import os, pathlib, signal, sys
from handlens.cli.main import main
from handlens.cli.quiet import quieten_tensorflow
quieten_tensorflow()
from handlens.training.fitting import loop, settings
settings.fast_precision = lambda: "float32"
write = loop.write_state
def write_and_die(folder, state):
    write(folder, state)
    if folder == pathlib.Path(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
loop.write_state = write_and_die
main(sys.argv[2:])
"""


def run_killed(inside: Path, *arguments: str | Path) -> frozenset[str]:
    """Runs `handlens` with the arguments until SIGKILL, as soon as the first epoch of the training in `inside` is kept.

    Returns the names of the files that are left there.
    """
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, inside, *arguments],
        env=commands.environment(),
        capture_output=True,
        timeout=commands.KILL_AFTER,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    return frozenset(path.name for path in inside.iterdir())
