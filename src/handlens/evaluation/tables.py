"""The report as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

__all__ = ["markdown", "percent", "table"]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" + " ---: |" * (len(header) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def percent(share: float | None) -> str:
    """0.4894 → "48.9"; None → "-"."""
    return "-" if share is None else f"{100 * share:.1f}"


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report; shares are in percent, ECE with three decimals."""
    run = report["run"]
    parts = [
        "# Evaluation",
        f"{run['settings']['network']}{_kind(run)}, {len(run['labels'])} labels, trained on "
        f"{run['photos']} photos "
        f"({run['unusable_among_them']} of them marked unusable). Handlens {report['handlens']}; {report['machine']}.",
        "Only photos marked usable are judged. Probabilities are calibrated on other folds than they are judged on.",
        table(
            (
                "protocol",
                "photos",
                "top-1",
                "top-3",
                "top-5",
                "balanced",
                "macro-F1",
                "ECE before",
                "ECE",
                "NLL",
            ),
            [_row(name, found["flat"], found) for name, found in report["protocols"].items()],
        ),
        "## At species rank",
        table(
            ("protocol", "photos", "top-1", "top-3", "top-5", "balanced", "macro-F1", "ECE", "NLL"),
            [_row(name, found["species"]) for name, found in report["protocols"].items()],
        ),
    ]
    parts += ["## How much of it is chance", _CHANCE, _chance(report["protocols"])]
    for name, found in report["protocols"].items():
        parts += [f"## {name[0].upper()}{name[1:]}, fold by fold", _folds(found["folds"])]
    parts += _answers(report)
    if "unknowns" in report:
        parts += unknowns_parts(report["unknowns"])
    if "field" in report:
        parts += _field(report["field"])
    basis = report["answers_from"]
    for name in dict.fromkeys((basis.replace("all labels", "ten labels"), basis)):
        if found := report["protocols"].get(name):
            covered = report["prediction_sets"]["per_label"] if name == basis else None
            parts += [f"## {name[0].upper()}{name[1:]}, label by label", _labels(found["per_label"], covered)]
    return "\n\n".join(parts) + "\n"


def _kind(run: Mapping[str, Any]) -> str:
    return " trained by gradient descent" if run.get("kind") == "fit" else " with a linear head"


def _row(name: str, figures: Mapping[str, Any], found: Mapping[str, Any] | None = None) -> list[object]:
    shares = [percent(figures[key]) for key in ("top1", "top3", "top5", "balanced", "macro_f1")]
    before = [] if found is None else [f"{found['ece_before_temperature']:.3f}"]
    return [name, figures["photos"], *shares, *before, f"{figures['ece']:.3f}", f"{figures['nll']:.2f}"]


_CHANCE: Final = (
    "95 % intervals by drawing whole groups of photos (one specimen, one page) anew. Floor: the calibration error that "
    "perfectly calibrated answers to so many photos would show on average. Brier: 0 to 2."
)


def _chance(protocols: Mapping[str, Any]) -> str:
    def interval(of: Mapping[str, Any], name: str) -> str:
        low, high = of["intervals"]["flat"][name]
        return f"{percent(low)} to {percent(high)}"

    return table(
        ("protocol", "top-1", "balanced", "top-5", "ECE", "its floor", "Brier"),
        [
            (
                name,
                *(interval(found, figure) for figure in ("top1", "balanced", "top5")),
                f"{found['flat']['ece']:.3f}",
                f"{found['flat']['ece_floor']:.3f}",
                f"{found['flat']['brier']:.3f}",
            )
            for name, found in protocols.items()
        ],
    )


def _folds(folds: Mapping[str, Any]) -> str:
    return table(
        ("fold held out", "photos", "top-1", "top-5", "balanced", "ECE", "temperature"),
        [
            (
                name,
                figures["photos"],
                percent(figures["top1"]),
                percent(figures["top5"]),
                percent(figures["balanced"]),
                f"{figures['ece']:.3f}",
                f"{figures['temperature']:.2f}",
            )
            for name, figures in folds.items()
        ],
    )


def _answers(report: Mapping[str, Any]) -> list[str]:
    sets, wider = report["prediction_sets"], report["wider_prediction_sets"]
    decisions, answers = report["decisions"], report["answers"]
    thresholds = ", ".join(f"{rank} {value:.2f}" for rank, value in answers["thresholds"].items())
    return [
        f"## What is answered ({report['answers_from']})",
        f"A name is given for {percent(decisions['answered'])} % of the photos and is right for "
        f'{percent(decisions["right_when_answered"])} % of those; the others are answered "unknown", with candidates. '
        f"Thresholds in the bundle: {thresholds}; temperature {answers['temperature']:.2f}.",
        table(
            ("rank of the answer", "photos", "right"),
            [(rank, row["photos"], percent(row["right"])) for rank, row in decisions["ranks"].items()],
        ),
        "When only the surest photos are answered, with their first label or its species (area: the mean share of "
        "wrong answers over all coverages):",
        _selective(report["selective"]),
        *(
            f"Prediction sets made for {percent(made['wanted'])} % hold the truth for {percent(made['coverage'])} % of "
            f"the photos, with {made['size']} labels on average; the label worst covered is {_worst(made)}."
            for made in (sets, wider)
        ),
        table(
            ("fold held out", *(f"{head} ({percent(made['wanted'])} %)" for made in (sets, wider) for head in _SET)),
            [
                (name, percent(row["coverage"]), row["size"], percent(other["coverage"]), other["size"])
                for (name, row), other in zip(sets["folds"].items(), wider["folds"].values(), strict=True)
            ],
        ),
    ]


_SET: Final = ("coverage", "labels in a set")


def _worst(made: Mapping[str, Any]) -> str:
    label, coverage = min(made["per_label"].items(), key=lambda item: (item[1], item[0]))
    return f"{label}, {percent(coverage)} %"


def _selective(found: Mapping[str, Any]) -> str:
    coverages = next(iter(found.values()))["right_at"]
    return table(
        ("answered", *(f"{float(coverage):.0%}" for coverage in coverages), "area"),
        [
            (name, *(percent(right) for right in row["right_at"].values()), f"{row['area']:.3f}")
            for name, row in (("labels, right", found["flat"]), ("species, right", found["species"]))
        ],
    )


def unknowns_parts(found: Mapping[str, Any]) -> list[str]:
    """What is told of the unknown score; nothing where there was nothing to judge it by."""
    rows = [("minerals that are no label", found["near"])] if found["near"] else []
    rows += [(f"{name} ({found['pictures'][name]} pictures, no minerals)", row) for name, row in found["far"].items()]
    if not rows:
        return []
    kept = percent(found["kept"])
    cells = [
        (
            name,
            f"{row['auroc']:.3f}",
            f"{row['strangers']:.3f}" if "strangers" in row else "",
            f"{row['probability']:.3f}" if "probability" in row else "",
            percent(row["accepted"]),
            percent(row["rejected"]),
        )
        for name, row in rows
    ]
    return [
        "## What it does not know",
        f"The unknown score at the point that keeps {kept} % of known photos ({found['threshold']:.2f}). Near: unknown "
        f"minerals of the same collections, {found['pictures']['near']} photos; the score learnt from "
        f"{found['pictures']['learnt']} of other minerals, for strangers from none of the judged collections.",
        table(
            ("what is shown", "AUROC", "for strangers", "by probability alone", f"accepted at {kept} %", "rejected"),
            cells,
        ),
    ]


def _field(field: Mapping[str, Any]) -> list[str]:
    rows = []
    for name in ("ten labels", "flat", "species"):
        row = field[name]
        if row is None:
            continue
        low, high = row["top1_interval"]
        interval = f"{percent(low)} to {percent(high)}"
        shares = [percent(row[key]) for key in ("top1", "top3", "top5", "balanced")]
        rows.append((name, row["photos"], shares[0], interval, *shares[1:], f"{row['ece']:.3f}"))
    count = field["decisions"]
    return [
        "## Field: yet other photographers and places",
        table(("labels", "photos", "top-1", "95 % interval", "top-3", "top-5", "balanced", "ECE"), rows),
        f"Of {count['known']} photos of known species {count['known_answered']} get a name, "
        f"{count['known_answered_rightly']} "
        f'rightly; of {count["unknown"]} others {count["unknown_left_unknown"]} are answered "unknown" and '
        f"{count['unknown_named_rightly_at_a_wider_rank']} named rightly at a wider rank.",
    ]


def _labels(labels: Mapping[str, Any], covered: Mapping[str, float] | None) -> str:
    """`covered`: how often the prediction set holds each label."""
    header = ("label", "photos", "recall", "precision")
    return table(
        header if covered is None else (*header, "in its set"),
        [
            (
                name,
                row["photos"],
                percent(row["recall"]),
                percent(row["precision"]),
                *(() if covered is None else (percent(covered[name]),)),
            )
            for name, row in labels.items()
        ],
    )
