"""The knowledge base: its file is consistent, its tree is right, and it finds what people type."""

from __future__ import annotations

import copy
import csv
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from handlens.minerals import (
    KnowledgeBase,
    KnowledgeBaseError,
    Mineral,
    Rank,
    UnknownMineralError,
    knowledge,
    names,
)

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT.parent / "shared" / "data" / "photos" / "manifest.csv"

# The labels of the training split, so that a clone without the photos checks them as well.
TRAIN_LABELS = """
actinolite agate albite almandine amazonite amethyst apatite apophyllite aquamarine aragonite arsenopyrite
augite aventurine azurite babingtonite barite beryl biotite bornite bournonite calcite cassiterite celestine
chalcedony chalcopyrite chrysocolla citrine copper corundum diamond dolomite emerald epidote fluorite galena
garnet goethite gold graphite gypsum halite helvite hematite hornblende ilvaite jasper kaolinite kyanite
labradorite lepidolite limonite magnetite malachite microcline muscovite olivine opal orthoclase pyrite
pyrolusite pyromorphite quartz rhodochrosite rhodonite rose_quartz rutile scheelite selenite siderite silver
smoky_quartz sodalite sphalerite spodumene staurolite stibnite stilbite sulphur talc topaz tourmaline
tremolite turquoise ulexite vanadinite willemite wulfenite zincite zircon
"""


@pytest.fixture(scope="module")
def minerals() -> KnowledgeBase:
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def train_labels() -> tuple[str, ...]:
    return tuple(label.replace("_", " ") for label in TRAIN_LABELS.split())


def manifest_labels(split: str) -> set[str]:
    if not MANIFEST.is_file():
        pytest.skip("no real photos here: their manifest is not beside this checkout")
    with MANIFEST.open(encoding="utf-8", newline="") as file:
        return {row["label"] for row in csv.DictReader(file) if row["split"] == split}


# The file


def test_file_has_records_sorted_by_name_and_fields_in_order() -> None:
    rows = json.loads(Path(knowledge.__file__).with_name("minerals.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == sorted({row["name"] for row in rows})
    order = [*(field for field in Mineral.__slots__ if field != "own"), "properties"]
    for row in rows:
        assert [*row] == [field for field in order if field in row], f"{row['name']}: fields out of order"
        assert row.get("en") != row["name"], f"{row['name']}: en repeats the name"


def test_every_train_label_is_a_record(minerals: KnowledgeBase, train_labels: tuple[str, ...]) -> None:
    assert len(set(train_labels)) == 89
    assert [label for label in train_labels if label not in minerals] == []


def test_train_labels_here_are_those_of_the_manifest(train_labels: tuple[str, ...]) -> None:
    assert set(train_labels) == manifest_labels("train")


def test_every_field_label_is_a_record(minerals: KnowledgeBase) -> None:
    assert sorted(manifest_labels("field") - {record.name for record in minerals}) == []


def test_names_in_the_manifest_are_canonical(minerals: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record named otherwise than the photos' label for the same thing would split the two."""
    # Labels that are themselves two spellings, or a formal name of a record that another label names.
    doubles = {
        "apatite group": "apatite",
        "apophyllite-(kf)": "fluorapophyllite-(k)",
        "baryte (barite)": "barite",
        "chlorite group": "chlorite",
        "fluorapophyllite": "fluorapophyllite-(k)",
        "galena (lead glance)": "galena",
        "hydroxyapatite": "hydroxylapatite",
        "scapolite group": "scapolite",
        "smaltite": "skutterudite",
    }
    # Most of some 2,000 labels are unknown, and suggestions for each would take seconds.
    monkeypatch.setattr(KnowledgeBase, "_near", lambda *_: ())
    found = {}
    for label in manifest_labels("train") | manifest_labels("field") | manifest_labels("others"):
        try:
            found[label] = minerals.find(label).name
        except UnknownMineralError:
            continue
    assert {label: name for label, name in found.items() if label != name} == doubles


def test_canonical_names_are_lower_case_ascii(minerals: KnowledgeBase) -> None:
    assert [record.name for record in minerals if record.name != record.name.lower()] == []
    assert [record.name for record in minerals if not record.name.isascii()] == []


def test_no_spelling_means_two_minerals(minerals: KnowledgeBase) -> None:
    meanings: dict[str, set[str]] = {}
    for record in minerals:
        for spelling in (record.name, record.en, record.es, *record.synonyms, *record.synonyms_es):
            meanings.setdefault(names.key(spelling).replace(" ", ""), set()).add(record.name)
    assert {key: sorted(meant) for key, meant in meanings.items() if len(meant) > 1} == {}


def test_every_spelling_finds_its_mineral(minerals: KnowledgeBase) -> None:
    for record in minerals:
        for spelling in (record.name, record.en, record.es, *record.synonyms, *record.synonyms_es):
            for typed in (spelling, spelling.upper(), f" {spelling.replace(' ', '_')} "):
                assert minerals.find(typed) is record, typed


def test_display_names_are_distinct_in_both_languages(minerals: KnowledgeBase) -> None:
    assert len({minerals.display(record.name, "en") for record in minerals}) == len(minerals)
    assert len({minerals.display(record.name, "es") for record in minerals}) == len(minerals)


def test_texts_are_trimmed_and_sources_stated(minerals: KnowledgeBase) -> None:
    for record in minerals:
        spellings = (record.name, record.en, record.es, *record.synonyms, *record.synonyms_es)
        assert all(text == " ".join(text.split()) for text in (*spellings, record.note)), record.name
        for own, synonyms in ((record.en, record.synonyms), (record.es, record.synonyms_es)):
            assert len({own, *synonyms}) == 1 + len(synonyms), record.name
        assert record.source
        assert record.note == "" or record.note.endswith((".", "?")), record.name


# The tree


def test_parents_exist_and_ranks_go_up(minerals: KnowledgeBase) -> None:
    order: dict[Rank, int] = {"variety": 0, "species": 1, "group": 2}
    for record in minerals:
        path = [minerals.get(name) for name in minerals.ancestors(record.name)]
        assert path[0] is record
        assert path[-1].parent is None
        assert [step.parent for step in path[:-1]] == [step.name for step in path[1:]]
        ranks = [order[step.rank] for step in path]
        assert ranks == sorted(ranks)
        assert ranks.count(1) <= 1, f"{record.name} stands under two species"


@pytest.mark.parametrize(
    ("name", "ancestors"),
    [
        ("agate", ("agate", "chalcedony", "quartz", "silica group")),
        ("amethyst", ("amethyst", "quartz", "silica group")),
        ("albite", ("albite", "plagioclase", "feldspar")),
        ("amazonite", ("amazonite", "microcline", "alkali feldspar", "feldspar")),
        ("labradorite", ("labradorite", "plagioclase", "feldspar")),
        ("phlogopite", ("phlogopite", "biotite", "mica")),
        ("almandine", ("almandine", "garnet")),
        ("pyromorphite", ("pyromorphite", "apatite supergroup")),
        ("fluorapatite", ("fluorapatite", "apatite", "apatite supergroup")),
        ("limonite", ("limonite", "goethite")),
        ("larimar", ("larimar", "pectolite")),
        ("wulfenite", ("wulfenite", "scheelite group")),
        ("pyrite", ("pyrite",)),
    ],
)
def test_ancestors(minerals: KnowledgeBase, name: str, ancestors: tuple[str, ...]) -> None:
    assert minerals.ancestors(name) == ancestors


@pytest.mark.parametrize(
    ("name", "rank", "expected"),
    [
        ("agate", "variety", "agate"),
        ("agate", "species", "quartz"),
        ("agate", "group", "silica group"),
        ("quartz", "variety", None),
        ("quartz", "species", "quartz"),
        ("albite", "group", "plagioclase"),
        ("garnet", "species", None),
        ("garnet", "group", "garnet"),
        ("labradorite", "species", None),
        ("pyrite", "group", None),
    ],
)
def test_at_rank(minerals: KnowledgeBase, name: str, rank: Rank, expected: str | None) -> None:
    assert minerals.at_rank(name, rank) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("emerald", "beryl"),
        ("blue lace agate", "quartz"),
        ("calcite", "calcite"),
        ("garnet", "garnet"),
        ("stilbite", "stilbite"),
        ("labradorite", "labradorite"),
        ("limonite", "goethite"),
    ],
)
def test_species_or_self(minerals: KnowledgeBase, name: str, expected: str) -> None:
    assert minerals.species_or_self(name) == expected


def test_descendants_include_the_node_itself(minerals: KnowledgeBase) -> None:
    assert minerals.descendants("pyrite") == {"pyrite"}
    assert minerals.descendants("gypsum") == {"gypsum", "selenite", "alabaster", "satin spar", "desert rose"}
    assert {"garnet", "almandine", "demantoid"} <= minerals.descendants("garnet")
    assert "opal" not in minerals.descendants("quartz")


def test_descendants_and_ancestors_mirror_each_other(minerals: KnowledgeBase) -> None:
    for record in minerals:
        for below in minerals.descendants(record.name):
            assert record.name in minerals.ancestors(below)
        for above in minerals.ancestors(record.name):
            assert record.name in minerals.descendants(above)


def test_leaves_of_the_roots_split_all_records(minerals: KnowledgeBase) -> None:
    roots = [record.name for record in minerals if record.parent is None]
    assert sum(len(minerals.descendants(root)) for root in roots) == len(minerals)


# Finding


@pytest.mark.parametrize(
    ("text", "name"),
    [
        # The ten labels of the original service, as it writes them.
        ("Copper", "copper"),
        ("Pyromorphite", "pyromorphite"),
        ("Quartz (Var: Amethyst)", "amethyst"),
        ("Malachite", "malachite"),
        ("Azurite", "azurite"),
        ("Wulfenite", "wulfenite"),
        ("Pyrite", "pyrite"),
        ("Quartz", "quartz"),
        ("Fluorite", "fluorite"),
        ("Calcite", "calcite"),
        # Spelling, case, marks.
        ("  QUARTZ ", "quartz"),
        ("rose_quartz", "rose quartz"),
        ("Rose-Quartz", "rose quartz"),
        ("rosequartz", "rose quartz"),
        ("Tiger's Eye", "tiger eye"),
        ("tiger’s eye", "tiger eye"),
        ("löllingite", "lollingite"),
        ("Fluorapophyllite-(K)", "fluorapophyllite-(k)"),
        # Synonyms: other spellings, trade names, old names.
        ("baryte", "barite"),
        ("Sulfur", "sulphur"),
        ("celestite", "celestine"),
        ("Peacock ore", "bornite"),
        ("Fool's Gold", "pyrite"),
        ("iron pyrites", "pyrite"),
        ("haematite", "hematite"),
        ("sphene", "titanite"),
        ("mispickel", "arsenopyrite"),
        ("fluorspar", "fluorite"),
        ("helvine", "helvite"),
        ("grossularite", "grossular"),
        # Plurals.
        ("amethysts", "amethyst"),
        ("rubies", "ruby"),
        ("Garnets", "garnet"),
        ("feldspars", "feldspar"),
        # A mineral and its variety or group together.
        ("Amethyst (Quartz)", "amethyst"),
        ("quartz var. amethyst", "amethyst"),
        ("var. amethyst", "amethyst"),
        ("Amethyst, variety of quartz", "amethyst"),
        ("Quartz, smoky", "smoky quartz"),
        ("Quartz (smoky)", "smoky quartz"),
        ("Baryte (Barite)", "barite"),
        ("Garnet: almandine", "almandine"),
        ("almandine garnet", "almandine"),
        ("amethyst quartz", "amethyst"),
        ("orthoclase feldspar", "orthoclase"),
        ("Agate / Chalcedony / Quartz", "agate"),
        # Words around a name.
        ("garnet group", "garnet"),
        ("Tourmaline Supergroup", "tourmaline"),
        ("calcite group", "calcite group"),
        ("calcite supergroup", "calcite group"),
        ("Native Silver", "silver"),
        ("bismuth, native", "bismuth"),
        # Spanish, with and without accents.
        ("Cuarzo", "quartz"),
        ("cuarzo ahumado", "smoky quartz"),
        ("cuarzos ahumados", "smoky quartz"),
        ("ÁGATA", "agate"),
        ("agata", "agate"),
        ("rubíes", "ruby"),
        ("baritina", "barite"),
        ("oro nativo", "gold"),
        ("arsénico nativo", "arsenic"),
        ("ojo de tigre", "tiger eye"),
        ("lapislázuli", "lapis lazuli"),
        ("amatista (variedad de cuarzo)", "amethyst"),
        ("grupo del granate", "garnet"),
        ("grupo de la calcita", "calcite group"),
        ("yeso", "gypsum"),
    ],
)
def test_find(minerals: KnowledgeBase, text: str, name: str) -> None:
    assert minerals.find(text).name == name


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("quarz", "quartz"),
        ("Quartzz", "quartz"),
        ("malachyte", "malachite"),
        ("amethist", "amethyst"),
        ("wulfenit", "wulfenite"),
        ("cuarso", "quartz"),
        ("smoky", "smoky quartz"),
        ("jade", "jadeite"),
        ("monazite-(La)", "monazite"),
        ("Quartz (Var: Kryptonite)", "quartz"),
    ],
)
def test_unknown_names_bring_a_suggestion(minerals: KnowledgeBase, text: str, suggestion: str) -> None:
    with pytest.raises(UnknownMineralError) as caught:
        minerals.find(text)
    assert suggestion in caught.value.near
    assert suggestion in caught.value.detail
    assert caught.value.code == "unknown-mineral"


@pytest.mark.parametrize("text", ["Calcite (Quartz)", "azurite + malachite", "Quartz (var: Ruby)", "calcite quartz"])
def test_names_that_contradict_are_not_guessed(minerals: KnowledgeBase, text: str) -> None:
    with pytest.raises(UnknownMineralError):
        minerals.find(text)


@pytest.mark.parametrize("text", ["", "   ", "()", "???", "кварц", "石英", "\x00", "plastic spoon"])
def test_nonsense_is_unknown_without_suggestions(minerals: KnowledgeBase, text: str) -> None:
    with pytest.raises(UnknownMineralError) as caught:
        minerals.find(text)
    assert caught.value.near == ()


def test_very_long_text_is_refused_and_not_echoed(minerals: KnowledgeBase) -> None:
    with pytest.raises(UnknownMineralError) as caught:
        minerals.find("quartz " * 100_000)
    assert len(caught.value.detail) < 120


@pytest.mark.parametrize("name", ["Quartz", "baryte", "cuarzo", ""])
def test_get_takes_canonical_names_only(minerals: KnowledgeBase, name: str) -> None:
    methods: list[Callable[[str], object]] = [
        minerals.get,
        minerals.ancestors,
        minerals.descendants,
        minerals.species_or_self,
        lambda name: minerals.at_rank(name, "species"),
        lambda name: minerals.display(name, "es"),
        minerals.properties,
    ]
    assert name not in minerals
    for method in methods:
        with pytest.raises(UnknownMineralError):
            method(name)


def test_unknown_mineral_survives_pickling_and_copying(minerals: KnowledgeBase) -> None:
    with pytest.raises(UnknownMineralError) as caught:
        minerals.find("quarz")
    for twin in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert (twin.detail, twin.near) == (caught.value.detail, caught.value.near)


@pytest.mark.parametrize(
    ("name", "en", "es"),
    [
        ("quartz", "quartz", "cuarzo"),
        ("opal", "opal", "ópalo"),
        ("hubnerite", "hübnerite", "hübnerita"),
        ("calcite group", "calcite group", "grupo de la calcita"),
        ("kyanite", "kyanite", "cianita"),
    ],
)
def test_display(minerals: KnowledgeBase, name: str, en: str, es: str) -> None:
    assert minerals.display(name, "en") == en
    assert minerals.display(name, "es") == es


# Loading


def test_load_is_shared_and_iterates_by_name(minerals: KnowledgeBase) -> None:
    assert KnowledgeBase.load() is minerals
    assert len([*minerals]) == len(minerals)
    assert [record.name for record in minerals] == sorted(record.name for record in minerals)
    assert "quartz" in minerals
    assert 3 not in minerals


def test_loading_pulls_in_nothing_slow() -> None:
    """Start-up counts: no patterns to compile, no resource machinery, difflib only for an error."""
    script = (
        "import sys; before = set(sys.modules)\n"
        "from handlens.minerals import KnowledgeBase\n"
        "KnowledgeBase.load().find('Quartz (Var: Amethyst)')\n"
        "print(' '.join(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    loaded = set(done.stdout.split())
    assert "handlens.minerals.knowledge" in loaded
    assert loaded.isdisjoint({"difflib", "importlib.resources", "pkgutil", "PIL.Image", "onnxruntime", "tempfile"})


def _mineral(name: str, rank: Rank, parent: str | None) -> Mineral:
    return Mineral(name=name, rank=rank, parent=parent, en=name, es=name)


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([_mineral("a", "species", None), _mineral("a", "group", None)], "two records"),
        ([_mineral("a", "species", "b")], "no record"),
        ([_mineral("a", "species", "b"), _mineral("b", "species", None)], "cannot stand under"),
        ([_mineral("a", "group", "b"), _mineral("b", "species", None)], "cannot stand under"),
        ([_mineral("a", "variety", None)], "needs a parent"),
        ([_mineral("a", "group", "b"), _mineral("b", "group", "a")], "ring"),
        ([_mineral("a", "variety", "a")], "ring"),
    ],
)
def test_broken_trees_are_refused(records: list[Mineral], complaint: str) -> None:
    with pytest.raises(KnowledgeBaseError, match=complaint):
        KnowledgeBase(records)


GOOD_ROW = '{"name": "a", "rank": "species", "parent": null, "es": "a", "source": "unverified"}'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[", "not valid JSON"),
        ("{}", "list of records"),
        ("[3]", "record 1 is not an object"),
        (f"[{GOOD_ROW}, {GOOD_ROW.replace('species', 'specie')}]", r"record 2 \('a'\): 'rank'"),
        (f"[{GOOD_ROW.replace('parent', 'paernt')}]", "'parent' is missing"),
        (f"[{GOOD_ROW.replace('null', '3')}]", "'parent' must be a text"),
        (f"[{GOOD_ROW.replace('unverified', '')}]", "'source' must be a text"),
        (f'[{GOOD_ROW[:-1]}, "synonyms": "b"}}]', "'synonyms' must be a list"),
        (f'[{GOOD_ROW[:-1]}, "hardnes": 3}}]', "unknown field 'hardnes'"),
        (f'[{GOOD_ROW[:-1]}, "properties": 3}}]', "'properties' must be an object"),
        (f'[{GOOD_ROW[:-1]}, "checked": ["mohs"]}}]', "'checked' names what was compared"),
        (f"[{GOOD_ROW.replace('unverified', 'a book')}]", "'checked' names what was compared"),
        (f'[{GOOD_ROW.replace("unverified", "a book")[:-1]}, "checked": ["smell"]}}]', "'smell', which is no property"),
    ],
)
def test_broken_files_say_where(text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "minerals.json"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(knowledge, "_FILE", file)
    with pytest.raises(KnowledgeBaseError, match=complaint):
        knowledge._load.__wrapped__()
