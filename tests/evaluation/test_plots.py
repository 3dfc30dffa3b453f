"""Figures show the numbers they claim to, are the same bytes every time, and leave no state behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from evaluation.drawn_predictions import held_out_of, well_calibrated
from handlens.decision import softmax
from handlens.evaluation.metrics import calibration_error, per_label, wilson_interval
from handlens.evaluation.plots import (
    BadHistoryError,
    ComparisonRow,
    ConfusedPair,
    Curve,
    comparison_bars,
    comparison_curves,
    confused_pairs,
    confusion_matrix,
    learning_curves,
    most_confused,
    per_class_bars,
    read_curve,
    reliability,
    reliability_bins,
    risk_coverage,
    write_figures,
    write_plots,
)
from handlens.evaluation.protocol import HeldOut

LABELS = ("amethyst", "calcite", "copper", "quartz")
HOSTILE = ("<script>alert(1)</script>", "costs $5 or $6", "\x00\x1b[31m\u202e", "晶" * 60)
HEADER = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n"


def answered(pairs: Sequence[tuple[str, str, int]], labels: Sequence[str] = LABELS) -> HeldOut:
    """Held-out predictions: so many photos of a label, answered with another."""
    truth = np.array([labels.index(true) for true, _, photos in pairs for _ in range(photos)], np.intp)
    named = [labels.index(name) for _, name, photos in pairs for _ in range(photos)]
    logits = np.zeros((len(truth), len(labels)))
    logits[np.arange(len(truth)), named] = 2.0
    return held_out_of(labels, logits, truth, np.array(["ann", "ben"])[np.arange(len(truth)) % 2])


FOUND = answered(
    [
        ("amethyst", "amethyst", 6),
        ("amethyst", "quartz", 4),
        ("copper", "copper", 1),
        ("quartz", "quartz", 5),
        ("quartz", "amethyst", 4),
        ("quartz", "calcite", 7),
    ]
)


def curve(name: str, losses: Sequence[float], *, validated: bool = True) -> Curve:
    count = len(losses)
    judged = tuple(losses) if validated else (float("nan"),) * count
    shares = tuple(1 / (1 + loss) for loss in losses)
    epochs = tuple(range(1, count + 1))
    return Curve(name, epochs, tuple(loss / 2 for loss in losses), shares, judged, shares, (1e-3,) * count)


def labels_of(axes: Axes, axis: str = "y") -> list[str]:
    return [tick.get_text() for tick in (axes.get_yticklabels() if axis == "y" else axes.get_xticklabels())]


def points(line: Line2D, axis: str) -> NDArray[np.float64]:
    return np.asarray(line.get_xdata() if axis == "x" else line.get_ydata(), np.float64)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def table_of(axes: Axes) -> NDArray[np.int64]:
    """The counts written into the cells of a confusion matrix."""
    table = np.zeros((len(labels_of(axes)),) * 2, np.int64)
    for text in axes.texts:
        column, row = text.get_position()
        table[int(row), int(column)] = int(text.get_text())
    return table


def test_confusion_matrix_has_true_labels_as_rows() -> None:
    figure = confusion_matrix(FOUND)
    axes = figure.axes[0]
    expected = np.array([[6, 0, 0, 4], [0, 0, 0, 0], [0, 0, 1, 0], [4, 7, 0, 5]])
    np.testing.assert_array_equal(table_of(axes), expected)
    assert labels_of(axes) == labels_of(axes, "x") == list(LABELS)
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true label", "answered")
    shares = axes.images[0].get_array()
    assert isinstance(shares, np.ma.MaskedArray)
    np.testing.assert_allclose(shares[[0, 2, 3]], expected[[0, 2, 3]] / [[10], [1], [16]])
    assert np.ma.getmaskarray(shares)[1].all()  # no photo of calcite: no share either
    assert figure.get_label() == "Confusion matrix: 12 of 27 photos (44.4 %) named rightly, on the diagonal."


def test_confusion_matrix_of_many_labels_has_colours_only() -> None:
    labels = [f"mineral {number:02}" for number in range(89)]
    found = well_calibrated(labels, photos=1900)
    axes = confusion_matrix(found).axes[0]
    assert not axes.texts
    assert labels_of(axes) == labels
    shares = axes.images[0].get_array()
    assert shares is not None
    for place in (0, 41, 88):
        here = found.truth == place
        np.testing.assert_allclose(
            shares[place], np.bincount(found.logits[here].argmax(axis=1), minlength=89) / here.sum()
        )


@pytest.mark.parametrize("size", [2, 10, 30, 89])
def test_names_of_a_confusion_matrix_do_not_overlap(size: int) -> None:
    figure = confusion_matrix(well_calibrated([f"mineral {number:02}" for number in range(size)], photos=200))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for names, side in ((axes.get_yticklabels(), "y"), (axes.get_xticklabels(), "x")):
        boxes = sorted((name.get_window_extent() for name in names), key=lambda box: float(getattr(box, f"{side}0")))
        for before, after in pairwise(boxes):
            assert getattr(before, f"{side}1") <= getattr(after, f"{side}0") + 1


def test_most_confused_come_in_order() -> None:
    assert most_confused(FOUND) == (
        ConfusedPair("quartz", "calcite", 7, 16),
        ConfusedPair("amethyst", "quartz", 4, 10),  # as many as the next, but of fewer
        ConfusedPair("quartz", "amethyst", 4, 16),
    )
    assert len(most_confused(FOUND, 2)) == 2


def test_confused_pairs_are_bars_in_order() -> None:
    figure = confused_pairs(FOUND)
    axes = figure.axes[0]
    assert labels_of(axes) == ["quartz → calcite", "amethyst → quartz", "quartz → amethyst"]
    assert [bar.get_width() for bar in axes.patches] == [7, 4, 4]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["7 of 16", "4 of 10", "4 of 16"]
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first is above
    assert figure.get_label() == "Most confused pairs: these 3 are 15 of 15 wrong answers."
    assert confused_pairs(FOUND, 1).get_label() == "Most confused pairs: these 1 are 7 of 15 wrong answers."


def test_without_wrong_answers_there_is_no_pair() -> None:
    found = answered([("quartz", "quartz", 5), ("copper", "copper", 3)])
    assert most_confused(found) == ()
    assert confused_pairs(found).get_label() == "Most confused pairs: no photo was named wrongly."


def test_reliability_bins_are_those_of_the_calibration_error() -> None:
    found = well_calibrated(LABELS, photos=997)
    confidence = found.probabilities.max(axis=1)
    right = found.logits.argmax(axis=1) == found.truth
    bins = reliability_bins(confidence, right)
    assert sorted(part.photos for part in bins) == [99] * 3 + [100] * 7
    assert [part.confidence for part in bins] == sorted(part.confidence for part in bins)
    error = sum(part.photos * abs(part.confidence - part.right) for part in bins) / 997
    assert error == pytest.approx(calibration_error(confidence, right))
    assert len(reliability_bins(confidence[:4], right[:4])) == 4


def test_risk_and_coverage_end_at_the_share_of_wrong_answers() -> None:
    found = well_calibrated(LABELS)
    figure = risk_coverage(found)
    (axes,) = figure.axes
    line, dots, level = axes.lines
    wrong = float(np.mean(found.logits.argmax(axis=1) != found.truth))
    assert np.asarray(line.get_xdata())[-1] == 1.0
    assert np.asarray(line.get_ydata())[-1] == pytest.approx(wrong)
    assert np.asarray(level.get_ydata())[0] == pytest.approx(wrong)
    assert np.asarray(dots.get_xdata()).tolist() == [0.5, 0.8, 0.95]
    assert np.asarray(dots.get_ydata())[0] < wrong
    assert "right of the surest 50%" in str(figure.get_label())


def test_reliability_shows_both_errors_and_the_mass() -> None:
    found = well_calibrated(LABELS, photos=900, temperature=3.0)
    raw = softmax(found.logits, 1.0)
    figure = reliability(found)
    right = found.logits.argmax(axis=1) == found.truth
    before, after = (calibration_error(table.max(axis=1), right) for table in (raw, found.probabilities))
    assert before > 2 * after
    assert legend(figure)[1:] == [f"before temperature: ECE {before:.3f}", f"after temperature: ECE {after:.3f}"]
    assert f"{before:.3f} before temperature, {after:.3f} after" in str(figure.get_label())
    axes, below = figure.axes
    for line, table in zip(axes.lines[1:3], (raw, found.probabilities), strict=True):
        bins = reliability_bins(table.max(axis=1), right)
        np.testing.assert_allclose(points(line, "x"), [part.confidence for part in bins])
        np.testing.assert_allclose(points(line, "y"), [part.right for part in bins])
    for steps, table in zip(below.patches, (raw, found.probabilities), strict=True):
        # Every other step of the outline is the top of a bin of the histogram.
        tops = np.asarray(steps.get_path().vertices)[1:-1:2, 1]
        np.testing.assert_array_equal(tops, np.histogram(table.max(axis=1), bins=20, range=(0, 1))[0])


def test_per_class_bars_have_interval_precision_and_photos() -> None:
    figure = per_class_bars(per_label(FOUND.probabilities, FOUND.truth, FOUND.labels))
    axes = figure.axes[0]
    assert labels_of(axes) == ["copper (1)", "amethyst (10)", "quartz (16)"]
    recall = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert recall == [1.0, 0.6, 0.3125]
    np.testing.assert_allclose(points(axes.lines[0], "x"), [1.0, 0.6, 0.5556])
    whiskers = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    for (low, high), (hits, photos) in zip(whiskers, ((1, 1), (6, 10), (5, 16)), strict=True):
        np.testing.assert_allclose((low[0], high[0]), wilson_interval(hits, photos), atol=1e-9)
    assert figure.get_label() == "Label by label: recall from 31.2 % (quartz) to 100.0 % (copper)."


def test_learning_curves_mark_the_least_validation_loss() -> None:
    figure = learning_curves([curve("whole", [2.0, 1.0, 1.5]), curve("fold a", [2.5, 1.2])])
    loss, accuracy, rate = figure.axes
    trained, judged, best = loss.lines[:3]
    np.testing.assert_allclose(points(trained, "y"), [1.0, 0.5, 0.75])
    np.testing.assert_allclose(points(judged, "y"), [2.0, 1.0, 1.5])
    assert (list(points(best, "x")), list(points(best, "y"))) == ([2], [1.0])
    np.testing.assert_allclose(points(accuracy.lines[1], "y"), [1 / 3, 1 / 2, 1 / 2.5])
    assert len(rate.lines) == 2
    assert legend(figure) == ["whole", "fold a", "training", "validation, least loss marked"]
    assert figure.get_label() == "Learning curves: 2 trainings of 2 to 3 epochs."
    alone = learning_curves([curve("whole", [2.0, 1.0, 1.5])])
    assert alone.get_label() == "Learning curves: validation loss is least after epoch 2 of 3."


def test_learning_curves_without_validation() -> None:
    figure = learning_curves([curve("final", [2.0, 1.0], validated=False)])
    assert len(figure.axes[0].lines) == 1
    assert legend(figure) == ["final", "training"]
    assert figure.get_label() == "Learning curves: 2 epochs without validation."


@pytest.mark.parametrize("rate", [7e-4, 1e-3, 3e-6])
def test_a_learning_rate_has_a_number_beside_it(rate: float) -> None:
    one = Curve("one", (1, 2), (1.0, 0.5), (0.1, 0.2), (1.0, 0.6), (0.1, 0.2), (rate, rate))
    figure = learning_curves([one])
    figure.draw_without_rendering()
    axes = figure.axes[2]
    low, high = axes.get_ylim()
    shown = [float(label) for label in labels_of(axes) if label and low <= float(label) <= high]
    assert shown
    assert low < rate < high


def test_no_curve_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no curve"):
        learning_curves([])
    with pytest.raises(ValueError, match="no curve"):
        comparison_curves({"cnn-1": []})
    with pytest.raises(ValueError, match="nothing to compare"):
        comparison_bars([])


ROWS = (
    ComparisonRow("cnn-1", 1_739_594, 0.52, 0.48, 0.49, 600.0, 7.1, 3.2, 43),
    ComparisonRow("cnn-2", 529_098, 0.48, 0.43, 0.45, 402.0, 2.2, 2.9, 61.5),
)


def test_comparison_bars_have_every_figure() -> None:
    figure = comparison_bars(ROWS)
    quality, *costs = figure.axes
    widths = [bar.get_width() for bar in quality.patches]  # type: ignore[attr-defined]
    assert widths == [0.52, 0.48, 0.48, 0.43, 0.49, 0.45]
    assert legend(figure) == ["accuracy", "macro-F1", "balanced accuracy"]
    written = {axes.get_xlabel(): [text.get_text() for text in axes.texts] for axes in costs}
    assert written == {
        "parameters, millions": ["1,739,594", "529,098"],
        "size, MB": ["7.1", "2.2"],
        "time a photo, ms": ["3.2", "2.9"],
        "training, minutes": ["10.0 (43 epochs)", "6.7 (61.5 epochs)"],
    }
    assert all(labels_of(axes) == ["cnn-1", "cnn-2"] for axes in figure.axes)
    assert figure.get_label() == "Comparison: cnn-1 names most photos rightly, 52.0 %."


def test_comparison_curves_have_folds_and_a_mean_as_long_as_all_of_them() -> None:
    folds = {"cnn-1": [curve("a", [2.0, 1.0, 0.5]), curve("b", [3.0, 2.0])], "cnn-2": [curve("c", [1.0, 0.9])]}
    figure = comparison_curves(folds)
    first, second, mean, alone = figure.axes[0].lines
    np.testing.assert_allclose(points(first, "y"), [2.0, 1.0, 0.5])
    np.testing.assert_allclose(points(second, "y"), [3.0, 2.0])
    np.testing.assert_allclose(points(mean, "y"), [2.5, 1.5])
    np.testing.assert_allclose(points(alone, "y"), [1.0, 0.9])
    assert mean.get_color() == first.get_color() != alone.get_color()
    assert legend(figure) == ["cnn-1", "cnn-2", "a fold", "mean of the folds"]


def test_read_curve(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{HEADER}1,2.3,0.1,2.2,0.2,0.001,3.5\n2,nan,0.3,,,0.0008,3.4\n")
    found = read_curve(path, "whole")
    assert (found.name, found.epochs, found.accuracy) == ("whole", (1, 2), (0.1, 0.3))
    assert found.learning_rate == (0.001, 0.0008)
    assert found.val_loss[0] == 2.2
    assert np.isnan([found.loss[1], found.val_loss[1], found.val_accuracy[1]]).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no epoch"),
        (HEADER, "no epoch"),
        (f"{HEADER}1,2.3,0.1,2.2,0.2,0.001,3\n2,1.9,0.2,2", "row 2 is damaged"),
        (f"{HEADER}1,,0.1,2.2,0.2,0.001,3\n", "row 1 is damaged"),
        (f"{HEADER}one,2.3,0.1,2.2,0.2,0.001,3\n", "row 1 is damaged"),
        (f"{HEADER}1,2.3,0.1,2.2,0.2,0.001,3\n1,2.3,0.1,2.2,0.2,0.001,3\n", "row 2 is damaged: epoch 1 follows"),
        ("epoch,loss\n1,2.3\n", "row 1 is damaged"),
        (f'{HEADER}1,"2.3\n', "not a CSV file"),
    ],
)
def test_a_damaged_history_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(BadHistoryError, match=said) as caught:
        read_curve(path, "whole")
    assert str(path) in caught.value.detail
    assert caught.value.code == "bad-history"


def test_a_history_that_is_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(BadHistoryError, match="cannot be read"):
        read_curve(tmp_path / "history.csv", "whole")
    (tmp_path / "history.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadHistoryError, match="not a CSV file"):
        read_curve(tmp_path / "history.csv", "whole")


def plots_into(folder: Path, found: HeldOut, curves: Sequence[Curve]) -> dict[str, str]:
    return write_plots(folder, found, per_label(found.probabilities, found.truth, found.labels), curves)


def test_plots_are_files_of_the_same_bytes_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = plots_into(tmp_path / "first", FOUND, [curve("whole", [2.0, 1.0])])
    drawn = ["confusion-matrix", "confused-pairs", "label-by-label", "reliability", "risk-coverage", "learning-curves"]
    assert list(texts) == drawn
    # Neither the time nor the user's own settings are to be seen.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with mpl.rc_context({"font.size": 22, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert plots_into(tmp_path / "second", FOUND, [curve("whole", [2.0, 1.0])]) == texts
        assert mpl.rcParams["font.size"] == 22
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == sorted(f"{name}.{kind}" for name in texts for kind in ("svg", "png"))
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    for name, text in texts.items():
        assert (tmp_path / "first" / f"{name}.svg").read_text("utf-8") == text
        with Image.open(tmp_path / "first" / f"{name}.png") as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 200


def test_an_svg_says_what_it_shows_and_asks_for_nothing(tmp_path: Path) -> None:
    for text in plots_into(tmp_path, FOUND, [curve("whole", [2.0, 1.0])]).values():
        root = ElementTree.fromstring(text)
        title = root.find("{http://www.w3.org/2000/svg}title")
        assert title is not None
        assert str(title.text).endswith(".")
        assert ">calcite<" in text or "calcite" not in str(title.text)
        for element in root.iter():
            for key, value in element.attrib.items():
                if key.endswith("href"):
                    assert value.startswith(("#", "data:image/png"))
        assert not re.search(r"<script|@import|url\((?!#)", text)


def test_learning_curves_of_an_earlier_evaluation_go(tmp_path: Path) -> None:
    plots_into(tmp_path, FOUND, [curve("whole", [2.0, 1.0])])
    assert "learning-curves" not in plots_into(tmp_path, FOUND, [])
    assert not list(tmp_path.glob("learning-curves.*"))
    assert len(list(tmp_path.iterdir())) == 10


@pytest.mark.filterwarnings("error")
def test_names_of_labels_are_text_and_nothing_else(tmp_path: Path) -> None:
    found = answered([(HOSTILE[0], HOSTILE[1], 3), (HOSTILE[2], HOSTILE[3], 2), (HOSTILE[1], HOSTILE[1], 4)], HOSTILE)
    texts = plots_into(tmp_path, found, [curve(HOSTILE[0], [2.0, 1.0]), curve("_hidden $x$", [2.0, 1.0])])
    for text in texts.values():
        ElementTree.fromstring(text)  # well formed in spite of control characters
        assert "<script" not in text
    words = ["".join(element.itertext()) for element in ElementTree.fromstring(texts["confusion-matrix"]).iter()]
    assert {"<script>alert(1)</script>", "costs $5 or $6", "\\x00\\x1b[31m\\u202e"} <= set(words)
    assert "晶" * 39 + "…" in words
    assert "_hidden $x$" in texts["learning-curves"]


def test_figures_have_no_pyplot_and_no_display(tmp_path: Path) -> None:
    figure = comparison_bars(ROWS)
    assert figure.canvas.manager is None
    (tmp_path / "compare").mkdir()
    (name,) = write_figures(tmp_path / "compare", {"bars": figure})
    assert name == "bars"
