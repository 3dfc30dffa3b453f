"""Uploads that are not what they should be: nothing but answers of the contract, and bombs cost little.

    python benchmarks/service_fuzz.py [--uploads 10000] [--seed 0] [--bundle BUNDLE] [--json FILE]

A `handlens serve` of its own gets, over four connections,

    files    odd, cut and flipped image files (tests/odd_files.py) to /v1/identify, /v1/identify/batch and /predict/
    bodies   good forms and JSON with bytes flipped, cut, doubled, inserted, and headers that do not fit them

and then, one at a time and watched for time and memory, bombs: PNG, GIF, TIFF, JPEG, WebP, BMP and HEIC that unfold or
claim to, gzip and zip archives, and a chunked body of 4 GB. Must reach: no 5xx, the same process alive; every bomb
refused within 1 s and 100 MB of memory beyond what it had.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import http.client
import io
import json
import random
import socket
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))

import odd_files  # noqa: E402
from handlens.evaluation.machine import machine  # noqa: E402
from service import Running, handlens  # noqa: E402

CLIENTS: Final = 4
BOUNDARY: Final = b"----between-the-parts"
FORM: Final = "multipart/form-data; boundary=" + BOUNDARY.decode()
JSON: Final = "application/json"
IDENTIFY, BATCH, PREDICT, REWEIGH = "/v1/identify", "/v1/identify/batch", "/predict/", "/v1/reweigh"
CHUNKED: Final = 4 * 2**30


@dataclass(frozen=True)
class Upload:
    """One request."""

    name: str
    path: str
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", help="another one than the default")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    with handlens(options) as running:
        begun = time.perf_counter()
        statuses, failed = send_all(running.port, uploads(options.uploads, options.seed))
        seconds = time.perf_counter() - begun
        print(f"{sum(statuses.values())} uploads in {seconds:.0f} s: {dict(sorted(statuses.items()))}", flush=True)
        for name in failed[:20]:
            print(f"    {name}")
        bombs = [watched(running, bomb) for bomb in bomb_uploads()]
        bombs += [chunked(running, *start) for start in endless()]
        for one in bombs:
            print(f"{one['status']}  {one['seconds']:6.3f} s  {one['megabytes']:+6.1f} MB  {one['name']}")
        is_alive = running.process.poll() is None and answered(running.port) == http.client.OK
    verdicts = {
        "no answer beyond 4xx": not failed and all(status < 500 for status in statuses),
        "the same process answers": is_alive,
        "every bomb is refused": all(400 <= one["status"] < 500 for one in bombs),
        "every bomb within 1 s": max(one["seconds"] for one in bombs) <= 1,
        "every bomb within 100 MB": max(one["megabytes"] for one in bombs) <= 100,
    }
    for line, reached in verdicts.items():
        print(f"{'yes' if reached else 'NO '}  {line}")
    if options.json:
        found = {"machine": machine(), "seed": options.seed, "statuses": statuses, "bombs": bombs, "reached": verdicts}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if all(verdicts.values()) else 1


# What is sent.


def uploads(count: int, seed: int) -> Iterator[Upload]:
    """Files first, bodies then, half and half."""
    chance = random.Random(seed)
    files = [(one.name, one.data) for one in odd_files.generate(seed, count // 2)]
    for number, (name, data) in enumerate(files):
        match number % 3:
            case 0:
                yield Upload(name, IDENTIFY, form((name, data)), FORM)
            case 1:
                yield Upload(name, PREDICT, predict(data), JSON)
            case _:
                others = [chance.choice(files) for _ in range(chance.randrange(3))]
                yield Upload(name, BATCH, form((name, data), *others), FORM)
    good = odd_files.encode(odd_files.Image.fromarray(odd_files.picture()), "JPEG")
    fields = {"top": "3", "hardness": "3±0.5", "crop": "0,0,64,48", "rotate": "90", "test": "acid=none", "lang": "es"}
    reweigh = json.dumps({"scores": {"quartz": 0.5, "calcite": 0.5}, "hardness": "7", "top": 2}).encode()
    kinds = (
        (IDENTIFY, form(("a.jpg", good), **fields), FORM),
        (BATCH, form(("a.jpg", good), ("b.jpg", good), top="2"), FORM),
        (PREDICT, predict(good), JSON),
        (REWEIGH, reweigh, JSON),
    )
    for number in range(count - len(files)):
        path, body, content_type = chance.choice(kinds)
        headers = odd_headers(chance) if chance.random() < 0.1 else {}
        kind = odd_type(chance, content_type) if chance.random() < 0.15 else content_type
        yield Upload(f"body {number} to {path}", path, changed(body, chance), kind, headers)


def form(*photos: tuple[str, bytes], **fields: str) -> bytes:
    parts = [
        b'Content-Disposition: form-data; name="photos"; filename="%s"\r\n\r\n%s' % (name.encode(), data)
        for name, data in photos
    ]
    parts += [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode() for name, text in fields.items()]
    return b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY, part) for part in parts) + b"--%s--\r\n" % BOUNDARY


def predict(data: bytes) -> bytes:
    return json.dumps({"image_base64": base64.b64encode(data).decode()}).encode()


def changed(body: bytes, chance: random.Random) -> bytes:
    """The body after one to four changes, more often near its beginning, where its structure is."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        reach = len(data) if chance.random() < 0.4 else min(len(data), 400)
        at = chance.randrange(reach) if reach else 0
        match chance.randrange(7):
            case 0 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at] = chance.choice(b"\x00\r\n\"'\\{}[]-;=:,\xff9")
            case 2:
                del data[at : at + chance.randrange(1, 60)]
            case 3:
                data[at:at] = data[at : at + chance.randrange(1, 200)]
            case 4:
                data[at:at] = chance.randbytes(chance.randrange(1, 40))
            case 5:
                del data[chance.randrange(len(data) + 1) :]
            case _:
                data[at:at] = chance.choice(
                    (b"\r\n", b"--" + BOUNDARY, b"\r\n--" + BOUNDARY + b"--\r\n", b"1e999", b"null")
                )
    return bytes(data)


def odd_type(chance: random.Random, content_type: str) -> str:
    return chance.choice(
        (
            "text/plain",
            "application/octet-stream",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="' + "x" * 300 + '"',
            content_type + "; charset=utf-16",
            content_type + "; charset=none-such",
            content_type.upper(),
            "application/json; boundary=x",
            "x" * 2000,
        )
    )


def odd_headers(chance: random.Random) -> dict[str, str]:
    return chance.choice(
        (
            {"Content-Encoding": "gzip"},
            {"Transfer-Encoding": "gzip"},
            {"Accept": "text/html;q=x"},
            {"Accept-Encoding": "gzip;q=9999, *;q=-1"},
            {"Range": "bytes=0-5"},
            {"Authorization": "Bearer " + "\xff" * 50},
            {"X-Request-ID": "a" * 3000},
            {"X-Forwarded-For": "::1, 999.1.1.1, \xe9"},
            {"Origin": "null"},
            {"Expect": "200-ok"},
            {"Cookie": "a=b; " * 200},
            {"If-None-Match": "*"},
        )
    )


# Sending.


def send_all(port: int, wanted: Iterator[Upload]) -> tuple[Counter[int], list[str]]:
    """How often which status came (0: none), and the uploads that got none or one of 5xx."""
    queue: SimpleQueue[Upload] = SimpleQueue()
    for one in wanted:
        queue.put(one)
    statuses: Counter[int] = Counter()
    failed: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            try:
                one = queue.get_nowait()
            except Empty:
                return
            status = sent(port, one)
            with lock:
                statuses[status] += 1
                if status == 0 or status >= http.client.INTERNAL_SERVER_ERROR:
                    failed.append(f"{status} {one.name}")

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses, failed


def sent(port: int, one: Upload) -> int:
    """The status; 0 where the connection broke without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", one.path, one.body, {"Content-Type": one.content_type, **one.headers})
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def answered(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


# Bombs.


def bomb_uploads() -> Iterator[Upload]:
    """What unfolds to far more than it is, or says so: to all three routes."""
    zeros = bytes(200_000_000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", zeros)
    files = {one.name: one.data for one in odd_files.bombs() if "image-too-small" not in (one.expected or ())}
    files |= {"archive.zip": out.getvalue(), "zeros.jpg.gz": gzip.compress(zeros)}
    for name, data in files.items():
        yield Upload(f"{name} to {IDENTIFY}", IDENTIFY, form((name, data)), FORM)
        yield Upload(f"{name} to {PREDICT}", PREDICT, predict(data), JSON)
    packed = gzip.compress(form(("a.jpg", zeros)))
    yield Upload("a compressed form", IDENTIFY, packed, FORM, {"Content-Encoding": "gzip"})
    yield Upload("nested JSON", PREDICT, b"[" * 5_000_000, JSON)
    yield Upload("many fields", IDENTIFY, form(*[("a.jpg", b"")] * 3, **{f"f{n}": "" for n in range(100_000)}), FORM)


def watched(running: Running, bomb: Upload) -> dict[str, Any]:
    with memory(running) as extra:
        begun = time.perf_counter()
        status = sent(running.port, bomb)
        seconds = time.perf_counter() - begun
    return {"name": bomb.name, "status": status, "seconds": round(seconds, 3), "megabytes": extra()}


def endless() -> Iterator[tuple[str, str, bytes]]:
    """Bodies that begin well and never end: path, content type, beginning."""
    photo = form(("a.jpg", b"\xff\xd8\xff")).removesuffix(b"\r\n--%s--\r\n" % BOUNDARY)
    yield IDENTIFY, FORM, photo
    yield BATCH, FORM, photo
    yield PREDICT, JSON, b'{"image_base64": "'
    yield REWEIGH, JSON, b'{"scores": {"'


def chunked(running: Running, path: str, content_type: str, start: bytes) -> dict[str, Any]:
    """`start` and 4 GB in chunks of 1 MiB; the time until the refusal is read."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n".encode()
    head += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(start), start)
    piece = b"100000\r\n" + b"A" * 2**20 + b"\r\n"
    with memory(running) as extra, socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection:
        begun, status, left = time.perf_counter(), 0, CHUNKED // 2**20
        connection.sendall(head)
        connection.settimeout(0.0005)
        while not status and left:
            view, left = memoryview(piece), left - 1
            while view and not status:
                with contextlib.suppress(TimeoutError):
                    view = view[connection.send(view) :]
                status = peeked(connection)
        seconds = time.perf_counter() - begun
    name = f"4 GB in chunks to {path}, {CHUNKED // 2**20 - left} MB taken"
    return {"name": name, "status": status, "seconds": round(seconds, 3), "megabytes": extra()}


def peeked(connection: socket.socket) -> int:
    """The status of the answer, or 0 while there is none."""
    try:
        return int(connection.recv(64).split()[1])
    except TimeoutError:
        return 0


@contextlib.contextmanager
def memory(running: Running) -> Iterator[Callable[[], float]]:
    """Gives what tells the MB that the process had at most beyond what it had before."""
    Path(f"/proc/{running.process.pid}/clear_refs").write_text("5")  # sets VmHWM to VmRSS
    before = running.megabytes("VmRSS")
    yield lambda: round(running.megabytes("VmHWM") - before, 1)


if __name__ == "__main__":
    sys.exit(main())
