"""A process that `processes` starts; it does its share of the work and is told nothing else."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tqdm import tqdm

from handlens.dataset.download.engine import work
from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.download.state import State, state_file
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import Workspace


def main() -> None:
    """Reads what to do from standard input, and stops when that is closed."""
    stdin = sys.stdin.fileno()
    told = json.loads(_line(stdin))
    settings = DownloadSettings.model_validate(told["settings"])
    workspace, shard = Workspace(Path(told["root"])), Shard.parse(told["shard"])
    if not _line(stdin):  # closed: there is nothing to do
        print(json.dumps({"photos": 0, "bytes": 0}))
        return
    with State(state_file(workspace, shard), shared=True) as state, tqdm(disable=True) as bar:
        ran = work(workspace, state, settings, bar, share=(told["index"], settings.processes), stop=stdin)
    print(json.dumps({"photos": ran.photos, "bytes": ran.bytes}))


def _line(descriptor: int) -> bytes:
    """One line, not a byte more: what is behind it is for the event loop to see."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(descriptor, 1)):
        line += byte
    return line


if __name__ == "__main__":
    main()
