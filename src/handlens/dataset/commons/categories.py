"""The category trees of a mineral on Wikimedia Commons: its own name, its synonyms, and what stands below them.

A tree of categories there is no tree: it has rings, and "Quartz" leads to amethyst, to quarries and to carved bowls. So
the walk goes down only into categories whose name says that they hold this mineral and nothing that a rule leaves out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from handlens.dataset.commons.client import Api
from handlens.dataset.commons.rules import Subject

__all__ = ["Category", "Walk", "find_categories", "walk"]

_PREFIX: Final = "Category:"
_SOFT_REDIRECTS: Final = "Category:Category redirects"
_TITLES_AT_ONCE: Final = 50
"""The API's limit for clients without special rights."""
_MOST_REDIRECTS: Final = 3
_FORBIDDEN: Final = frozenset("#<>[]|{}_")


@dataclass(frozen=True, slots=True)
class Category:
    """A category: `name` without prefix, and how many files and subcategories it says it has."""

    name: str
    files: int
    subcategories: int

    @property
    def title(self) -> str:
        """As the API wants it."""
        return _PREFIX + self.name


@dataclass(frozen=True, slots=True)
class Walk:
    """A step: a category to take photos from, or one that is passed over, with the `reason`."""

    category: Category
    reason: str | None = None


async def find_categories(api: Api, names: Iterable[str]) -> tuple[Category, ...]:
    """The categories that exist under these names, redirects followed, each once. Raises CommonsError."""
    wanted = dict.fromkeys(_PREFIX + name for name in names if name and not _FORBIDDEN & set(name))
    found: dict[str, Category] = {}
    for _ in range(_MOST_REDIRECTS + 1):
        if not wanted:
            break
        soft: list[str] = []
        for titles in _some(wanted):
            async for batch in api.query(
                titles="|".join(titles),
                redirects=1,
                prop="categoryinfo|categories",
                clcategories=_SOFT_REDIRECTS,
                cllimit="max",
            ):
                for page in batch.get("pages", ()):
                    category = _category(page)
                    if page.get("categories"):
                        soft.append(page["title"])
                    elif category is not None and (category.files or category.subcategories):
                        found.setdefault(category.name, category)
        wanted = dict.fromkeys([title for title in await _targets(api, soft) if title not in wanted])
    return tuple(found.values())


async def _targets(api: Api, titles: list[str]) -> list[str]:
    """Where soft redirects (a page with a template that links to the right category) lead."""
    targets: list[str] = []
    for some in _some(titles):
        async for batch in api.query(titles="|".join(some), prop="links", plnamespace=14, pllimit="max"):
            for page in batch.get("pages", ()):
                links = [link["title"] for link in page.get("links", ()) if link.get("title") != _SOFT_REDIRECTS]
                if len(links) == 1:  # several: a person would have to choose
                    targets += links
    return targets


async def walk(api: Api, roots: Iterable[Category], subject: Subject, depth: int) -> AsyncGenerator[Walk, None]:
    """Every category of the trees once, nearest first, down to `depth` levels below the roots. Raises CommonsError."""
    level = list(roots)
    seen = {category.name for category in level}
    for down in range(depth + 1):
        below: list[Category] = []
        for category in level:
            yield Walk(category)
            if down == depth or not category.subcategories:
                continue
            async for sub in _subcategories(api, category):
                if sub.name in seen:
                    continue
                seen.add(sub.name)
                if (reason := subject.why_not_category(sub.name)) is None:
                    below.append(sub)
                else:
                    yield Walk(sub, reason)
        level = below


async def _subcategories(api: Api, category: Category) -> AsyncGenerator[Category, None]:
    async for batch in api.query(
        generator="categorymembers", gcmtitle=category.title, gcmtype="subcat", gcmlimit="max", prop="categoryinfo"
    ):
        for page in batch.get("pages", ()):
            if (found := _category(page)) is not None:
                yield found


def _category(page: dict[str, Any]) -> Category | None:
    """None for a page that is no category, or one that neither exists nor has members."""
    title, info = str(page.get("title", "")), page.get("categoryinfo") or {}
    if not title.startswith(_PREFIX) or page.get("invalid") or (page.get("missing") and not info):
        return None
    return Category(title.removeprefix(_PREFIX), int(info.get("files", 0)), int(info.get("subcats", 0)))


def _some(titles: Iterable[str]) -> Iterator[list[str]]:
    """The titles in lots that one request may ask for."""
    waiting = list(titles)
    for start in range(0, len(waiting), _TITLES_AT_ONCE):
        yield waiting[start : start + _TITLES_AT_ONCE]
