"""Visits to the page in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from service.running import JPEG

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium on this machine")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
DESKTOP, PHONE = {"width": 1200, "height": 850}, {"width": 360, "height": 740}
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
HAZARDOUS: dict[str, Any] = {
    "photo": "a.jpg",
    "decision": {"name": "realgar", "rank": "species", "probability": 0.7},
    "candidates": [{"name": "realgar", "probability": 0.7}, {"name": "wulfenite", "probability": 0.2}],
    "prediction_set": ["realgar", "wulfenite", "galena", "quartz"],
    "unknown_score": 0.3,
    "model": "<b>model</b>",
    "contradictions": [
        {"test": "hardness", "observed": "7±0.5", "mineral": name, "text": f"Hardness 7±0.5 does not fit {name}"}
        for name in ("realgar", "wulfenite", "galena", "calcite", "gypsum")
    ],
    "evidence": {"hardness": "7±0.5"},
    "next_test": {"test": "gravity", "text": "Weigh it in air and in water."},
    "hazards": [
        {"mineral": "realgar", "hazards": ["arsenic", "toxic"]},
        {"mineral": "wulfenite", "hazards": ["lead"]},
        {"mineral": "galena", "hazards": ["lead"]},
    ],
    "scores": {"realgar": 0.7, "wulfenite": 0.3},
}
"""An answer with all that there is to warn of."""


def photo(content: bytes = JPEG, name: str = "a.jpg") -> dict[str, Any]:
    """A file as it is chosen."""
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


class Visit:
    """A page, and what it said and asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**({"locale": "en-GB", "viewport": DESKTOP} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.address = address
        self.page.goto(address)

    def choose(self, content: bytes = JPEG, name: str = "a.jpg") -> None:
        """Chooses one photo, without waiting for the answer."""
        self.page.set_input_files("#choose", photo(content, name))

    def identified(self, content: bytes = JPEG, name: str = "a.jpg") -> None:
        """Chooses one photo and waits for the answer."""
        self.choose(content, name)
        self.settled()

    def settled(self) -> None:
        """Waits until there is an answer and nothing is asked any more."""
        expect(self.page.locator("#result")).to_be_visible()
        expect(self.page.locator("#answer")).to_have_attribute("aria-busy", "false")

    def answer(self, document: dict[str, Any], status: int = 200, path: str = "identify") -> None:
        """Makes the server answer this to photos."""
        self.page.route(f"**/v1/{path}", lambda route: route.fulfill(status=status, json=document))

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(url.endswith(path) for url in self.asked)

    def weighed(self, act: Any) -> dict[str, Any]:
        """Does something that asks `/v1/reweigh`, waits for its answer to be shown, and gives what was sent."""
        with self.page.expect_response("**/v1/reweigh") as replied:
            act()
        self.settled()
        sent: dict[str, Any] = json.loads(replied.value.request.post_data)
        return sent

    def slide(self, value: float) -> None:
        """Moves the slider of the hardness."""
        self.page.locator("#hardness").fill(str(value))

    def tick(self, test: str, answer: str) -> None:
        """Chooses the answer of a test as a person does."""
        more = self.page.locator(f"details:not([open]) #test-{test}")
        if more.count():
            self.page.locator("#more > summary").click()
        self.page.locator(f'#test-{test} label:has(input[value="{answer}"])').click()

    def bars(self) -> list[str]:
        """The names of the candidates, best first, lower case."""
        return [name.lower() for name in self.page.locator("#candidates .name").all_inner_texts()]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return width


def texts(locator: Any) -> Sequence[str]:
    """The texts of all that it finds, without blanks at the ends."""
    return [text.strip() for text in locator.all_inner_texts()]
