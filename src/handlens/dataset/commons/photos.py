"""One page of an answer read into a photo with its rights, or into the reason to leave it out."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from handlens.dataset.commons.rules import PHOTO_TYPES, Subject
from handlens.dataset.commons.settings import CommonsSettings
from handlens.dataset.licences import family_of, needs_author

__all__ = ["METADATA", "CommonsPhoto", "LeftOut", "read_photo", "text_of"]

METADATA: Final = (
    "Artist", "Attribution", "Categories", "Credit", "LicenseShortName", "LicenseUrl", "NonFree", "UsageTerms",
)  # fmt: skip
"""The fields of `extmetadata` that are used (Commons:Machine-readable data, Extension:CommonsMetadata)."""

_LONGEST: Final = 500
"""Characters of an author or a credit line."""
_NOT_SHOWN: Final = frozenset({"script", "style", "template", "noscript"})
_EMPTY: Final = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})


@dataclass(frozen=True, slots=True)
class CommonsPhoto:
    """A photo to list. `others`: further minerals that its name and categories name; `licence` as Commons writes it."""

    url: str
    title: str
    page: str
    author: str
    licence: str
    licence_url: str
    credit: str
    sha1: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or category that is not taken: a word of `rules.REASONS`, and what it was seen by."""

    title: str
    reason: str
    seen_by: str


def read_photo(page: dict[str, Any], subject: Subject, settings: CommonsSettings) -> CommonsPhoto | LeftOut:
    """Judges one file by its type, size, licence, name and categories, in this order."""
    title = str(page.get("title", "")).removeprefix("File:")
    info = next(iter(page.get("imageinfo") or ()), None)
    if not isinstance(info, dict) or not info.get("url") or page.get("missing") or info.get("filemissing"):
        return LeftOut(title, "no-file", "")
    if (mime := str(info.get("mime", ""))) not in PHOTO_TYPES:
        return LeftOut(title, "format", mime)
    width, height = _whole(info.get("width")), _whole(info.get("height"))
    if min(width, height) < settings.min_side:
        return LeftOut(title, "too-small", f"{width}x{height}")
    told = _metadata(info)
    licence, licence_url = text_of(told["LicenseShortName"]), _address(told["LicenseUrl"])
    family = family_of(licence, licence_url)
    if family not in settings.licences or family is None or told["NonFree"].strip().lower() in ("true", "1"):
        return LeftOut(title, "licence", licence or text_of(told["UsageTerms"]))
    author = text_of(told["Artist"])
    asked_credit = text_of(told["Attribution"])
    if needs_author(family) and not (author or asked_credit):
        return LeftOut(title, "no-author", licence)
    categories = [name.strip() for name in told["Categories"].split("|") if name.strip()]
    if (judged := subject.why_not_photo(title, categories)) is not None:
        return LeftOut(title, *judged)
    return CommonsPhoto(
        url=_without_tracking(str(info.get("thumburl") or info["url"])),
        title=title,
        page=str(info.get("descriptionurl") or ""),
        author=author or asked_credit,
        licence=licence,
        licence_url=licence_url,
        credit=asked_credit or text_of(told["Credit"]),
        sha1=str(info.get("sha1") or ""),
        others=subject.others(title, categories),
    )


def text_of(html: str) -> str:
    """The text that a browser would show of a piece of HTML: no tags, scripts or hidden parts, one line, cut short."""
    reader = _Shown()
    reader.feed(html)
    reader.close()
    text = " ".join("".join(reader.shown).split())
    text = "".join(char for char in text if char.isprintable())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class _Shown(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        style = "".join((dict(attrs).get("style") or "").lower().split())
        if tag in _EMPTY:
            self.shown.append(" ")
        elif self._hidden or tag in _NOT_SHOWN or "display:none" in style:
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag in ("p", "div", "li", "td", "tr"):
            self.shown.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.shown.append(data)


def _metadata(info: dict[str, Any]) -> dict[str, str]:
    """The fields of METADATA as text, "" where one is missing; the API gives [] in place of an empty object."""
    given = info.get("extmetadata")
    fields = given if isinstance(given, dict) else {}
    values = {name: fields.get(name) for name in METADATA}
    return {name: str(value.get("value", "")) if isinstance(value, dict) else "" for name, value in values.items()}


def _address(given: str) -> str:
    given = given.strip()
    if given.startswith("//"):
        given = f"https:{given}"
    return given if given.startswith(("http://", "https://")) and " " not in given and given.isprintable() else ""


def _without_tracking(url: str) -> str:
    """The address without the `utm_…` parameters that the API adds to it: they say who asked, not what."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, True) if not name.startswith("utm_")]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
