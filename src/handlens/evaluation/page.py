"""The report as one HTML file that asks for nothing: tables, and figures as SVG within the page.

Jinja2 escapes every text; names of labels and folders are foreign. There is no script, and the page's
Content-Security-Policy forbids one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from handlens._version import __version__
from handlens.evaluation.metrics import wilson_interval
from handlens.evaluation.tables import percent
from handlens.safe_text import terminal

__all__ = ["Table", "report_page"]

_FOLDER: Final = Path(__file__).parent / "templates"
_SHARES: Final = ("top1", "top3", "top5", "balanced", "macro_f1")
_SHARE_NAMES: Final = ("top-1", "top-3", "top-5", "balanced", "macro-F1")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; the first column is text, the others are numbers."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of the page: an anchor, what it shows, and its SVG."""

    name: str
    told: str
    svg: Markup


def report_page(report: Mapping[str, Any], plots: Mapping[str, str], title: str) -> str:
    """The whole page of the report of `handlens evaluate`.

    `plots`: the text of SVGs by name, in the order they are shown, as `write_plots` returns them. Where the report has
    `confused_pairs` (rows of `ConfusedPair` as dicts), they are a table.
    """
    basis = report["answers_from"]
    protocols = report["protocols"]
    return _template().render(
        title=title,
        version=__version__,
        report=report,
        run=report["run"],
        basis=basis,
        headline=protocols[basis]["flat"],
        style=Markup((_FOLDER / "report.css").read_text("utf-8")),  # of the package, and the only text not escaped
        protocols=[_protocols(protocols), _species(protocols), _chance(protocols)],
        plots=[_plot(name, svg) for name, svg in plots.items()],
        answers=[
            _ranks(report["decisions"]),
            _selective(report["selective"]),
            _sets(report["prediction_sets"]),
            _sets(report["wider_prediction_sets"]),
        ],
        field=_field(report["field"]) if "field" in report else None,
        pairs=_pairs(report["confused_pairs"]) if report.get("confused_pairs") else None,
        folds={name: _folds(name, found["folds"]) for name, found in protocols.items()},
        labels={name: _labels(name, found["per_label"]) for name, found in protocols.items()},
        settings=list(_flat(report["run"].get("settings", {}))),
    )


def _protocols(protocols: Mapping[str, Any]) -> Table:
    return Table(
        "Label for label, shares in per cent",
        ("protocol", "photos", *_SHARE_NAMES, "ECE before", "ECE", "NLL"),
        tuple(
            (*_figures(name, found["flat"]), f"{found['ece_before_temperature']:.3f}", *_errors(found["flat"]))
            for name, found in protocols.items()
        ),
    )


def _species(protocols: Mapping[str, Any]) -> Table:
    return Table(
        "At species rank, where a variety counts as its species",
        ("protocol", "photos", *_SHARE_NAMES, "ECE", "NLL"),
        tuple((*_figures(name, found["species"]), *_errors(found["species"])) for name, found in protocols.items()),
    )


def _chance(protocols: Mapping[str, Any]) -> Table:
    def intervals(found: Mapping[str, Any]) -> Iterable[str]:
        for figure in ("top1", "balanced", "top5"):
            low, high = found["intervals"]["flat"][figure]
            yield f"{percent(low)} to {percent(high)}"

    return Table(
        "How much of it is chance: 95 % intervals over groups of photos, and the calibration error that perfectly "
        "calibrated answers would show (floor)",
        ("protocol", "top-1", "balanced", "top-5", "ECE", "its floor", "Brier"),
        tuple(
            (name, *intervals(found), *(f"{found['flat'][key]:.3f}" for key in ("ece", "ece_floor", "brier")))
            for name, found in protocols.items()
        ),
    )


def _figures(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    return name, f"{figures['photos']:,}", *(percent(figures[key]) for key in _SHARES)


def _errors(figures: Mapping[str, Any]) -> tuple[str, str]:
    return f"{figures['ece']:.3f}", f"{figures['nll']:.2f}"


def _folds(name: str, folds: Mapping[str, Any]) -> Table:
    return Table(
        f"{_capital(name)}, fold by fold",
        ("fold held out", "photos", *_SHARE_NAMES, "ECE", "NLL", "temperature"),
        tuple(
            (*_figures(fold, figures), *_errors(figures), f"{figures['temperature']:.2f}")
            for fold, figures in folds.items()
        ),
    )


def _labels(name: str, labels: Mapping[str, Any]) -> Table:
    rows = []
    for label, row in labels.items():
        low, high = wilson_interval(round(row["recall"] * row["photos"]), row["photos"])
        interval = f"{percent(low)} to {percent(high)}"
        rows.append((label, f"{row['photos']:,}", percent(row["recall"]), interval, percent(row["precision"])))
    return Table(
        f"{_capital(name)}, label by label, in per cent",
        ("label", "photos", "recall", "its 95 % interval", "precision"),
        tuple(rows),
    )


def _ranks(decisions: Mapping[str, Any]) -> Table:
    return Table(
        "Answers by rank",
        ("rank of the answer", "photos", "right, %"),
        tuple((rank, f"{row['photos']:,}", percent(row["right"])) for rank, row in decisions["ranks"].items()),
    )


def _sets(sets: Mapping[str, Any]) -> Table:
    return Table(
        f"Prediction sets for {percent(sets['wanted'])} %, each fold's made with the other folds; "
        f"all together {percent(sets['coverage'])} % with {sets['size']} labels",
        ("fold held out", "coverage, %", "labels in a set"),
        tuple((fold, percent(row["coverage"]), f"{row['size']:.2f}") for fold, row in sets["folds"].items()),
    )


def _selective(found: Mapping[str, Any]) -> Table:
    coverages = found["flat"]["right_at"]
    return Table(
        "Right answers when only the surest photos are answered, in per cent; area: the mean share of wrong ones",
        ("first answer", *(f"{float(coverage):.0%} answered" for coverage in coverages), "area"),
        tuple(
            (name, *map(percent, found[key]["right_at"].values()), f"{found[key]['area']:.3f}")
            for name, key in (("label", "flat"), ("species", "species"))
        ),
    )


def _field(field: Mapping[str, Any]) -> Table:
    rows = []
    for name in ("ten labels", "flat", "species"):
        if (row := field[name]) is None:
            continue
        low, high = row["top1_interval"]
        shares = (percent(row[key]) for key in ("top3", "top5", "balanced"))
        interval = f"{percent(low)} to {percent(high)}"
        rows.append((name, f"{row['photos']:,}", percent(row["top1"]), interval, *shares, f"{row['ece']:.3f}"))
    return Table(
        "The split “field”, in per cent",
        ("labels", "photos", "top-1", "95 % interval", "top-3", "top-5", "balanced", "ECE"),
        tuple(rows),
    )


def _pairs(pairs: Iterable[Mapping[str, Any]]) -> Table:
    return Table(
        "The most frequent wrong answers",
        ("true label → answered", "photos", "of the label's"),
        tuple((f"{pair['truth']} → {pair['answered']}", str(pair["photos"]), str(pair["among"])) for pair in pairs),
    )


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Settings as lines, those within others as `outer.inner`."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{above}{name}", ", ".join(str(part) for part in value) or "none"
        else:
            yield f"{above}{name}", {True: "yes", False: "no", None: "none"}.get(value, str(value))


def _plot(name: str, svg: str) -> Plot:
    """An SVG of `write_figures` fit to stand in a page: without prolog and namespaces, which HTML has no use for, and
    with ids of its own, since several figures share the page.
    """
    root = ElementTree.fromstring(svg)
    for above in list(root.iter()):
        for child in list(above):
            if _local(child.tag) == "metadata":
                above.remove(child)
    told = name
    for element in root.iter():
        element.tag = _local(element.tag)
        if element.tag == "title":
            told = element.text or name
        for key in list(element.attrib):
            value = element.attrib.pop(key)
            if key == "id":
                value = f"{name}-{value}"
            elif _local(key) == "href":
                value = re.sub(r"^#", f"#{name}-", value)
            else:
                value = re.sub(r"url\(#", f"url(#{name}-", value)
            element.set(_local(key), value)
    width = root.attrib.pop("width")
    root.attrib.pop("height")
    root.set("style", f"--drawn: {width}")
    root.set("role", "img")
    root.set("aria-label", told)
    return Plot(name, told, Markup(ElementTree.tostring(root, encoding="unicode")))


def _local(name: str) -> str:
    """A name of XML without its namespace."""
    return name.rsplit("}", 1)[-1]


def _capital(name: str) -> str:
    return f"{name[0].upper()}{name[1:]}"


def _printable(value: object) -> object:
    """Foreign text without characters that would steer a reader or that no encoding has."""
    return terminal(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["capital"] = _capital
    return environment.get_template("report.html.jinja")
