"""The tree of minerals and its names: varieties under species under groups.

`minerals.json`, beside this module, holds the records sorted by name: a line with the names, and a line for each
property (`handlens.minerals.properties`). A record's keys are the fields of `Mineral`, `properties` for `own`; `en` is
left out where it equals `name`, and `synonyms`, `synonyms_es`, `note` and `checked` where they are empty. Change it by
hand, then run scripts/tidy_minerals.py.

Ranks and parents
    A variety stands under a variety, a species, or a group where its species is uncertain (lapis lazuli is a
    rock, rubellite need not be elbaite). A species stands under a group or nothing, a group under a wider
    group or nothing. Names that mineralogists use for a series or root name (biotite, stilbite, hornblende)
    have rank group.

Labels as leaves
    A model's labels are disjoint leaves even where one stands under another: `quartz` means quartz not
    otherwise named, beside `amethyst`; `garnet` (a group) means a garnet whose species is not told, beside
    `almandine`. So the probability of a node is the sum over `descendants(node)`, which includes the node
    itself as a leaf.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, get_args

from handlens.errors import HandlensError
from handlens.minerals import names
from handlens.minerals.properties import Properties, inherited, properties_from
from handlens.minerals.search import ranked

Rank = Literal["variety", "species", "group"]
Language = Literal["en", "es"]

# Read beside the module: importlib.resources costs some 10 ms to import, more than all the rest of loading.
_FILE: Final = Path(__file__).with_name("minerals.json")
_RANKS: Final[tuple[Rank, ...]] = get_args(Rank)
_PARENT_RANKS: Final[dict[Rank, tuple[Rank | None, ...]]] = {
    "variety": ("variety", "species", "group"),
    "species": ("group", None),
    "group": ("group", None),
}
# Characters. Longer text is no name, and comparing it with every name would take long.
_LONGEST_NAME: Final = 100
_MOST_SUGGESTIONS: Final = 3
UNVERIFIED: Final = "unverified"
"""The `source` of a record that says what is generally known and was compared with nothing."""
_NATIVE_WORDS: Final = frozenset({"native", "nativo", "nativa"})


class UnknownMineralError(HandlensError):
    """A name the knowledge base does not know (`unknown-mineral`); `near` has the closest canonical names."""

    code: ClassVar[str] = "unknown-mineral"

    def __init__(self, detail: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.near = near


class KnowledgeBaseError(HandlensError):
    """The records of a knowledge base break its schema or its tree (`bad-knowledge-base`)."""

    code = "bad-knowledge-base"


@dataclass(frozen=True, slots=True)
class Mineral:
    """One record: a variety, species or group and its names.

    `name` is canonical (lower case, as in the photo manifest), `parent` the canonical name one step up or
    None, `en` and `es` the names to show, `synonyms` English, trade and old names, `synonyms_es` Spanish
    ones, `note` one sentence where the name needs it or "", `source` what the facts were compared with
    ("unverified": nothing yet), `checked` the properties that were. `own`: the properties that its record
    gives, as JSON has them; `KnowledgeBase.properties` reads them, with those it takes from above.
    """

    name: str
    rank: Rank
    parent: str | None
    en: str
    es: str
    synonyms: tuple[str, ...] = ()
    synonyms_es: tuple[str, ...] = ()
    note: str = ""
    source: str = UNVERIFIED
    checked: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict, compare=False)


class KnowledgeBase:
    """All records, by canonical name, with the tree above and below each.

    Iteration gives the records sorted by name; `in` and `get` take canonical names, `find` takes what people
    type. Every method that takes a `name` raises UnknownMineralError for one that is not canonical.

    Made from records, it raises KnowledgeBaseError when names repeat, a parent is missing or of a rank not
    allowed, or parents form a ring.
    """

    def __init__(self, records: Iterable[Mineral]) -> None:
        self._records: dict[str, Mineral] = {}
        for record in sorted(records, key=lambda record: record.name):
            if record.name in self._records:
                raise KnowledgeBaseError(f"two records are named {record.name!r}")
            self._records[record.name] = record
        self._ancestors = {name: self._path_up(name) for name in self._records}
        self._properties: dict[str, Properties] = {}

    @classmethod
    def load(cls) -> KnowledgeBase:
        """The knowledge base that ships with the package; read once, then shared.

        Raises KnowledgeBaseError naming the record and field when the file breaks the schema.
        """
        return _load()

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[Mineral]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def get(self, name: str) -> Mineral:
        """The record of an exact canonical name."""
        try:
            return self._records[name]
        except KeyError:
            raise self._unknown(name) from None

    def find(self, text: str) -> Mineral:
        """The record that `text`, as a person or a museum label writes it, means.

        Case, accents, hyphens, underscores, spaces and apostrophes do not matter; English and Spanish names
        and synonyms, their plurals, inverted names ("quartz, smoky") and names with "group", "series" or
        "native" are known. Where several names stand together ("Quartz (Var: Amethyst)", "almandine garnet")
        the most exact one is meant, and all the others must be above it in the tree.

        Raises UnknownMineralError, with near matches, when nothing fits or the names contradict each other.
        """
        found = self.meant(text)
        if found is None:
            raise self._unknown(text)
        return found

    def meant(self, text: str) -> Mineral | None:
        """The record that `find` gives, None where it has none, and nothing is looked for that may be meant instead."""
        name = self._meant(text)
        return None if name is None else self._records[name]

    def search(self, text: str, limit: int = 10) -> tuple[Mineral, ...]:
        """The records that `text` may mean, best first, at most `limit`; () for nonsense.

        The one that `find` gives comes first. Then those with a name or synonym, English or Spanish, that begins so or
        has the words typed; where there are none, those spelt alike: "amatsita", "flourite".
        """
        if len(text) > _LONGEST_NAME:
            return ()
        meant = self._meant(text)
        known = [meant] if meant else [name for name in map(self._resolve, names.parts(text)) if name]
        found = dict.fromkeys([*known, *ranked(names.key(text), self._spellings)])
        return tuple(self._records[name] for name in found)[:limit]

    def ancestors(self, name: str) -> tuple[str, ...]:
        """The names from `name` itself upward: ("agate", "chalcedony", "quartz", "silica group")."""
        return self._ancestors[self.get(name).name]

    def descendants(self, name: str) -> frozenset[str]:
        """The names at or below `name`, itself included: the leaves whose probabilities add up to its own."""
        return self._descendants[self.get(name).name]

    def at_rank(self, name: str, rank: Rank) -> str | None:
        """The nearest of `name` and its ancestors that has `rank`; None where there is none.

        Agate at species is "quartz", garnet at species None, albite at group "plagioclase".
        """
        return next((above for above in self.ancestors(name) if self._records[above].rank == rank), None)

    def species_or_self(self, name: str) -> str:
        """The species of `name`, or `name` itself where it has none: what scoring at species rank compares.

        Groups have none, nor have varieties whose species is uncertain (labradorite, lapis lazuli).
        """
        return self.at_rank(name, "species") or name

    def display(self, name: str, lang: Language) -> str:
        """The name to show in `lang`: lower case, accents and diacritics in place."""
        record = self.get(name)
        return record.es if lang == "es" else record.en

    def properties(self, name: str) -> Properties:
        """What the mineral is like; what its record does not say is that of the nearest one above it that does.

        From a group only a variety without a species takes anything: what is true of a group need not be of a species.
        Raises KnowledgeBaseError where a record breaks the schema.
        """
        if (known := self._properties.get(name)) is None:
            above = [self.get(one) for one in self.ancestors(name)]
            if at := next((place for place, one in enumerate(above) if one.rank == "species"), None):
                above = above[: at + 1]
            elif above[0].rank != "variety":
                above = above[:1]
            known = self._properties[name] = inherited([_read_properties(one) for one in above])
        return known

    def _path_up(self, name: str) -> tuple[str, ...]:
        """`name` and all above it, checking each step."""
        path = [name]
        record = self._records[name]
        while record.parent is not None:
            parent = self._records.get(record.parent)
            if parent is None:
                raise KnowledgeBaseError(f"{record.name!r} has the parent {record.parent!r}, which has no record")
            if parent.rank not in _PARENT_RANKS[record.rank]:
                raise KnowledgeBaseError(
                    f"{record.name!r}, a {record.rank}, cannot stand under {parent.name!r}, a {parent.rank}"
                )
            if parent.name in path:
                raise KnowledgeBaseError(f"the parents of {name!r} form a ring: {' > '.join(path)} > {parent.name}")
            path.append(parent.name)
            record = parent
        if None not in _PARENT_RANKS[record.rank]:
            raise KnowledgeBaseError(f"{record.name!r}, a {record.rank}, needs a parent")
        return tuple(path)

    @cached_property
    def _descendants(self) -> dict[str, frozenset[str]]:
        below: dict[str, set[str]] = {name: set() for name in self._records}
        for name, path in self._ancestors.items():
            for above in path:
                below[above].add(name)
        return {name: frozenset(members) for name, members in below.items()}

    @cached_property
    def _index(self) -> dict[str, str]:
        """`_spellings` without the spaces between words."""
        index: dict[str, str] = {}
        for key, name in self._spellings.items():
            index.setdefault(key.replace(" ", ""), name)
        return index

    @cached_property
    def _spellings(self) -> dict[str, str]:
        """Every known spelling, as a key, to its canonical name; canonical names win."""
        spellings = {names.key(name): name for name in self._records}
        for record in self._records.values():
            for spelling in (record.en, record.es, *record.synonyms, *record.synonyms_es):
                spellings.setdefault(names.key(spelling), record.name)
        return spellings

    def _meant(self, text: str) -> str | None:
        """The canonical name that `text` means; None where nothing fits."""
        if len(text) > _LONGEST_NAME:
            return None
        key = names.key(text)
        name = self._resolve(key) or self._resolve_parts(names.parts(text))
        return name or next(filter(None, map(self._resolve_parts, names.cuts(key))), None)

    def _resolve(self, key: str) -> str | None:
        """The canonical name that one key means, with the second tries."""
        if not key:
            return None
        # Without spaces, so that "tigereye", "tiger eye" and "Rose-Quartz" need no synonyms of their own.
        for tried in (key, *names.singulars(key)):
            name = self._index.get(tried.replace(" ", ""))
            if name is not None:
                return name
        return self._resolve_group(key) or self._resolve_native(key)

    def _resolve_group(self, key: str) -> str | None:
        rest = names.without_group_word(key)
        if rest is None:
            return None
        for tried in (rest, *names.singulars(rest)):
            name = self._index.get(tried.replace(" ", ""))
            if name is None:
                continue
            # "Calcite supergroup" must not come out as the species calcite.
            if self._records[name].rank == "group":
                return name
            if f"{name} group" in self._records:
                return f"{name} group"
        return None

    def _resolve_native(self, key: str) -> str | None:
        words = key.split()
        kept = [word for word in words if word not in _NATIVE_WORDS]
        return self._index.get("".join(kept)) if len(kept) < len(words) else None

    def _resolve_parts(self, parts: tuple[str, ...]) -> str | None:
        """The most exact of several names that all stand on one line of the tree."""
        inverted = self._resolve(" ".join(reversed(parts)))
        if inverted is not None:
            return inverted
        found = [name for name in map(self._resolve, parts) if name is not None]
        if not found or len(found) < len(parts):
            return None
        exact = max(found, key=lambda name: len(self._ancestors[name]))
        return exact if set(found) <= set(self._ancestors[exact]) else None

    def _unknown(self, text: str) -> UnknownMineralError:
        if len(text) > _LONGEST_NAME:
            return UnknownMineralError(f"{text[:40]!r}… is too long for the name of a mineral")
        near = self._near(text)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return UnknownMineralError(f"{text!r} is not a mineral in the knowledge base{hint}", near)

    def _near(self, text: str) -> tuple[str, ...]:
        return tuple(record.name for record in self.search(text, _MOST_SUGGESTIONS))


@cache
def _load() -> KnowledgeBase:
    try:
        rows = json.loads(_FILE.read_bytes())
    except ValueError as error:
        raise KnowledgeBaseError(f"{_FILE.name} is not valid JSON: {error}") from error
    if not isinstance(rows, list):
        raise KnowledgeBaseError(f"{_FILE.name} must hold a list of records")
    return KnowledgeBase(_record(row, place) for place, row in enumerate(rows, start=1))


def _record(row: object, place: int) -> Mineral:
    """One record from its JSON object, number `place` in the file."""
    if not isinstance(row, dict):
        raise KnowledgeBaseError(f"record {place} is not an object")
    fields = dict(row)
    where = f"record {place} ({fields.get('name')!r})"

    def text(field: str, default: str | None = None) -> str:
        value = fields.pop(field, default)
        if not isinstance(value, str) or not (value or default == ""):
            raise KnowledgeBaseError(f"{where}: {field!r} must be a text that is not empty, not {value!r}")
        return value

    def texts(field: str) -> tuple[str, ...]:
        value = fields.pop(field, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise KnowledgeBaseError(f"{where}: {field!r} must be a list of texts, not {value!r}")
        return tuple(value)

    name, typed_rank = text("name"), text("rank")
    rank = next((rank for rank in _RANKS if rank == typed_rank), None)
    if rank is None:
        raise KnowledgeBaseError(f"{where}: 'rank' must be one of {', '.join(_RANKS)}, not {typed_rank!r}")
    if "parent" not in fields:
        raise KnowledgeBaseError(f"{where}: 'parent' is missing (null where there is none)")
    mineral = Mineral(
        name=name,
        rank=rank,
        parent=None if fields["parent"] is None else text("parent"),
        en=text("en", name),
        es=text("es"),
        synonyms=texts("synonyms"),
        synonyms_es=texts("synonyms_es"),
        note=text("note", ""),
        source=text("source"),
        checked=texts("checked"),
        own=_object(fields.pop("properties", {}), where),
    )
    fields.pop("parent", None)
    if (mineral.source == UNVERIFIED) != (not mineral.checked):
        raise KnowledgeBaseError(f"{where}: 'checked' names what was compared with the source, where there is one")
    if unknown := [one for one in mineral.checked if one not in Properties.__dataclass_fields__]:
        raise KnowledgeBaseError(f"{where}: 'checked' has {unknown[0]!r}, which is no property")
    if fields:
        raise KnowledgeBaseError(f"{where}: unknown field {sorted(fields)[0]!r}")
    return mineral


def _object(stored: object, where: str) -> Mapping[str, Any]:
    if not isinstance(stored, dict):
        raise KnowledgeBaseError(f"{where}: 'properties' must be an object, not {stored!r}")
    return stored


def _read_properties(mineral: Mineral) -> Properties:
    try:
        return properties_from(mineral.own)
    except ValueError as error:
        raise KnowledgeBaseError(f"the record of {mineral.name!r}: {error}") from error
