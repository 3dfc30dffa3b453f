"""What file names and categories give away about a picture that is no photo of a natural specimen of one mineral."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from handlens.dataset.labels import LabelReader
from handlens.minerals import Mineral
from handlens.minerals import names as spelling

__all__ = ["PHOTO_TYPES", "REASONS", "Subject"]

PHOTO_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
"""Drawings are SVG, scans TIFF or PDF, animations GIF: what is left are photos, mostly."""

REASONS: Final = {
    "format": "no JPEG, PNG or WebP",
    "too-small": "a side is shorter than asked for",
    "licence": "its licence is not among those asked for, or not told",
    "no-author": "its licence asks for the author's name, which is not told",
    "diagram": "a diagram, chart or spectrum",
    "structure": "a crystal structure or model",
    "drawing": "a drawing, or a scan of a book",
    "map": "a map",
    "micrograph": "a thin section, or seen through a microscope",
    "jewellery": "jewellery, a cut or polished stone",
    "carving": "carved or worked",
    "place": "a mine, landscape or building",
    "object": "a stamp, coin, logo, ...",
    "not-natural": "synthetic, an imitation or a replica",
    "named-more-exactly": "its name or categories name a mineral below this one in the tree",
    "another-mineral": "the category is that of another mineral",
    "not-named": "the category's name does not say that it is about this mineral",
    "no-file": "the page has no file",
}
"""Why a photo or category is left out, in words."""

# Whole words, as `minerals.names.key` writes them.
_WORDS: Final = {
    "diagram": "diagram diagrams chart charts graph graphs plot spectrum spectra raman xrd diffractogram diffraction "
    "infographic table scheme schema stabilitetsdiagramm",
    "structure": "structure structures lattice molecule molecules polyhedra polyhedron cif vesta stereogram "
    "kristallstruktur kristallmodell wireframe model models",
    "drawing": "drawing drawings illustration illustrations engraving engravings lithograph painting paintings sketch "
    "clipart rendering",
    "map": "map maps karte mapa carte",
    "micrograph": "micrograph micrographs photomicrograph photomicrographs microscope microscopy microscopic sem ppl "
    "xpl cpl dunnschliff mikroskop magnification",
    "jewellery": "jewelry jewellery jewelery jewel jewels necklace necklaces pendant pendants earring earrings brooch "
    "brooches bracelet bracelets tiara tiaras ring faceted facetted cabochon cabochons polished tumbled beads bead "
    "schmuck brilliant rosary",
    "carving": "carving carvings carved sculpture sculptures statue statues statuette figurine figurines vase vases "
    "bowl bowls amulet amulets cameo cameos intaglio intaglios scarab netsuke snuff tabletop mosaic column columns "
    "altar mask",
    "place": "landscape landscapes quarry quarries headframe panorama aerial outcrop outcrops cave caves building "
    "buildings church smelter mining miners miner",
    "object": "logo logos icon icons flag flags stamp stamps coin coins banknote banknotes medal medals portrait "
    "packaging bottle powder tablet pigment",
    "not-natural": "synthetic artificial imitation fake simulant replica replicas",
}
_PHRASES: Final = {
    "structure": ("unit cell", "ball and stick", "space group"),
    "drawing": ("book images", "images from books", "scans from", "plates from"),
    "micrograph": ("thin section", "thin sections", "scanning electron", "polarized light"),
    "jewellery": ("cut gems", "cut gemstones", "gemstone cuts", "cut diamonds", "cut stone", "set with"),
    "carving": ("made of", "artifacts", "hardstone"),
    "place": ("mine entrance", "open pit", "mines in", "mines of", "mines by", "geology of", "views of"),
    "object": ("coat of arms",),
    "not-natural": ("lab grown", "man made"),
}
# Words that say too much in a category ("Pages with maps" holds every file with coordinates).
_NOT_IN_CATEGORIES: Final = frozenset({"map", "maps", "table", "column", "mask"})
# Words that in a file's name are most often part of a locality.
_NOT_IN_FILE_NAMES: Final = frozenset({"quarry", "mining", "cave", "church"})
# Categories in which Commons keeps house: how a file was made, sent, reviewed.
_HOUSEKEEPING: Final = (
    "files ", "media ", "pages ", "images with ", "images by ", "taken with ", "uploaded ", "photographs by ", "self ",
    "cc ", "gfdl", "pd ", "quality images", "featured pictures", "valued images", "flickr", "license ", "licence ",
)  # fmt: skip
_MOST_WORDS: Final = 4
_MINE_WORDS: Final = ("mine", "mines", "mining", "quarry", "quarries", "pit")


@dataclass(frozen=True)
class Subject:
    """The mineral that is looked for."""

    mineral: Mineral
    reader: LabelReader

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What its category may be called: the canonical name, the English one and English synonyms."""
        given = (self.mineral.name, self.mineral.en, *self.mineral.synonyms)
        return tuple(dict.fromkeys(name[:1].upper() + name[1:] for name in given))

    def why_not_category(self, name: str) -> str | None:
        """Why a subcategory is not gone into; None for one of photos of this mineral."""
        if (reason := _of_category(name)) is not None:
            return reason
        named = self.reader.read(name).names
        if named == (self.mineral.name,):
            return None
        if any(name in self.reader.minerals for name in named):
            return "another-mineral"
        return None if self._is_named_in(spelling.key(name)) else "not-named"

    def why_not_photo(self, file_name: str, categories: Iterable[str]) -> tuple[str, str] | None:
        """The reason to leave a photo out and what gives it away; None for a photo to take."""
        stem = spelling.key(file_name.rsplit(".", 1)[0])
        if (reason := _by_words(stem, _NOT_IN_FILE_NAMES) or self._by_mine(stem)) is not None:
            return reason, file_name
        for category in categories:
            if (reason := _of_category(category)) is not None:
                return reason, category
        below = self.reader.minerals.descendants(self.mineral.name) - {self.mineral.name}
        for name, said in self._minerals_of(file_name, categories):
            if name in below:
                return "named-more-exactly", said
        return None

    def others(self, file_name: str, categories: Iterable[str]) -> tuple[str, ...]:
        """The other minerals that a photo's name and categories name, without those above this one in the tree."""
        above = self.reader.minerals.ancestors(self.mineral.name)
        return tuple(dict.fromkeys(name for name, _ in self._minerals_of(file_name, categories) if name not in above))

    def _minerals_of(self, file_name: str, categories: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Minerals named, with what names them.

        A file's name names all that stand between its marks ("Barite-Sphalerite-elm37a", "Quartz with Malachite (1)"),
        a category only what it is about: "Malachite", not "Malachite Hill".
        """
        stem = file_name.rsplit(".", 1)[0].replace("_", " ")
        yield from (
            (name, file_name) for name in self.reader.read(stem.replace("-", ", ")).names if self._is_mineral(name)
        )
        for category in categories:
            key = spelling.key(category)
            if key.startswith(_HOUSEKEEPING) or len(key.split()) > _MOST_WORDS:  # most are; reading them takes long
                continue
            named = self.reader.read(category)
            if not named.unknown:
                yield from ((name, category) for name in named.names)

    def _is_named_in(self, key: str) -> bool:
        words = f" {key} "
        return any(f" {form} " in words for name in self.names for form in _forms(spelling.key(name)))

    def _is_mineral(self, name: str) -> bool:
        return name in self.reader.minerals or (name.isalpha() and name.endswith("ite"))

    def _by_mine(self, stem: str) -> str | None:
        """A photo of a copper mine is none of copper."""
        words = f" {stem} "
        mine = any(f" {spelling.key(name)} {word} " in words for name in self.names for word in _MINE_WORDS)
        return "place" if mine else None


def _forms(key: str) -> tuple[str, str]:
    return key, f"{key}s"


def _of_category(name: str) -> str | None:
    key = spelling.key(name)
    return None if key.startswith(_HOUSEKEEPING) else _by_words(key, _NOT_IN_CATEGORIES)


def _by_words(key: str, but: frozenset[str]) -> str | None:
    text = f" {key} "
    for reason, phrases in _PHRASES.items():
        if any(f" {phrase} " in text for phrase in phrases):
            return reason
    words = set(key.split()) - but
    return next((reason for reason, telling in _TELLING.items() if words & telling), None)


_TELLING: Final = {reason: frozenset(words.split()) for reason, words in _WORDS.items()}
