from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from handlens.identifier import Identifier
from handlens.service import create_app
from service.running import running


@pytest.fixture(scope="session")
def address(identifier: Identifier) -> Iterator[str]:
    with running(create_app(identifier)) as base:
        yield base


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as connected:
        yield connected
