"""Fixtures of the tests of the page, which name this module as a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service.visiting import CHROMIUM, FLAGS, Visit, sync_api


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def visits(browser: Any, address: str) -> Iterator[Any]:
    """Makes visits; in the end nothing was asked of another host."""
    made: list[Visit] = []

    def visit(**options: Any) -> Visit:
        made.append(Visit(browser, address, **options))
        return made[-1]

    yield visit
    for one in made:
        one.context.close()
        outside = [url for url in one.asked if not url.startswith((f"{address}/", f"blob:{address}/"))]
        assert outside == []
