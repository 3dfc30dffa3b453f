"""The page: what it weighs, and how long after a photo is dropped its answer stands there.

    python benchmarks/page.py [--rounds 9] [--bundle BUNDLE] [--json FILE]

Headless Chromium and `handlens serve` share the machine. In turns, a 12-megapixel JPEG is sent to /v1/identify as a
client does it, and dropped on the page, whose time runs until the answer is shown. Must reach: at most 150 KB (as sent)
until the page stands; a median of at most 1.5 times the bare call's.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Page, expect, sync_playwright

from handlens.evaluation.machine import machine
from service import handlens, jpeg

CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
DROP: Final = """([target, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
  window.shown = new Promise((resolve) => {
    const result = document.getElementById("result");
    const answer = document.getElementById("answer");
    const look = () => {
      const done = answer.getAttribute("aria-busy") === "false" && result.checkVisibility();
      done ? resolve(performance.now() - window.dropped) : requestAnimationFrame(look);
    };
    window.dropped = performance.now();
    target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    requestAnimationFrame(() => requestAnimationFrame(look));
  });
}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bundle", help="another one than the default")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    photo = jpeg(4000, 3000)
    with handlens(options) as running, sync_playwright() as playwright:
        address = f"http://127.0.0.1:{running.port}"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        kilobytes = weight(browser.new_page(), address)
        bare, page = [], []
        for number in range(options.rounds + 1):
            bare.append(called(address, photo))
            page.append(dropped(browser, address, photo))
            if number == 0:  # to warm up
                bare.clear()
                page.clear()
        browser.close()
    ratio = statistics.median(page) / statistics.median(bare)
    found = {
        "machine": machine(),
        "kilobytes": round(kilobytes, 1),
        "bare_ms": round(1000 * statistics.median(bare)),
        "page_ms": round(1000 * statistics.median(page)),
        "ratio": round(ratio, 2),
    }
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if ratio <= 1.5 and kilobytes <= 150 else 1


def weight(page: Page, address: str) -> float:
    """Kilobytes of all bodies as they were sent, until nothing more is asked for."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sent: list[float] = []
    session.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    page.goto(address, wait_until="networkidle")
    page.close()
    return sum(sent) / 1000


def called(address: str, photo: bytes) -> float:
    """Seconds of the bare call."""
    begun = time.perf_counter()
    with httpx.Client(base_url=address, timeout=60) as client:
        client.post("/v1/identify", files={"photos": ("photo.jpg", photo)}).raise_for_status()
    return time.perf_counter() - begun


def dropped(browser: Any, address: str, photo: bytes) -> float:
    """Seconds from the drop until the answer is shown, on a page of its own."""
    page = browser.new_page()
    page.goto(address, wait_until="networkidle")
    target = page.locator("body").element_handle()
    page.evaluate(DROP, [target, base64.b64encode(photo).decode()])
    seconds = page.evaluate("() => window.shown") / 1000
    expect(page.locator("#decision")).not_to_be_empty()
    page.close()
    return float(seconds)


if __name__ == "__main__":
    if not Path(CHROMIUM).exists():
        sys.exit(f"{CHROMIUM} is not there: apt-get install chromium")
    sys.exit(main())
