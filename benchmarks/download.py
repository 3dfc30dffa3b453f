"""Download from loopback without any limit of politeness: `handlens dataset download` against img2dataset.

    python benchmarks/download.py [--photos 8000] [--runs 5] [--peer VENV]

Both fetch the same list from the same server, take the sha256 of every photo and write it to a file, resize and
re-encoding off (img2dataset: resize_mode=no, disable_all_reencoding, output_format=files, EXIF off). Both first try
a small grid of settings (processes and requests at a time; processes and threads), then take turns with their best
one, so that a slow moment of the machine hits both.

    fetching      handlens: from the first request until the last photo is on the disk and in the state, as it says
                  itself; img2dataset: from the start of its first shard to the end of its last one, as it says itself
    whole         the process of each from its start to its end: with imports, start of further processes, reading of
                  the list, and the table that each writes; img2dataset also waits for its logger

Must reach: at least img2dataset's photos a second, in fetching and whole. The server's own pace is measured with bare
sockets on the same connections, and must be at least 3 times that of the faster client, or nothing is proved.

img2dataset 1.47.0 is installed into VENV, by default a temporary one: it needs the network once. Photos are those of
../shared/data/photos/train where there are any, drawn ones otherwise, each with a comment of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace
from photo_server import photos, serving

PEER = "img2dataset==1.47.0"
PROCESSES_AND_CONCURRENCY = ((1, 32), (2, 16), (2, 32), (2, 64))
PROCESSES_AND_THREADS = ((1, 8), (1, 32), (1, 128), (2, 8), (2, 32), (2, 128))

RUN_PEER = """
import sys
from img2dataset import download
if __name__ == "__main__":
    photos, processes, threads = map(int, sys.argv[3:])
    download(url_list=sys.argv[1], output_folder=sys.argv[2], processes_count=processes, thread_count=threads,
             resize_mode="no", disable_all_reencoding=True, output_format="files", extract_exif=False,
             compute_hash="sha256", number_sample_per_shard=-(-photos // processes))
"""


@dataclass(frozen=True)
class Pace:
    """Photos a second."""

    fetching: float
    whole: float


RUN_OURS = """
import sys
from pathlib import Path
from handlens.dataset.download import DownloadSettings, HostSettings, download
from handlens.dataset.workspace import Workspace
if __name__ == "__main__":
    processes, concurrency = map(int, sys.argv[2:])
    settings = DownloadSettings(
        contact="benchmark@example.org", hosts={"127.0.0.1": HostSettings(terms_acknowledged=True)}, rate=0,
        concurrency=concurrency, connections=concurrency, processes=processes, allow_private=True,
    )
    summary = download(Workspace(Path(sys.argv[1])), settings)
    print(summary.by_status.get("fetched", 0), summary.seconds)
"""


def timed(command: list[object]) -> tuple[str, float]:
    """What a process prints, and the seconds from its start to its end."""
    start = time.perf_counter()
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{command[1]} failed: {done.stderr}")
    return done.stdout, took


def ours(urls: list[str], folder: Path, processes: int, concurrency: int) -> Pace:
    workspace = Workspace(folder / "workspace")
    rows = (Row(f"{place:016x}", "quartz", "listed", url=url) for place, url in enumerate(urls))
    workspace.write(rows, TableInfo("filter", {}))
    script = folder / "ours.py"
    script.write_text(RUN_OURS)
    said, took = timed([sys.executable, script, workspace.root, processes, concurrency])
    fetched, seconds = said.split()
    if int(fetched) != len(urls):
        raise SystemExit(f"handlens fetched {fetched} of {len(urls)}")
    shutil.rmtree(workspace.root)
    return Pace(len(urls) / float(seconds), len(urls) / took)


def peers(urls: list[str], folder: Path, python: Path, processes: int, threads: int) -> Pace:
    script, listed, out = folder / "peer.py", folder / "urls.txt", folder / "peer"
    script.write_text(RUN_PEER)
    listed.write_text("\n".join(urls) + "\n")
    said, took = timed([python, script, listed, out, len(urls), processes, threads])
    stats = [json.loads(path.read_text()) for path in out.glob("*_stats.json")]
    if sum(shard["successes"] for shard in stats) != len(urls):
        raise SystemExit(f"img2dataset did not fetch everything: {said}")
    seconds = max(shard["end_time"] for shard in stats) - min(shard["start_time"] for shard in stats)
    shutil.rmtree(out)
    return Pace(len(urls) / seconds, len(urls) / took)


def servers(port: int, photos_asked: int, connections: int = 8) -> float:
    """Photos a second that the server gives to bare sockets."""

    def ask(first: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            file = connection.makefile("rb")
            for number in range(first, photos_asked, connections):
                connection.sendall(b"GET /%d.jpg HTTP/1.1\r\nHost: a\r\n\r\n" % number)
                length = 0
                while (line := file.readline()) != b"\r\n":
                    if line.startswith(b"Content-Length"):
                        length = int(line.split()[1])
                file.read(length)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return photos_asked / (time.perf_counter() - start)


def installed(folder: Path) -> Path:
    """The interpreter of an environment that has the peer."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=8000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer", type=Path, help="an environment that has img2dataset, or is to get it")
    options = parser.parse_args()
    contents, what = photos()
    with tempfile.TemporaryDirectory() as name, serving(contents, processes=2) as port:
        folder = Path(name)
        python = installed(options.peer or folder / "venv")
        urls = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(options.photos)]
        # The better of two, over the whole list: one trial of a few seconds says too little about a setting.
        our_best = max(
            PROCESSES_AND_CONCURRENCY, key=lambda best: max(ours(urls, folder, *best).fetching for _ in range(2))
        )
        peers_best = max(
            PROCESSES_AND_THREADS, key=lambda best: max(peers(urls, folder, python, *best).fetching for _ in range(2))
        )
        runs = [
            (ours(urls, folder, *our_best), peers(urls, folder, python, *peers_best), servers(port, options.photos))
            for _ in range(options.runs)
        ]
    from handlens.evaluation.machine import machine

    size = sum(map(len, contents)) / len(contents) / 1000
    print(f"{machine()}; {options.photos} {what} of {size:.0f} kB on average; {options.runs} paired runs")
    ours_told, peers_told = (
        f"{our_best[0]} processes, {our_best[1]} at a time",
        f"{peers_best[0]} processes x {peers_best[1]} threads",
    )
    passed = True
    for part in ("fetching", "whole"):
        print(part)
        our, peer = ([getattr(run[place], part) for run in runs] for place in (0, 1))
        for who, setting, paces in (("handlens", ours_told, our), ("img2dataset", peers_told, peer)):
            low, middle, high = min(paces), statistics.median(paces), max(paces)
            print(f"  {who:<12} {middle:7.0f} photos/s   ({low:.0f} to {high:.0f}; {setting})")
        ratio = statistics.median(one / other for one, other in zip(our, peer, strict=True))
        print(f"  handlens / img2dataset  {ratio:5.2f}   (must be at least 1)")
        passed &= ratio >= 1
    room = statistics.median(server / max(our.fetching, peer.fetching) for our, peer, server in runs)
    print(f"server / faster client    {room:5.2f}   (must be at least 3)")
    return 0 if passed and room >= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
