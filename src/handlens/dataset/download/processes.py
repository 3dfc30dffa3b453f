"""More processes than one for hosts without a limit of rate: each takes a part of their URLs.

A helper is `python -m handlens.dataset.download.helper`. It reads what to do as one line of JSON, waits for a second
line, which says that the state is ready, and writes what it did as a line of JSON in the end. It stops when its
standard input is closed: so also when the run that started it is killed. A lock file beside the state keeps two runs
apart; the helpers hold it as well, so that the run after a kill waits until the last of them has stopped.

Only hosts that are divided are asked, since a host with a rate is for one process: a URL of a divided host that is
redirected to another is left to the run itself, when the helpers are done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from handlens.dataset.download.engine import Ran
from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.download.state import state_file
from handlens.dataset.errors import DatasetError
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import Workspace

__all__ = ["Helpers", "helping"]

_MODULE: Final = "handlens.dataset.download.helper"
_WAIT: Final = 10.0
"""Seconds that the helpers of a killed run have to stop."""


class Helpers:
    """The processes beside this one."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def begin(self) -> None:
        """Tells them that the state is ready."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.write("\n")
                process.stdin.flush()

    def finish(self, *, interrupted: bool) -> Ran:
        """Waits for them, or has them stop at once; what they did together. Raises DatasetError where one failed."""
        photos = size = 0
        for process in self._processes:
            if interrupted and process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            told = process.stdout.read() if process.stdout is not None else ""
            if process.wait() != 0:
                raise DatasetError(f"a helper of the download ended with status {process.returncode}")
            did = json.loads(told)
            photos += did["photos"]
            size += did["bytes"]
        return Ran(photos, size, 0.0, interrupted)


@contextlib.contextmanager
def helping(workspace: Workspace, settings: DownloadSettings, shard: Shard) -> Iterator[Helpers | None]:
    """Starts the helpers that the settings ask for; None where that is none. They are gone when the block ends.

    Raises DatasetError where another run with helpers is at work.
    """
    if settings.processes == 1 or not any(settings.is_divided(host) for host in settings.hosts):
        yield None
        return
    with _locked(state_file(workspace, shard).with_suffix(".lock")) as lock:
        processes = []
        try:
            for index in range(1, settings.processes):
                processes.append(_start(workspace, settings, shard, index, lock))
            yield Helpers(processes)
        finally:
            for process in processes:
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        with contextlib.suppress(BrokenPipeError):
                            pipe.close()
                process.wait()


def _start(
    workspace: Workspace, settings: DownloadSettings, shard: Shard, index: int, lock: int
) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(lock,),
        process_group=0,  # a Ctrl-C is for the run, which has them stop
    )
    told = {
        "root": str(workspace.root),
        "shard": str(shard),
        "settings": settings.model_dump(mode="json"),
        "index": index,
    }
    if process.stdin is not None:
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
    return process


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        deadline = time.monotonic() + _WAIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise DatasetError(f"{path}: another download is at work in this workspace") from error
                time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)
