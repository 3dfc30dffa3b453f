"""Fixtures that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bundles import write_bundle
from handlens.bundle import open_bundle
from handlens.identifier import Identifier

ROOT = Path(__file__).resolve().parent.parent
SHARED_PHOTOS = ROOT.parent / "shared" / "data" / "photos"
"""Real photographs for those who have them; they are not part of the project."""


@pytest.fixture(scope="session")
def identifier() -> Identifier:
    """The bundle that ships, loaded once."""
    return Identifier(open_bundle())  # with its graphs, for those that make others of it


@pytest.fixture(scope="session")
def real_photos() -> Callable[[str, int], list[Path]]:
    """`real_photos(split, count)`: that many real photos, the same every time; skips where there are none."""
    if not SHARED_PHOTOS.is_dir():
        pytest.skip("no real photos here: ../shared/data/photos is not part of the project")

    def choose(split: str, count: int) -> list[Path]:
        files = sorted((SHARED_PHOTOS / split).rglob("*.jpg"))
        places = np.random.default_rng(11).choice(len(files), size=min(count, len(files)), replace=False)
        return [files[place] for place in sorted(places)]

    return choose


@pytest.fixture(scope="session")
def drawn_pictures() -> list[Path]:
    """The drawn example pictures of the repository."""
    pictures = sorted((ROOT / "examples").glob("drawn-*.png"))
    assert pictures, "examples/ holds no drawn picture"
    return pictures


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few kilobytes that names colours, see `bundles`."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_bundle: Path) -> Identifier:
    """The identifier of the tiny bundle."""
    return Identifier(open_bundle(tiny_bundle), threads=1)
