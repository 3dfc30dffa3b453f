"""The service under load, beside one made as the original was, and beside what decoding and inference alone can do.

    python benchmarks/service.py [--network FILE.keras] [--bundle BUNDLE] [--seconds 20] [--soak 20000] [--json FILE]

Every request is `POST /predict/` with a 12-megapixel JPEG in base64. In one run, never at the same time:

    bare       two threads: decoding, views and the network as `identify` does them, no server
    handlens   `handlens serve`, 1 client, then 16
    peer       benchmarks/service_peer.py (FastAPI, OpenCV, Keras `predict`), 1 client, then 16
    overload   handlens at three times the rate of its 16 clients, begun whatever the answers do
    soak       handlens, `--soak` small requests, memory looked at on the way

The load comes from another process, whose own processor time is told. Must reach with the default bundle: at least 2.5
times the peer's requests a second at 16 clients and at most 1/2.5 of its p99; at most 500 MB; ready in at most a
quarter of its time; at least 85 % of the bare rate; at overload nothing but 200, 429 and 503, the two with Retry-After,
and a p99 of those answered of at most three times the unloaded one; memory flat.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handlens.evaluation.machine import machine
from handlens.identifier import ORIGIN_TEN, Identifier

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
CLIENTS = 16


@dataclass(frozen=True)
class Running:
    """A service: its port, the process, and how long it took until it answered."""

    port: int
    process: subprocess.Popen[bytes]
    ready: float

    @property
    def url(self) -> str:
        """Of the route that is measured."""
        return f"http://127.0.0.1:{self.port}/predict/"

    def megabytes(self, key: str = "VmHWM") -> float:
        """Resident memory, the most so far (VmHWM) or now (VmRSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(key)).split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=ROOT / "models" / "cnn-final.keras")
    parser.add_argument("--bundle", help="another one than the default")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--soak", type=int, default=20_000, help="requests; 0 leaves it out")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.json", Path(folder) / "small.json"
        photo = jpeg(4000, 3000)
        large.write_bytes(body(photo))
        small.write_bytes(body(jpeg(500, 375)))
        print(f"{machine()}; JPEG of 4000 x 3000 pixels, {len(photo) / 1e6:.1f} MB", flush=True)
        found: dict[str, Any] = {"machine": machine(), "bare": bare(photo, options)}
        print(f"bare      {found['bare']:.1f} photos/s", flush=True)
        with handlens(options) as running:
            found["handlens"] = measured(running, large, options)
            rate = found["handlens"]["many"]["rate"]
            found["overload"] = load(running, large, clients=200, seconds=options.seconds, rate=3 * rate)
            print(f"overload  {found['overload']}", flush=True)
            found["soak"] = soak(running, small, options.soak) if options.soak else None
            print(f"soak      {found['soak']}", flush=True)
        with peer(options) as running:
            found["peer"] = measured(running, large, options)
    verdicts = judged(found)
    for line, reached in verdicts.items():
        print(f"{'yes' if reached else 'NO '}  {line}")
    if options.json:
        options.json.write_text(json.dumps(found | {"reached": verdicts}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(verdicts.values()) else 1


def jpeg(width: int, height: int) -> bytes:
    """Noise of all scales: as hard to decode as a photo of that size."""
    rng = np.random.default_rng(0)
    picture = np.zeros((height, width, 3), np.float32)
    for scale, strength in ((1, 12), (4, 20), (32, 40), (256, 60)):
        part = rng.normal(0, strength, (height // scale + 1, width // scale + 1, 3)).clip(-127, 127) + 128
        layer = Image.fromarray(part.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        picture += np.asarray(layer, np.float32) - 128
    out = io.BytesIO()
    Image.fromarray((picture + 128).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def body(photo: bytes) -> bytes:
    return json.dumps({"image_base64": base64.b64encode(photo).decode()}).encode()


def bare(photo: bytes, options: argparse.Namespace) -> float:
    """Photos a second of two threads that do what a request needs and nothing else."""
    identifier = Identifier.load(options.bundle, threads=1)
    identifier.identify(photo, among=ORIGIN_TEN, top=1)
    counts = [0, 0]
    end = time.perf_counter() + options.seconds

    def work(place: int) -> None:
        while time.perf_counter() < end:
            identifier.identify(photo, among=ORIGIN_TEN, top=1)
            counts[place] += 1

    start = time.perf_counter()
    threads = [threading.Thread(target=work, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(counts) / (time.perf_counter() - start), 2)


@contextlib.contextmanager
def handlens(options: argparse.Namespace) -> Iterator[Running]:
    command = [sys.executable, "-m", "handlens", "serve", "--port", "{port}"]
    command += ["--bundle", options.bundle] if options.bundle else []
    with started(command, "/livez") as running:
        yield running


@contextlib.contextmanager
def peer(options: argparse.Namespace) -> Iterator[Running]:
    command = [sys.executable, str(HERE / "service_peer.py"), "{port}", str(options.network)]
    with started(command, "/") as running:
        yield running


@contextlib.contextmanager
def started(command: list[str], path: str) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    begun = time.perf_counter()
    process = subprocess.Popen([part.format(port=port) for part in command])
    try:
        while not answers(port, path):
            if process.poll() is not None:
                sys.exit(f"{command[1:3]} ended with {process.returncode}")
            time.sleep(0.02)
        yield Running(port, process, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def measured(running: Running, large: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One client, then many, and the memory after them."""
    load(running, large, clients=1, seconds=3)
    found = {
        "ready": round(running.ready, 2),
        "one": load(running, large, clients=1, seconds=options.seconds),
        "many": load(running, large, clients=CLIENTS, seconds=options.seconds),
        "megabytes": round(running.megabytes()),
    }
    print(f"ready {found['ready']} s, {found['megabytes']} MB", flush=True)
    print(f"    1 client   {found['one']}\n    {CLIENTS} clients {found['many']}", flush=True)
    return found


def load(running: Running, file: Path, **options: float) -> dict[str, Any]:
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, str(HERE / "service_load.py"), running.url, str(file), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def soak(running: Running, small: Path, requests: int) -> dict[str, Any]:
    """Memory now and then over many small requests; the first tenth warms up."""
    parts, memory = 10, []
    statuses: dict[str, int] = {}
    for _ in range(parts):
        found = load(running, small, clients=8, requests=requests // parts)
        for status, count in found["statuses"].items():
            statuses[status] = statuses.get(status, 0) + count
        memory.append(round(running.megabytes("VmRSS")))
    return {"requests": requests, "statuses": statuses, "megabytes": memory}


def judged(found: dict[str, Any]) -> dict[str, bool]:
    ours, theirs, over, soaked = (found[key] for key in ("handlens", "peer", "overload", "soak"))
    rate, tail = ours["many"]["rate"] / theirs["many"]["rate"], theirs["many"]["p99"] / ours["many"]["p99"]
    share = ours["many"]["rate"] / found["bare"]
    slower = over["p99"] / ours["many"]["p99"]
    verdicts = {
        f"requests a second {rate:.2f} times the peer's (2.5)": rate >= 2.5,
        f"p99 1/{tail:.2f} of the peer's (1/2.5)": tail >= 2.5,
        f"memory {ours['megabytes']} MB (500)": ours["megabytes"] <= 500,
        f"ready in {ours['ready'] / theirs['ready']:.2f} of the peer's time (0.25)": ours["ready"]
        <= theirs["ready"] / 4,
        f"{100 * share:.0f} % of the bare rate (85)": share >= 0.85,
        f"overload: {over['statuses']}": set(over["statuses"]) <= {"200", "429", "503"}
        and not over["without_retry_after"],
        f"overload: p99 {slower:.2f} times that of {CLIENTS} clients (3)": slower <= 3,
    }
    if soaked:
        first, last = soaked["megabytes"][1], soaked["megabytes"][-1]
        verdicts[f"soak: {first} to {last} MB"] = last <= 1.05 * first
        verdicts[f"soak: {soaked['statuses']}"] = set(soaked["statuses"]) == {"200"}
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
