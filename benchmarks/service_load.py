"""A load client of its own process: posts one body over and over and writes what it saw as JSON.

    python benchmarks/service_load.py URL BODY --clients 16 --seconds 20 [--rate 30]

Without `--rate` every client sends its next request when it has the answer (closed loop). With it requests begin at
that rate whatever the answers do (open loop), so that a service that falls behind is seen to.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import threading
import time
from collections import Counter
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

IDLE = 3.0
"""Seconds after which a connection is not used again."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("body", type=Path)
    parser.add_argument("--content-type", default="application/json")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--requests", type=int, help="in place of --seconds")
    parser.add_argument("--rate", type=float, help="requests a second, begun whatever the answers do")
    options = parser.parse_args()
    load = Load(options)
    threads = [threading.Thread(target=load.client, daemon=True) for _ in range(options.clients)]
    for thread in threads:
        thread.start()
    if options.rate:
        load.pace(options.rate, options.seconds)
    for thread in threads:
        thread.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps(load.found() | {"client_cpu": round(used.ru_utime + used.ru_stime, 2)}))


class Load:
    """What all clients share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options, self._body = options, options.body.read_bytes()
        self._at = urlsplit(options.url)
        self._turns: SimpleQueue[bool] = SimpleQueue()
        self._lock = threading.Lock()
        self._left = options.requests
        self._begun = time.perf_counter()
        self.rows: list[tuple[int, float, float, bool]] = []

    def pace(self, rate: float, seconds: float) -> None:
        """Gives the clients their turns."""
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, self._begun + number / rate - time.perf_counter()))
            self._turns.put(True)
        for _ in range(self._options.clients):
            self._turns.put(False)

    def client(self) -> None:
        """Sends until there is no turn left."""
        connection: http.client.HTTPConnection | None = None
        used = 0.0
        while self._more():
            start, status, retry = time.perf_counter(), 0, False
            try:
                if connection and start - used > IDLE:  # the service may be about to close it
                    connection.close()
                    connection = None
                connection = connection or http.client.HTTPConnection(self._at.netloc, timeout=120)
                connection.request("POST", self._at.path, self._body, {"Content-Type": self._options.content_type})
                response = connection.getresponse()
                response.read()
                status, retry = response.status, response.getheader("Retry-After") is not None
                if response.will_close:
                    connection = None
            except (OSError, http.client.HTTPException):
                connection = None
            used = time.perf_counter()
            with self._lock:
                self.rows.append((status, start, time.perf_counter(), retry))

    def _more(self) -> bool:
        if self._options.rate:
            return self._turns.get()
        with self._lock:
            if self._left is None:
                return time.perf_counter() < self._begun + self._options.seconds
            self._left -= 1
            return self._left >= 0

    def found(self) -> dict[str, object]:
        """Statuses, the rate of 200s, and their latencies in milliseconds."""
        times = sorted(1000 * (end - start) for status, start, end, _ in self.rows if status == 200)
        spent = max(end for *_, end, _ in self.rows) - min(start for _, start, *_ in self.rows)
        return {
            "statuses": dict(Counter(str(status) for status, *_ in self.rows)),
            "without_retry_after": sum(status in (429, 503) and not retry for status, *_, retry in self.rows),
            "rate": round(len(times) / spent, 2),
            "p50": round(times[len(times) // 2]) if times else None,
            "p99": round(times[min(len(times) - 1, int(0.99 * len(times)))]) if times else None,
            "seconds": round(spent, 1),
        }


if __name__ == "__main__":
    main()
