"""The report as Markdown: every number from the report, none of them rounded away or out of its column."""

from __future__ import annotations

import re
from typing import Any

import pytest

from evaluation.drawn_predictions import alone, well_calibrated
from handlens.evaluation.answers import WIDER_COVERAGE, calibrate, decisions, sets
from handlens.evaluation.describe import describe, restricted
from handlens.evaluation.selective import selective
from handlens.evaluation.tables import markdown, percent, table
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase

MINERALS = KnowledgeBase.load()
LABELS = tuple(sorted({*ORIGIN_TEN, "agate", "garnet"}))


def test_table() -> None:
    assert table(("a", "b", "c"), [("x", 1, 2.5), ("y", "-", 3)]) == (
        "| a | b | c |\n| --- | ---: | ---: |\n| x | 1 | 2.5 |\n| y | - | 3 |"
    )


def test_table_without_rows() -> None:
    assert table(("a", "b"), []) == "| a | b |\n| --- | ---: |"


@pytest.mark.parametrize(("share", "text"), [(0.4894, "48.9"), (0.0, "0.0"), (1.0, "100.0"), (None, "-")])
def test_percent(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    found = well_calibrated(LABELS, photos=900)
    ten = restricted(found, ORIGIN_TEN)
    name = "all labels, leave-one-fold-out"
    row = {"photos": 52, "top1": 0.5, "top1_interval": [0.3688, 0.6312], "top3": 0.8, "top5": 0.9}
    row |= {"balanced": 0.4, "ece": 0.05}
    return {
        "handlens": "0.1.0",
        "run": {"settings": {"network": "lite2"}, "labels": list(LABELS), "photos": 950, "unusable_among_them": 50},
        "machine": "2 x Drawn CPU",
        "answers": calibrate(found, MINERALS).as_dict(),
        "answers_from": name,
        "protocols": {
            name: describe(found, MINERALS, alone(found)),
            "ten labels, leave-one-fold-out": describe(ten, MINERALS, alone(ten)),
        },
        "prediction_sets": sets(found),
        "wider_prediction_sets": sets(found, WIDER_COVERAGE),
        "selective": selective(found, MINERALS),
        "decisions": decisions(found, MINERALS),
        "field": {
            "photos": 60,
            "flat": row,
            "species": row | {"photos": 55},
            "ten labels": row | {"photos": 41},
            "unknown_photos": 5,
            "decisions": {
                "known": 55,
                "known_answered": 21,
                "known_answered_rightly": 17,
                "unknown": 5,
                "unknown_left_unknown": 3,
                "unknown_named_rightly_at_a_wider_rank": 1,
            },
        },
    }


def rows_of(text: str, first: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(f"| {first} |")
    ]


def test_headline_rows(report: dict[str, Any]) -> None:
    text = markdown(report)
    for name, found in report["protocols"].items():
        flat, species, chance = rows_of(text, name)
        shares = [percent(found["flat"][key]) for key in ("top1", "top3", "top5", "balanced", "macro_f1")]
        before, after = (f"{value:.3f}" for value in (found["ece_before_temperature"], found["flat"]["ece"]))
        assert flat == [name, str(found["flat"]["photos"]), *shares, before, after, f"{found['flat']['nll']:.2f}"]
        assert species[2] == percent(found["species"]["top1"])
        low, high = found["intervals"]["flat"]["top1"]
        assert low < found["flat"]["top1"] < high
        assert chance[1] == f"{percent(low)} to {percent(high)}"
        assert chance[-3:] == [f"{found['flat'][key]:.3f}" for key in ("ece", "ece_floor", "brier")]


def test_every_table_is_rectangular(report: dict[str, Any]) -> None:
    blocks = [block.splitlines() for block in markdown(report).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 11
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1
        assert len(block) > 2


def test_folds_labels_and_answers(report: dict[str, Any]) -> None:
    text = markdown(report)
    found = report["protocols"]["all labels, leave-one-fold-out"]
    first, _ten, in_sets = rows_of(text, "ben")
    assert first[1:3] == ["300", percent(found["folds"]["ben"]["top1"])]
    in_both = (report[key]["folds"]["ben"] for key in ("prediction_sets", "wider_prediction_sets"))
    assert in_sets[1:] == [cell for of in in_both for cell in (percent(of["coverage"]), str(of["size"]))]
    right = report["selective"]["species"]["right_at"]
    assert rows_of(text, "species, right")[0][1:4] == [percent(share) for share in right.values()]
    assert rows_of(text, "agate")[-1][-1] == percent(report["prediction_sets"]["per_label"]["agate"])
    assert [percent(found["per_label"]["agate"]["recall"])] == [row[2] for row in rows_of(text, "agate")]
    answered = percent(report["decisions"]["answered"])
    assert f"A name is given for {answered} % of the photos" in text
    assert "## What is answered (all labels, leave-one-fold-out)" in text
    assert f"temperature {report['answers']['temperature']:.2f}" in text


def test_field_rows_have_their_interval(report: dict[str, Any]) -> None:
    text = markdown(report)
    (ten,) = rows_of(text, "ten labels")
    assert ten == ["ten labels", "41", "50.0", "36.9 to 63.1", "80.0", "90.0", "40.0", "0.050"]
    assert re.search(r"Of 55 photos of known species 21 get a name, 17 rightly; of 5 others 3 are answered", text)


def test_without_field_and_ten_labels(report: dict[str, Any]) -> None:
    less = dict(report)
    del less["field"]
    less["protocols"] = {report["answers_from"]: report["protocols"][report["answers_from"]]}
    text = markdown(less)
    assert "Field" not in text
    assert "en labels" not in text
    none = report | {"field": report["field"] | {"ten labels": None, "flat": None}}
    assert rows_of(markdown(none), "ten labels") == []
    assert rows_of(markdown(none), "species")


def test_grouped_figures_stand_in_where_there_are_no_photographers(report: dict[str, Any]) -> None:
    name = "all labels, grouped 5-fold"
    text = markdown(report | {"answers_from": name, "protocols": {name: report["protocols"][report["answers_from"]]}})
    assert "## What is answered (all labels, grouped 5-fold)" in text
    assert "## All labels, grouped 5-fold, label by label" in text
    assert "leave-one-fold-out" not in text


def test_no_answer_at_all(report: dict[str, Any]) -> None:
    silent = report["decisions"] | {"answered": 0.0, "right_when_answered": None}
    assert "A name is given for 0.0 % of the photos and is right for - %" in markdown(report | {"decisions": silent})
