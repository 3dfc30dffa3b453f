"""The façade over the tiny bundle: answers, choosing among labels, many photos, and the JSON object of every door."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from PIL import Image

import handlens
from bundles import COLOURS, LABELS, graph_bytes, solid, views_of, write_bundle
from handlens.bundle import BadBundleError
from handlens.decision import decide, prediction_set, softmax
from handlens.errors import HandlensError, UsageError
from handlens.evidence import Contradiction, Evidence, FieldEvidence
from handlens.field_tests import CHOICES
from handlens.identification import Hazard, Identification, Suggestion
from handlens.identifier import ORIGIN_TEN, Identifier, UnknownLabelError
from handlens.minerals import KnowledgeBase
from handlens.model import Model
from handlens.next_test import Advice
from handlens.next_test_text import next_test_text
from handlens.photo import Crop, PhotoError
from handlens.photo_errors import PhotoNotFoundError
from odd_files import encode, picture

MIXED = (150, 80, 100)
"""A colour between those of the labels, so that no probability is near 0 or 1."""


def shares(answer: Identification) -> dict[str, float]:
    return {candidate.name: candidate.probability for candidate in answer.candidates}


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Identifier:
    """The tiny bundle with a temperature at which several labels have a share."""
    path = write_bundle(tmp_path_factory.mktemp("soft") / "b", temperature=8.0, prediction_set={"quantile": 0.85})
    return Identifier.load(path, threads=1)


# One photo


@pytest.mark.parametrize("label", LABELS)
def test_every_label_is_named_by_its_colour(tiny: Identifier, label: str) -> None:
    answer = tiny.identify(solid(COLOURS[label]))
    assert answer.candidates[0].name == label
    assert answer.decision.name == label


def test_the_probabilities_are_the_softmax_of_the_graph_at_the_temperature(soft: Identifier) -> None:
    rgb = solid(MIXED)
    answer = soft.identify(rgb, top=99)
    expected = softmax(soft.score(views_of(rgb)[0]).logits[0], 8.0)
    assert shares(answer) == pytest.approx(dict(zip(LABELS, expected, strict=True)), abs=1e-9)
    assert sum(shares(answer).values()) == pytest.approx(1, abs=1e-12)
    assert answer.unknown_score == pytest.approx(1 - expected.max())
    found = list(shares(answer).values())
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("top", [1, 2, 6, 7, 1000])
def test_top_cuts_the_candidates_and_nothing_else(soft: Identifier, top: int) -> None:
    whole, cut = soft.identify(solid(MIXED), top=6), soft.identify(solid(MIXED), top=top)
    assert cut.candidates == whole.candidates[:top]
    assert (cut.decision, cut.prediction_set, cut.unknown_score) == (
        whole.decision,
        whole.prediction_set,
        whole.unknown_score,
    )
    assert soft.identify(solid(MIXED)).candidates == whole.candidates[:5]


@pytest.mark.parametrize("top", [0, -1])
def test_top_is_one_or_more(tiny: Identifier, top: int) -> None:
    with pytest.raises(UsageError):
        tiny.identify(solid(MIXED), top=top)
    with pytest.raises(UsageError):
        tiny.identify_each([solid(MIXED)], top=top)


def test_equal_labels_come_in_the_order_of_the_bundle(tiny: Identifier) -> None:
    answer = tiny.answer("p", np.zeros(len(LABELS), np.float32), top=6)
    assert [candidate.name for candidate in answer.candidates] == list(LABELS)


def test_every_kind_of_source_gives_the_same_answer(tiny: Identifier, tmp_path: Path) -> None:
    rgb = picture(120, 90)
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.fromarray(rgb), "PNG"))
    answers = [tiny.identify(source, name="x") for source in (rgb, path, str(path), path.read_bytes())]
    assert answers == [answers[0]] * 4
    with path.open("rb") as file:
        assert tiny.identify(file).photo == "a.png"
    assert tiny.identify(path).photo == str(path)
    assert tiny.identify(rgb).photo == "photo"


def test_crop_and_rotation_are_applied(tiny: Identifier) -> None:
    rgb = np.concatenate([solid(COLOURS["azurite"]), solid(COLOURS["almandine"])])  # 64 wide, 48 + 48 high
    assert tiny.identify(rgb, crop=Crop(0, 0, 64, 48)).decision.name == "azurite"
    assert tiny.identify(rgb, crop=Crop(0, 48, 64, 48)).decision.name == "almandine"
    # Clockwise: what was above comes to the right.
    assert tiny.identify(rgb, rotate=90, crop=Crop(48, 0, 48, 64)).decision.name == "azurite"
    assert tiny.identify(rgb, rotate=270, crop=Crop(48, 0, 48, 64)).decision.name == "almandine"
    [answer] = tiny.identify_each([rgb], rotate=90, crop=Crop(48, 0, 48, 64))
    assert isinstance(answer, Identification)
    assert answer.decision.name == "azurite"


def test_a_photo_that_cannot_be_read_is_its_typed_error(tiny: Identifier) -> None:
    with pytest.raises(PhotoNotFoundError) as caught:
        tiny.identify("gone.jpg")
    assert (caught.value.code, caught.value.photo) == ("not-found", "gone.jpg")


# Among


def test_among_renormalises(soft: Identifier) -> None:
    whole = shares(soft.identify(solid(MIXED), top=99))
    names = ["azurite", "calcite", "garnet"]
    answer = soft.identify(solid(MIXED), among=names, top=99)
    total = sum(whole[name] for name in names)
    assert shares(answer) == pytest.approx({name: whole[name] / total for name in names})
    assert sum(shares(answer).values()) == pytest.approx(1, abs=1e-12)


def test_among_keeps_ratios_where_all_are_tiny(tiny: Identifier) -> None:
    """Of a white photo red and blue are both impossible; which of them is more likely can still be told."""
    logits = np.array([900, 0, 0, -200, 0, -201], np.float32)
    answer = tiny.answer("p", logits, chosen=[3, 5])
    assert shares(answer) == pytest.approx({"almandine": 1 / (1 + np.exp(-1)), "azurite": 1 / (1 + np.e)})
    assert answer.decision.name == "almandine"


def test_among_cuts_the_prediction_set_and_leaves_the_unknown_score(soft: Identifier) -> None:
    whole = soft.identify(solid(MIXED))
    assert len(whole.prediction_set) >= 2
    assert set(LABELS) - set(whole.prediction_set)
    first, *others = whole.prediction_set
    for names in ([first], others, [*others[::-1], *(set(LABELS) - set(whole.prediction_set))]):
        answer = soft.identify(solid(MIXED), among=names)
        assert answer.prediction_set == tuple(name for name in whole.prediction_set if name in names)
        assert answer.unknown_score == whole.unknown_score
    outside = soft.identify(solid(MIXED), among=[name for name in LABELS if name not in whole.prediction_set])
    assert outside.prediction_set == ()


def test_among_takes_exact_labels_and_never_what_stands_below(soft: Identifier) -> None:
    assert shares(soft.identify(solid(MIXED), among=["quartz"])) == {"quartz": 1.0}
    assert set(shares(soft.identify(solid(MIXED), among=["garnet", "quartz"]))) == {"garnet", "quartz"}


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["quartz", "calcite"], ["quartz", "calcite"]),
        (["Cuarzo", "AMATISTA", "calcita"], ["quartz", "amethyst", "calcite"]),
        (["Quartz (Var: Amethyst)", "purple quartz", "amethyst"], ["amethyst"]),
        (["granate almandino", "garnets"], ["almandine", "garnet"]),
        (["calcite", "calcite", "calcita"], ["calcite"]),
        ("azurite", ["azurite"]),
    ],
)
def test_among_understands_what_people_call_a_mineral(tiny: Identifier, names: Any, labels: list[str]) -> None:
    indices = tiny.label_indices(names)
    assert indices is not None
    assert [LABELS[index] for index in indices] == labels
    assert set(shares(tiny.identify(solid(MIXED), among=names))) == set(labels)


def test_among_refuses_what_is_no_label(tiny: Identifier) -> None:
    for names, code in ((["pyrite"], "unknown-label"), (["quartz", "plastic"], "unknown-mineral")):
        with pytest.raises(HandlensError) as caught:
            tiny.identify(solid(MIXED), among=names)
        assert caught.value.code == code
    with pytest.raises(UnknownLabelError, match="'pyrite' is a mineral, but no label of the bundle tiny-1"):
        tiny.identify_each([], among=["fool's gold"])
    with pytest.raises(UsageError):
        tiny.identify(solid(MIXED), among=[])
    assert tiny.label_indices(None) is None


def test_a_label_that_the_knowledge_base_does_not_know_can_be_chosen(tmp_path: Path) -> None:
    made = Identifier.load(write_bundle(tmp_path / "b", labels=("moonrock", "quartz")))
    assert shares(made.identify(solid(MIXED), among=["moonrock"])) == {"moonrock": 1.0}


def test_origin_ten(tiny: Identifier, tmp_path: Path) -> None:
    labels = (*reversed(ORIGIN_TEN), "garnet", "agate")
    made = Identifier.load(write_bundle(tmp_path / "b", labels=labels))
    indices = made.label_indices(["origin-ten"])
    assert indices is not None
    assert [labels[index] for index in indices] == list(ORIGIN_TEN)
    assert made.label_indices(["garnet", "origin-ten", "quartz"]) == [10, *indices]
    with pytest.raises(UnknownLabelError):
        tiny.label_indices(["origin-ten"])


# Evidence


HARD = Evidence.of({"hardness": "7", "acid": "none"})


def test_the_evidence_weighs_the_calibrated_probabilities_of_all_labels(soft: Identifier) -> None:
    before = np.array([shares(soft.identify(solid(MIXED), top=9))[label] for label in LABELS])
    weighed = FieldEvidence(LABELS, soft.minerals).weigh(before, HARD)
    answer = soft.identify(solid(MIXED), evidence=HARD, top=9)
    assert shares(answer) == pytest.approx(dict(zip(LABELS, weighed.probabilities, strict=True)), abs=1e-9)
    assert list(shares(answer).values()) == sorted(shares(answer).values(), reverse=True)
    assert answer.unknown_score == pytest.approx(1 - weighed.kept * weighed.probabilities.max(), abs=1e-9)
    expected = decide(weighed.probabilities * weighed.kept, soft.taxonomy, soft.bundle.thresholds)
    assert answer.decision.name == expected.name
    assert answer.decision.probability == pytest.approx(expected.probability, abs=1e-9)
    members = prediction_set(weighed.probabilities, soft.bundle.set_quantile)
    assert answer.prediction_set == tuple(LABELS[index] for index in members)
    assert answer.evidence == HARD


def test_no_evidence_and_empty_evidence_change_nothing(soft: Identifier) -> None:
    plain = soft.identify(solid(MIXED), top=9)
    assert soft.identify(solid(MIXED), top=9, evidence=Evidence()) == plain
    assert plain.evidence is None
    assert "evidence" not in plain.as_dict()


def test_among_restricts_and_renormalises_what_was_weighed(soft: Identifier) -> None:
    whole = soft.identify(solid(MIXED), evidence=HARD, top=9)
    names = ["azurite", "calcite", "garnet"]
    answer = soft.identify(solid(MIXED), evidence=HARD, among=names, top=9)
    total = sum(shares(whole)[name] for name in names)
    assert shares(answer) == pytest.approx({name: shares(whole)[name] / total for name in names})
    assert answer.unknown_score == whole.unknown_score
    assert answer.prediction_set == tuple(name for name in whole.prediction_set if name in names)
    assert {one.mineral for one in answer.contradictions} == {one.mineral for one in whole.contradictions} & set(names)


def test_among_with_evidence_keeps_ratios_where_all_are_tiny(tiny: Identifier) -> None:
    logits = np.array([900, 0, 0, -200, 0, -201], np.float32)
    answer = tiny.answer("p", logits, chosen=[3, 5], evidence=Evidence(tests={"nail": "no"}))
    own, _, _ = FieldEvidence(LABELS, tiny.minerals).likelihood("nail", Evidence(tests={"nail": "no"}))
    odds = np.e * own[3] / own[5]
    assert shares(answer) == pytest.approx({"almandine": odds / (1 + odds), "azurite": 1 / (1 + odds)})


def test_what_does_not_fit_is_told_and_unknown_can_win(tiny: Identifier) -> None:
    """A soft, light thing that looks like quartz is none of the labels."""
    plain = tiny.identify(solid(COLOURS["quartz"]))
    soft_and_light = Evidence.of({"hardness": "1", "gravity": "1.7", "nail": "yes"})
    answer = tiny.identify(solid(COLOURS["quartz"]), evidence=soft_and_light)
    assert plain.decision.name == "quartz"
    assert answer.decision.name == "unknown"
    assert {"hardness", "gravity", "nail"} <= {one.test for one in answer.contradictions if one.mineral == "quartz"}
    assert answer.unknown_score > 0.9 > 0.1 > plain.unknown_score


def test_evidence_for_labels_that_the_knowledge_base_does_not_know(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b", labels=("moonrock", "quartz", "calcite"), temperature=50.0)
    made = Identifier.load(path, threads=1)
    plain = made.identify(solid((190, 180, 150)))
    answer = made.identify(solid((190, 180, 150)), evidence=Evidence.of({"hardness": "3"}))
    assert set(shares(answer)) == {"moonrock", "quartz", "calcite"}
    assert shares(answer)["calcite"] > shares(plain)["calcite"]
    assert plain.next_test is not None


def test_evidence_of_many_photos_is_of_each(soft: Identifier) -> None:
    photos = [solid(MIXED), solid(COLOURS["quartz"])]
    found = list(soft.identify_each(photos, evidence=HARD, lang="es"))
    assert found == [soft.identify(photo, evidence=HARD, lang="es") for photo in photos]


def test_what_is_loaded_keeps_no_second_copy_of_the_graphs(tiny: Identifier) -> None:
    assert tiny.bundle.graph
    assert not Identifier.load(tiny.bundle.path, threads=1).bundle.graph
    assert Identifier.load().bundle.localiser is None


def test_several_threads_share_tables_that_are_made_once(tiny: Identifier, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(Advice):
        def prepare(self) -> None:
            made.append(self)
            time.sleep(0.05)  # the others come meanwhile
            super().prepare()

    monkeypatch.setattr("handlens.next_test.Advice", Counted)
    fresh = Identifier(tiny.bundle, threads=1)
    expected = tiny.identify(solid(MIXED), evidence=HARD)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: fresh.identify(solid(MIXED), evidence=HARD), range(16)))
    assert found == [expected] * 16
    assert len(made) == 1


def test_the_tables_are_made_while_the_network_is_not_ready(tiny: Identifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their time would otherwise be added to that of the first answer."""
    go_on, order = threading.Event(), []

    class Slow(Model):
        def __init__(self, *args: Any, **options: Any) -> None:
            assert go_on.wait(60), "the tables wait for the network"
            super().__init__(*args, **options)
            order.append("network")

    class Told(Advice):
        def prepare(self) -> None:
            super().prepare()
            order.append("tables")
            go_on.set()

    monkeypatch.setattr("handlens.identifier.Model", Slow)
    monkeypatch.setattr("handlens.next_test.Advice", Told)
    expected = tiny.identify(solid(MIXED))
    assert Identifier(tiny.bundle, threads=1, wait=False).identify(solid(MIXED)) == expected
    go_on.clear()
    assert list(Identifier(tiny.bundle, threads=1, wait=False).identify_each([solid(MIXED)])) == [expected]
    assert order == ["tables", "network"] * 2


# The next test, hazards


def test_the_next_test_is_advised_where_the_answer_is_not_sure(soft: Identifier, tiny: Identifier) -> None:
    assert tiny.identify(solid(COLOURS["quartz"])).next_test is None
    answer = soft.identify(solid(MIXED), top=9)
    advice = Advice(FieldEvidence(LABELS, soft.minerals), soft.minerals)
    best = advice.best(np.array([shares(answer)[label] for label in LABELS]))
    assert best is not None
    assert answer.next_test is not None
    assert answer.next_test.test == best.test
    assert answer.next_test.text == next_test_text(best, soft.minerals, "en")
    spanish = soft.identify(solid(MIXED), lang="es").next_test
    assert spanish is not None
    assert spanish.text == next_test_text(best, soft.minerals, "es") != answer.next_test.text


def test_the_limit_of_being_sure(tiny: Identifier) -> None:
    advised = {}
    for share in (0.79, 0.81):
        logits = np.log(np.array([share, 1e-9, 1 - share, 1e-9, 1e-9, 1e-9]))
        answer = tiny.answer("p", logits)
        assert answer.decision.name == "quartz"
        advised[share] = answer.next_test is not None
    assert advised == {0.79: True, 0.81: False}


def test_a_test_that_was_done_is_not_advised_again(soft: Identifier) -> None:
    given: dict[str, str] = {}
    while (found := soft.identify(solid(MIXED), evidence=Evidence.of(given)).next_test) is not None:
        assert found.test not in given
        given[found.test] = {"hardness": "5", "gravity": "3"}.get(found.test) or CHOICES[found.test][0]
        assert len(given) < 20
    assert len(given) >= 2


def test_the_next_test_is_among_the_chosen(soft: Identifier) -> None:
    """Of almandine and azurite the streak tells, of two that are alike in all ways nothing does."""
    text = soft.identify(solid(MIXED), among=["almandine", "azurite"]).next_test
    assert text is not None
    assert "quartz" not in text.text
    assert "almandine" in text.text
    assert "azurite" in text.text
    assert soft.identify(solid(MIXED), among=["azurite"]).next_test is None


def test_hazards_of_what_is_shown(tmp_path: Path) -> None:
    labels = ("galena", "quartz", "cinnabar", "realgar")
    made = Identifier.load(write_bundle(tmp_path / "b", labels=labels), threads=1)

    def told(*probabilities: float, top: int = 9) -> dict[str, tuple[str, ...]]:
        answer = made.answer("p", np.log(np.array(probabilities)), top=top)
        return {one.mineral: one.hazards for one in answer.hazards}

    assert told(1e-9, 1, 1e-9, 1e-9, top=1) == {}
    assert told(0.001, 0.998, 1e-9, 1e-9, top=2) == {"galena": ("lead",)}
    assert list(told(0.2, 0.1, 0.5, 0.2)) == ["cinnabar", "galena", "realgar"]
    assert list(told(1e-9, 1e-9, 1, 1e-9, top=1)) == ["cinnabar"]
    assert "mercury" in told(1e-9, 1e-9, 1, 1e-9)["cinnabar"]


def test_a_name_in_the_set_or_in_a_sentence_is_warned_of(tmp_path: Path) -> None:
    labels = ("galena", "quartz", "cinnabar", "realgar")
    made = Identifier.load(write_bundle(tmp_path / "b", labels=labels), threads=1)
    logits = np.log(np.array([0.05, 0.62, 0.03, 0.3]))
    answer = made.answer("p", logits, top=1, evidence=Evidence.of({"hardness": "7"}))
    assert answer.candidates[0].name == "quartz"
    contradicted = {one.mineral for one in answer.contradictions}
    assert contradicted
    assert contradicted <= {one.mineral for one in answer.hazards}
    unsure = made.answer("p", logits, top=1)
    assert unsure.next_test is not None
    assert "cinnabar" in unsure.next_test.text
    assert "cinnabar" in {one.mineral for one in unsure.hazards}
    assert {*unsure.prediction_set} - {"quartz"} <= {one.mineral for one in unsure.hazards}


def test_the_decision_is_warned_of_even_where_it_is_no_candidate_shown(tmp_path: Path) -> None:
    """A species can be the answer by the sum of its varieties."""
    base = KnowledgeBase.load()
    species = next(
        one.name
        for one in base
        if one.rank == "species" and base.properties(one.name).hazards and len(base.descendants(one.name)) > 1
    )
    below = next(name for name in sorted(base.descendants(species)) if name != species)
    made = Identifier.load(write_bundle(tmp_path / "b", labels=(species, below, "quartz")), threads=1)
    answer = made.answer("p", np.log(np.array([0.5, 0.45, 0.05])), top=1)
    assert answer.hazards[0].mineral == answer.decision.name == species


# Several photos of one specimen


def test_photos_of_one_specimen_are_fused(soft: Identifier) -> None:
    photos = [solid(MIXED), solid((200, 150, 120)), solid((90, 60, 150))]
    logits = np.stack([soft.score(views_of(photo)[0]).logits[0] for photo in photos])
    answer = soft.identify(photos, name=["a", "b", "c"], top=9)
    expected = softmax(logits.astype(np.float64).sum(axis=0) / np.sqrt(3), 8.0)
    assert shares(answer) == pytest.approx(dict(zip(LABELS, expected, strict=True)), abs=1e-9)
    assert answer.photos == ("a", "b", "c")
    assert answer.as_dict()["photos"] == ["a", "b", "c"]
    assert "photo" not in answer.as_dict()
    backwards = soft.identify(photos[::-1], name=["c", "b", "a"], top=9)
    assert shares(backwards) == pytest.approx(shares(answer), abs=1e-12)


def test_one_photo_in_a_list_is_that_photo(soft: Identifier) -> None:
    assert soft.identify([solid(MIXED)], name=["a"]) == soft.identify(solid(MIXED), name="a")
    assert soft.identify((solid(MIXED),)) == soft.identify(solid(MIXED))


def test_crop_and_rotation_are_of_each_photo(tiny: Identifier) -> None:
    rgb = np.concatenate([solid(COLOURS["azurite"]), solid(COLOURS["almandine"])])
    answer = tiny.identify([rgb, rgb], rotate=90, crop=Crop(48, 0, 48, 64))
    assert answer.decision.name == "azurite"


@pytest.mark.parametrize("count", [0, 6])
def test_a_specimen_has_one_to_five_photos(tiny: Identifier, count: int) -> None:
    with pytest.raises(UsageError, match=f"{count} photos: one specimen has 1 to 5"):
        tiny.identify([solid(MIXED)] * count)
    assert len(tiny.identify([solid(MIXED)] * 5).photos) == 5


def test_one_photo_of_several_that_cannot_be_read_is_its_error(tiny: Identifier, tmp_path: Path) -> None:
    with pytest.raises(PhotoNotFoundError) as caught:
        tiny.identify([solid(MIXED), "gone.jpg", b""])
    assert caught.value.photo == "gone.jpg"
    with pytest.raises(PhotoError, match="empty") as empty:
        tiny.identify([solid(MIXED), b""], name=["a.jpg", "b.jpg"])
    assert empty.value.photo == "b.jpg"


def test_photos_and_names_must_be_as_many(tiny: Identifier) -> None:
    for names in (["a"], "a", ["a", "b", "c"]):
        with pytest.raises(UsageError, match="names for 2 photos"):
            tiny.identify([solid(MIXED)] * 2, name=names)


def test_a_specimen_has_an_id_of_its_own(tiny: Identifier) -> None:
    assert tiny.identify(solid(MIXED), specimen="MNHN-17").as_dict()["specimen"] == "MNHN-17"
    assert "specimen" not in tiny.identify(solid(MIXED)).as_dict()


def test_an_unknown_language_is_refused(tiny: Identifier) -> None:
    with pytest.raises(UsageError, match="lang is 'fr': it must be one of en, es"):
        tiny.identify(solid(MIXED), lang=cast("Any", "fr"))


# Weighing anew


@pytest.mark.parametrize("among", [None, ["azurite", "quartz", "calcite"]])
@pytest.mark.parametrize("given", [{}, {"hardness": "3", "streak": "white"}, {"hardness": "1", "gravity": "9"}])
def test_reweighing_the_scores_gives_the_answer(
    soft: Identifier, among: list[str] | None, given: dict[str, str]
) -> None:
    photos = [solid(MIXED), solid((200, 150, 120))]
    seen = soft.fused(photos)
    evidence = Evidence.of(given)
    scores = soft.probabilities(seen.logits)
    anew = soft.reweigh(seen.names, scores, novelty=seen.novelty, top=4, among=among, evidence=evidence, lang="es")
    answer = soft.identify(photos, top=4, among=among, evidence=evidence, lang="es")
    assert anew.as_dict() == answer.as_dict()


def test_reweighing_scores_of_nothing_at_all(tiny: Identifier) -> None:
    scores = np.array([1.0, 0, 0, 0, 0, 0])
    answer = tiny.reweigh("p", scores, among=["azurite", "calcite"], evidence=HARD)
    assert sum(shares(answer).values()) == pytest.approx(1)


# Many photos


def test_many_photos_are_answered_in_their_order(tiny: Identifier) -> None:
    """The first ones take longest to decode: order must not be that of being ready."""
    chance = np.random.default_rng(0)
    named = [LABELS[index] for index in chance.integers(0, len(LABELS), 30)]
    photos = [
        encode(Image.fromarray(solid(COLOURS[label], *((900, 700) if place < 3 else (32, 32)))), "PNG")
        for place, label in enumerate(named)
    ]
    answers = list(tiny.identify_each(photos))
    assert [cast("Identification", answer).decision.name for answer in answers] == named
    assert answers == [tiny.identify(photo) for photo in photos]


def test_errors_come_in_their_place_and_stop_nothing(tiny: Identifier) -> None:
    good = solid(COLOURS["quartz"])
    photos: list[Any] = [good, "gone.jpg", good, b"", b"no image at all", good, solid((0, 0, 0), 4, 4), object()]
    found = [getattr(one, "code", None) or one.decision.name for one in cast("Any", tiny.identify_each(photos))]
    assert found[:3] == ["quartz", "not-found", "quartz"]
    assert found[3:] == ["empty-file", "not-an-image", "quartz", "image-too-small", "bad-array"]
    assert list(tiny.identify_each([])) == []


def test_wrong_parameters_are_told_before_a_photo_is_touched(tiny: Identifier) -> None:
    asked = []

    def watched() -> Iterator[Any]:
        asked.append(True)
        yield solid(MIXED)

    wrong: list[dict[str, Any]] = [{"top": 0}, {"among": ["plastic"]}, {"among": []}]
    for options in wrong:
        with pytest.raises(HandlensError):
            tiny.identify_each(watched(), **options)
    assert not asked
    assert len(list(tiny.identify_each(watched()))) == len(asked) == 1


def test_only_a_few_photos_are_read_ahead(tiny: Identifier) -> None:
    taken = 0

    def endless() -> Iterator[Any]:
        nonlocal taken
        while True:
            taken += 1
            yield solid(MIXED)

    answers = tiny.identify_each(endless())
    assert taken == 0
    for number in range(1, 20):
        assert isinstance(next(answers), Identification)
        assert taken <= number + 4
    assert taken > 19, "nothing is read ahead"


def test_closing_early_ends_at_once_and_leaves_no_thread(tiny: Identifier, monkeypatch: pytest.MonkeyPatch) -> None:
    started, release = [], threading.Event()
    real_views = Identifier.views

    def slow(self: Identifier, photo: Any, **options: Any) -> Any:
        started.append(photo)
        if photo != 0:
            release.wait(60)
        return real_views(self, solid(MIXED))

    monkeypatch.setattr(Identifier, "views", slow)
    answers = cast("Generator[Any, None, None]", tiny.identify_each(cast("Any", range(1000))))
    next(answers)
    threading.Timer(0.2, release.set).start()
    answers.close()
    assert len(started) <= 3, "photos nobody wants any more were decoded"
    with pytest.raises(StopIteration):
        next(answers)
    deadline = time.monotonic() + 20
    while any(thread.name.startswith("handlens-decode") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_error_of_the_callers_own_iterator_comes_through(tiny: Identifier) -> None:
    def failing() -> Iterator[Any]:
        yield from [solid(MIXED)] * 8
        raise KeyError("theirs")

    answers = tiny.identify_each(failing())
    with pytest.raises(KeyError, match="theirs"):
        list(answers)


def test_one_identifier_serves_several_threads(tiny: Identifier) -> None:
    photos = [solid(COLOURS[LABELS[place % len(LABELS)]], 40 + place, 50) for place in range(36)]
    alone = [tiny.identify(photo) for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tiny.identify, photos)) == alone


# The JSON object


def test_the_object_is_that_of_the_design(soft: Identifier) -> None:
    answer = soft.identify(solid(MIXED), name="a.jpg", top=2)
    found = answer.as_dict()
    assert list(found) == ["photo", "decision", "candidates", "prediction_set", "unknown_score", "model", "next_test"]
    assert list(found["decision"]) == ["name", "rank", "probability"]
    assert [list(candidate) for candidate in found["candidates"]] == [["name", "probability"]] * 2
    assert found == {
        "photo": "a.jpg",
        "decision": {
            "name": answer.decision.name,
            "rank": answer.decision.rank,
            "probability": round(answer.decision.probability, 6),
        },
        "candidates": [{"name": one.name, "probability": round(one.probability, 6)} for one in answer.candidates],
        "prediction_set": list(answer.prediction_set),
        "unknown_score": round(answer.unknown_score, 6),
        "model": "tiny-1",
        "next_test": {"test": answer.next_test.test, "text": answer.next_test.text} if answer.next_test else None,
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_every_optional_key_of_the_object() -> None:
    answer = Identification(
        photo="a",
        decision=handlens.Decision("galena", "species", 0.5),
        candidates=(handlens.Candidate("galena", 0.5),),
        prediction_set=("galena",),
        unknown_score=0.5,
        model="m",
        photos=("a", "b"),
        evidence=Evidence.of({"streak": "grey"}),
        contradictions=(Contradiction("streak", "grey", "quartz", "It does not fit."),),
        next_test=Suggestion("magnet", "Hold a magnet to it."),
        hazards=(Hazard("galena", ("lead",)),),
        specimen="A-17",
    )
    found = answer.as_dict()
    assert list(found) == [
        *("photos", "decision", "candidates", "prediction_set", "unknown_score", "model"),
        *("evidence", "contradictions", "next_test", "hazards", "specimen"),
    ]
    assert found["photos"] == ["a", "b"]
    assert found["evidence"] == {"streak": "grey"}
    assert found["contradictions"][0]["text"] == "It does not fit."
    assert found["next_test"] == {"test": "magnet", "text": "Hold a magnet to it."}
    assert found["hazards"] == [{"mineral": "galena", "hazards": ["lead"]}]
    assert found["specimen"] == "A-17"
    assert json.loads(json.dumps(found)) == found


def test_numbers_are_rounded_to_six_decimals() -> None:
    answer = Identification(
        photo="p",
        decision=handlens.Decision("quartz", "species", 0.12345678),
        candidates=(handlens.Candidate("quartz", 2 / 3), handlens.Candidate("calcite", 4e-7)),
        prediction_set=("quartz",),
        unknown_score=1 / 3,
        model="m",
    )
    text = json.dumps(answer.as_dict())
    assert '"probability": 0.123457}' in text
    assert '"probability": 0.666667}, {"name": "calcite", "probability": 0.0}' in text
    assert '"unknown_score": 0.333333' in text


def test_the_short_way_uses_the_default_bundle(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    monkeypatch.setenv("HANDLENS_BUNDLE", str(tiny_bundle))
    answer = handlens.identify(solid(COLOURS["azurite"]), top=1, among=["azurita", "quartz"])
    assert (answer.model, answer.decision.name, len(answer.candidates)) == ("tiny-1", "azurite", 1)


def test_the_public_names_are_there() -> None:
    for name in handlens.__all__:
        assert getattr(handlens, name) is not None
    assert {"Identifier", "Identification", "identify"} <= set(handlens.__all__)
    assert issubclass(PhotoError, handlens.HandlensError)


# Making ready


def test_without_waiting_the_answer_is_the_same(tiny: Identifier) -> None:
    early = Identifier.load(tiny.bundle.path, wait=False)
    assert early.identify(solid(MIXED)) == tiny.identify(solid(MIXED))


def test_an_error_of_the_network_comes_at_once_or_with_its_first_use(tmp_path: Path) -> None:
    # The shapes are as declared, so that only the runtime can find the operator that does not exist.
    model = onnx.load_from_string(graph_bytes())
    model.graph.node[0].op_type = "NoSuchOperator"
    path = write_bundle(tmp_path / "b", graph=model.SerializeToString())
    with pytest.raises(BadBundleError):
        Identifier.load(path)
    early = Identifier.load(path, wait=False)
    with pytest.raises(BadBundleError):
        early.identify(solid(MIXED))
