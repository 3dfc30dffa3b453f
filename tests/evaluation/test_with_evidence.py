"""The study of simulated tests: as if weighed one by one, calibrated where it should be, told as measured."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from evaluation.drawn_predictions import held_out_of, well_calibrated
from handlens._version import __version__
from handlens.cli.main import main
from handlens.decision import softmax
from handlens.evaluation.calibration import fit_temperature
from handlens.evaluation.describe import at_species
from handlens.evaluation.evidence_plots import WAYS, accuracy_by_tests
from handlens.evaluation.evidence_report import PUBLISHED, read_held_out
from handlens.evaluation.evidence_temperature import fit_evidence_temperature, tempered
from handlens.evaluation.metrics import measure
from handlens.evaluation.protocol import HeldOut
from handlens.evaluation.simulated_tests import simulate
from handlens.evaluation.with_evidence import COMPARED, RANKS, STRATEGIES, Study, log_likelihoods, study
from handlens.evidence import Evidence, FieldEvidence
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase
from handlens.next_test import Advice
from handlens.training.run import TrainSettings, load_run

LABELS = tuple(sorted(ORIGIN_TEN))
BASE = KnowledgeBase.load()


def groups_of(held: HeldOut) -> Any:
    return (np.arange(len(held.truth)) // 2).astype(str)


@pytest.fixture(scope="module")
def held() -> HeldOut:
    return well_calibrated(LABELS, photos=300, temperature=2.0, spread=1.2)


@pytest.fixture(scope="module")
def found(held: HeldOut) -> Study:
    return study(held, groups_of(held), BASE, draws=4, quiet=True)


def test_all_answers_at_once_weigh_what_evidence_weighs_one_by_one(held: HeldOut) -> None:
    evidence = FieldEvidence(LABELS, BASE)
    answers = simulate(evidence.table, held.truth[:20], (0.1,), np.random.default_rng(0))[0]
    likelihoods = log_likelihoods(evidence, answers)
    for photo in range(20):
        given = {test: str(texts[photo]) for test, texts in answers.items()}
        prior = held.probabilities[photo]
        summed = sum(likelihoods[test][text] for test, text in given.items())
        weighed = evidence.weigh(prior, Evidence.of(given)).probabilities
        np.testing.assert_allclose(softmax(np.log(prior) + summed, 1.0), weighed, rtol=1e-9)


def test_shares_are_those_of_tests_weighed_and_advised_one_by_one() -> None:
    small = well_calibrated(LABELS, photos=25, spread=1.0, seed=3)
    evidence, draws = FieldEvidence(LABELS, BASE), 2
    advice = Advice(evidence, BASE)
    answers = simulate(evidence.table, np.repeat(small.truth, draws), (0.1,), np.random.default_rng(6))[0]
    strategies = ("hardness, streak", "best x1", "best x3", "best, no balance x3", "hardness, streak, best")
    right = dict.fromkeys(strategies, 0)
    for at, true in enumerate(np.repeat(small.truth, draws)):
        prior = small.probabilities[at // draws]
        for strategy in right:
            first = ("hardness", "streak") if strategy.startswith("hardness") else ()
            more = {"hardness, streak": 0, "best x1": 1, "hardness, streak, best": 1}.get(strategy, 3)
            missing = {"gravity"} if "no balance" in strategy else set()
            given = {test: str(answers[test][at]) for test in first}
            for _ in range(more):
                now = evidence.weigh(prior, Evidence.of(given)).probabilities
                if (following := advice.best(now, missing | given.keys())) is not None:
                    given[following.test] = str(answers[following.test][at])
            right[strategy] += int(evidence.weigh(prior, Evidence.of(given)).probabilities.argmax() == true)
    scores = study(small, groups_of(small), BASE, draws=draws, rates=(0.1,), seed=6, quiet=True)
    for strategy, count in right.items():
        assert scores.rates[0.1].ranks["flat"].scores[strategy].top1 == pytest.approx(count / 50), strategy


def test_tests_help_and_stay_calibrated(found: Study) -> None:
    assert (found.photos, found.groups, found.labels, found.draws) == (300, 150, 10, 4)
    usual = found.rates[0.05].ranks["species"].scores
    assert usual.keys() == set(STRATEGIES)
    assert usual["image"].top1 < usual["hardness"].top1 < usual["hardness, streak"].top1 < usual["best x3"].top1
    assert usual["random x1"].top1 < usual["best x1"].top1 <= usual["most bits x1"].top1 + 0.02
    assert usual["image"].removed == 0
    for scores in usual.values():
        assert scores.top1_interval[0] <= scores.top1 <= scores.top1_interval[1]
        assert scores.removed == pytest.approx((scores.top1 - usual["image"].top1) / (1 - usual["image"].top1))
        assert scores.removed_interval[0] <= scores.removed <= scores.removed_interval[1]
    # The photo is calibrated and tests go wrong as often as evidence reckons with: so is what comes of them.
    assert max(usual[one].ece for one in ("hardness", "hardness, streak", "best x2")) < 0.05
    many = found.rates[0.1].ranks["species"].scores
    assert all(many[one].top1 < usual[one].top1 for one in ("hardness", "best x2", "hardness, streak, best"))
    assert many["image"] == usual["image"]


def test_the_photo_alone_has_the_figures_of_the_evaluation(held: HeldOut, found: Study) -> None:
    species, truth, _ = at_species(held.probabilities, held.truth, LABELS, BASE)
    for rank, wanted in (("flat", measure(held.probabilities, held.truth)), ("species", measure(species, truth))):
        scores = found.rates[0.1].ranks[rank].scores["image"]
        assert scores.top1 == pytest.approx(wanted.top1)
        assert scores.balanced == pytest.approx(wanted.balanced)
        assert scores.ece == pytest.approx(wanted.ece)


def test_photos_of_one_specimen_count_once() -> None:
    one = well_calibrated(LABELS, photos=60, spread=1.2)
    five = HeldOut(LABELS, *(np.repeat(part, 5, axis=0) for part in _parts(one)))
    apart, together = (
        study(five, groups.astype(str), BASE, draws=1, rates=(0.05,), quiet=True).rates[0.05].ranks["flat"]
        for groups in (np.arange(300), np.repeat(np.arange(60), 5))
    )
    widths = [high - low for low, high in (at.scores["image"].top1_interval for at in (apart, together))]
    assert widths[1] == pytest.approx(np.sqrt(5) * widths[0], rel=0.15)


def _parts(held: HeldOut) -> tuple[Any, ...]:
    return held.logits, held.truth, held.folds, held.places, held.temperatures


def test_differences_are_those_of_the_shares(found: Study) -> None:
    for at in found.rates.values():
        for rank in RANKS:
            scores, differences = at.ranks[rank].scores, at.ranks[rank].differences
            assert differences.keys() == set(COMPARED)
            for (one, other), difference in differences.items():
                assert difference.share == pytest.approx(scores[one].top1 - scores[other].top1)
                assert difference.low <= difference.share <= difference.high


def test_what_was_chosen_is_told(found: Study) -> None:
    chosen = found.rates[0.05].chosen
    assert chosen["hardness, streak, acid"] == {"acid": 1.0}
    assert all(sum(shares.values()) == pytest.approx(1) for shares in chosen.values())
    assert len(chosen["random x1"]) == 15
    assert "gravity" in chosen["best x1"]
    assert not any("gravity" in chosen[f"best, no balance x{count}"] for count in (1, 2, 3))
    assert set(found.not_known.values()) == {0.0}


def test_a_label_that_the_base_does_not_know_is_not_tested() -> None:
    odd = well_calibrated(("calcite", "drawn zigzag", "quartz"), photos=60)
    told = study(odd, groups_of(odd), BASE, draws=2, rates=(0.05,), quiet=True)
    share = float(np.mean(odd.truth == 1))
    assert all(missing == pytest.approx(share) for missing in told.not_known.values())
    assert share > 0


def test_the_temperature_is_found_through_the_evidence() -> None:
    """Labels are drawn at temperature 2, and the tests follow their likelihoods: nothing else fits both."""
    many = well_calibrated(LABELS, photos=3000, temperature=2.0, spread=1.2)
    evidence = FieldEvidence(LABELS, BASE)
    answers = simulate(evidence.table, many.truth, (0.05,), np.random.default_rng(1))[0]
    likelihoods = log_likelihoods(evidence, answers)
    summed = np.stack([likelihoods["hardness"][str(text)] for text in answers["hardness"]])[:, np.newaxis]
    assert fit_evidence_temperature(many.logits, summed, many.truth) == pytest.approx(2, rel=0.1)
    nothing = np.zeros((len(many.truth), 1, len(LABELS)))
    alone = fit_evidence_temperature(many.logits, nothing, many.truth)
    assert alone == pytest.approx(fit_temperature(many.logits, many.truth), rel=0.01)
    assert fit_evidence_temperature(np.full((3, 2), -np.inf), np.zeros((3, 1, 2)), np.zeros(3, np.intp)) == 1.0


def test_refitting_mends_a_temperature_that_is_wrong(held: HeldOut) -> None:
    cold = HeldOut(held.labels, held.logits, held.truth, held.folds, held.places, np.full(len(held.truth), 0.7))
    told = study(cold, groups_of(cold), BASE, draws=2, rates=(0.05,), quiet=True).rates[0.05]
    mended = told.ranks["species"].tempered["hardness"]
    assert mended.temperature_before == pytest.approx(0.7)
    assert 1.5 < mended.temperature_own < 2.7
    assert 1.5 < mended.temperature_shared < 2.7
    assert 1.5 < told.temperature < 2.7
    assert mended.ece_own < mended.ece_before - 0.05
    assert mended.nll_own < mended.nll_before
    assert mended.nll_shared < mended.nll_before


def test_temperatures_are_fitted_on_the_other_folds() -> None:
    warm, cold = (well_calibrated(LABELS, photos=400, temperature=value) for value in (3.0, 0.8))
    logits, truth = np.concatenate([warm.logits, cold.logits]), np.concatenate([warm.truth, cold.truth])
    both = held_out_of(LABELS, logits, truth, np.repeat(["warm", "cold"], 400))
    nothing = np.zeros((800, 1, len(LABELS)))
    found = tempered(both, {"image": nothing}, ["image"], np.eye(len(LABELS)))["image"]
    wanted = np.concatenate(
        [
            -np.log(softmax(part.logits, fit_temperature(other.logits, other.truth))[np.arange(400), part.truth])
            for part, other in ((warm, cold), (cold, warm))
        ]
    )
    assert found.nll_own == pytest.approx(wanted.mean(), rel=0.01)
    assert found.nll_shared == pytest.approx(found.nll_own)


def test_a_label_unknown_to_a_fold_breaks_nothing() -> None:
    logits = np.random.default_rng(0).normal(size=(60, 3))
    folds = np.array(["ann", "ben"])[np.arange(60) % 2]
    logits[folds == "ann", 2] = -np.inf
    lacking = held_out_of(("calcite", "fluorite", "quartz"), logits, np.arange(60) % 3, folds)
    told = study(lacking, groups_of(lacking), BASE, draws=2, rates=(0.05,), quiet=True).rates[0.05]
    scores = told.ranks["flat"].scores["best x1"]
    assert np.isfinite([scores.top1, scores.ece, told.temperature]).all()
    assert scores.top1 <= 5 / 6  # no test can name it


def test_the_curves_have_the_shares_of_the_tables(found: Study) -> None:
    figure = accuracy_by_tests(found, "Ten labels")
    assert len(figure.axes) == 2
    for axes, (rate, at) in zip(figure.axes, found.rates.items(), strict=True):
        assert axes.get_title() == f"{100 * rate:g} % of the tests go wrong"
        scores = at.ranks["species"].scores
        curves = {one.get_label(): one for one in axes.containers if isinstance(one, ErrorbarContainer)}
        assert curves.keys() == WAYS.keys()
        for way, strategies in WAYS.items():
            line = curves[way].lines[0]
            assert line is not None
            wanted = [scores[one].top1 for one in ("image", *strategies)]
            np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), wanted)
    told = 100 * found.rates[0.05].ranks["species"].scores["best x1"].top1
    assert f"{told:.1f} %" in str(figure.get_label())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made_run(tmp_path, LABELS, ("ten labels, leave-one-fold-out", "ten labels, grouped 5-fold"))


def made_run(tmp_path: Path, labels: tuple[str, ...], names: tuple[str, ...]) -> Path:
    """A run that was evaluated, as `train` and `evaluate` leave it, with drawn predictions."""
    part = well_calibrated(labels, photos=60)
    manifest = tmp_path / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label", "group", "split", "fold"))
        rows.writerow(("broken.jpg", "quartz", "broken", "train", "ann"))
        rows.writerows(
            (f"{place}.jpg", labels[true], f"g{place // 2}", "train", part.folds[place])
            for place, true in enumerate(part.truth)
        )
    folder = tmp_path / "run"
    (folder / "evaluation").mkdir(parents=True)
    record = {
        "handlens": __version__,
        "kind": "head",
        "source": str(manifest),
        "settings": asdict(TrainSettings()),
        "labels": list(labels),
        "failures": [["broken.jpg", "bad-photo", "cannot be read"]],
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    report = {
        "run": {key: value for key, value in record.items() if key not in ("source", "failures")},
        "answers": {},
        "answers_from": names[0],
        **{key: {} for key in ("protocols", "prediction_sets", "wider_prediction_sets", "selective", "decisions")},
    }
    (folder / "evaluation" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    arrays: dict[str, Any] = {
        f"{name}/{key}": np.asarray(getattr(part, key))
        for name in names
        for key in ("labels", "logits", "truth", "folds", "places")
    }
    np.savez_compressed(folder / "evaluation" / "held_out.npz", **arrays)
    return folder


def test_the_command_writes_figures_tables_and_plots(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--evidence"]) == 0
    report = json.loads((run / "evaluation" / "evidence.json").read_text(encoding="utf-8"))
    assert list(report["protocols"]) == ["ten labels, leave-one-fold-out"]
    part = report["protocols"]["ten labels, leave-one-fold-out"]
    assert (part["photos"], part["groups"], report["draws"]) == (60, 30, 20)
    assert part["mistakes"].keys() == {"0.05", "0.1"}
    assert 0.5 < report["temperature_with_evidence"] < 5
    text = (run / "evaluation" / "evidence.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"{text}\n"
    assert "90.6 %" in PUBLISHED
    assert "without error" in PUBLISHED
    assert PUBLISHED in text
    for strategy, row in part["mistakes"]["0.05"]["species"]["strategies"].items():
        assert f"| {strategy} | {100 * row['top1']:.1f} | " in text
    for kind in ("svg", "png"):
        assert (run / "evaluation" / "plots" / f"evidence-ten-labels.{kind}").stat().st_size > 1000


def test_of_a_wider_model_the_ten_are_chosen_among_all(tmp_path: Path) -> None:
    labels = tuple(sorted({*ORIGIN_TEN, "galena", "gold"}))
    assert main(["evaluate", str(made_run(tmp_path, labels, ("all labels, leave-one-fold-out",))), "--evidence"]) == 0
    report = json.loads((tmp_path / "run" / "evaluation" / "evidence.json").read_text(encoding="utf-8"))
    whole, ten = report["protocols"].values()
    assert list(report["protocols"])[1] == "ten labels among all, leave-one-fold-out"
    truth = np.array(labels)[well_calibrated(labels, photos=60).truth]
    assert (whole["photos"], ten["photos"]) == (60, np.isin(truth, ORIGIN_TEN).sum())
    assert (whole["labels"], ten["labels"]) == (12, 10)
    assert (tmp_path / "run" / "evaluation" / "plots" / "evidence-ten-labels-among-all.svg").is_file()


def test_predictions_are_read_as_they_were_made(run: Path) -> None:
    part, again = well_calibrated(LABELS, photos=60), read_held_out(load_run(run))["ten labels, grouped 5-fold"]
    assert again.labels == part.labels
    np.testing.assert_array_equal(again.probabilities, part.probabilities)


def test_what_cannot_be_measured_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--evidence", "--field"]) == 2
    assert "leave the other options out" in capsys.readouterr().err
    manifest = run.parent / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join([lines[0], *lines[2:]]), encoding="utf-8")
    assert main(["evaluate", str(run), "--evidence"]) == 0  # what could not be read before is not missed
    manifest.write_text("".join([lines[0], *lines[3:]]), encoding="utf-8")
    assert main(["evaluate", str(run), "--evidence"]) == 1
    assert "have changed since" in capsys.readouterr().err
    (run / "evaluation" / "held_out.npz").write_bytes(b"PK\x03\x04 cut off")
    assert main(["evaluate", str(run), "--evidence"]) == 1
    assert "held_out.npz: cannot be read" in capsys.readouterr().err
    (run / "evaluation" / "report.json").unlink()
    assert main(["evaluate", str(run), "--evidence"]) == 1
    assert "run handlens evaluate first" in capsys.readouterr().err
