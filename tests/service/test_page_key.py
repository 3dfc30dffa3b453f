"""A service with keys: the page asks for one and keeps it for its tab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.keys import new_key
from handlens.service.settings import Settings
from service.running import running
from service.visiting import Visit, expect, needs_chromium

pytest_plugins = ["service.browsing"]
pytestmark = needs_chromium
KEY, LINE = new_key()


@pytest.fixture
def locked(browser: Any, identifier: Identifier) -> Iterator[Visit]:
    with running(create_app(identifier, Settings(keys=(LINE,)))) as address:
        visit = Visit(browser, address)
        yield visit
        visit.context.close()


def test_a_key_is_asked_for_and_kept_in_the_tab(locked: Visit) -> None:
    page = locked.page
    expect(page.locator("#key-form")).to_be_hidden()
    locked.choose()
    expect(page.locator("#error-title")).to_have_text("The server asks for a key")
    expect(page.locator("#retry")).to_be_hidden()
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_label("API key")).to_have_value("")
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#key-form")).to_be_visible()
    page.get_by_label("API key").fill(f" {KEY} ")
    page.get_by_label("API key").press("Enter")
    locked.settled()
    expect(page.locator("#error")).to_be_hidden()
    locked.weighed(lambda: locked.slide(7))
    page.reload()
    locked.identified()
    assert KEY not in page.url
    elsewhere = locked.context.new_page()
    elsewhere.goto(locked.address)
    assert elsewhere.evaluate("() => [sessionStorage.length, JSON.stringify(localStorage).includes('key')]") == [
        0,
        False,
    ]


def test_no_request_has_a_key_where_none_was_entered(visits: Any) -> None:
    visit = visits()
    with visit.page.expect_request("**/v1/identify") as asked:
        visit.choose()
    assert "authorization" not in asked.value.headers
