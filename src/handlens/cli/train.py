"""`handlens train SOURCE --out RUN`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from handlens.cli import options as shared
from handlens.cli.extras import need
from handlens.errors import UsageError

__all__ = ["add_arguments", "add_fit_arguments", "fit_settings", "run"]

_HEAD_ONLY: Final = ("strength", "balance", "adjust", "nuisance", "mirror", "look", "patches", "thorough")
_TUNED: Final = ("epochs", "batch", "rate", "label_smoothing", "seed", "unfrozen")
"""What tuning can be told of the options of training by gradient descent."""
_TUNE_ONLY: Final = ("tune_balance", "layer_decay", "trained", "teacher", "teacher_share")
_JOIN_ONLY: Final = ("runs", "thorough_side")
_FIT_ONLY: Final = (
    "among",
    "picture",
    "side",
    "epochs",
    "batch",
    "optimizer",
    "rate",
    "schedule",
    "patience",
    "augment",
    "class_weights",
    "label_smoothing",
    "seed",
    "validation",
    "l2",
    "dropout",
    "unfrozen",
    "precision",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens train`."""
    parser.add_argument("source", type=Path, help="a manifest (CSV with file, label, ...) or a folder of class folders")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run; a killed one goes on"
    )
    parser.add_argument(
        "--network",
        default="lite2",
        help="cnn-1, cnn-2, cnn-3, cnn-final, lite0, lite2 (default), vits14, or hub:PRESET of keras-hub",
    )
    parser.add_argument(
        "--method",
        choices=("head", "tune", "fit", "join"),
        help="head: a linear head on the frozen network, in minutes (default for lite0, lite2 and "
        "vits14); tune: the last blocks of one of these first, then a head; fit: the network by gradient descent; "
        "join: runs that answer together",
    )
    parser.add_argument("--drop-unusable", action="store_true", help="do not train on photos marked usable=no")
    head = parser.add_argument_group("with --method head")
    head.add_argument("--strength", type=float, metavar="C", help="inverse of the penalty (default: 0.001)")
    head.add_argument(
        "--balance",
        type=float,
        metavar="POWER",
        help="of the inverse class frequency that weighs a photo: 1 every label counts the same (default), 0 every "
        "photo does",
    )
    head.add_argument(
        "--adjust",
        type=float,
        metavar="TIMES",
        help="the logarithm of a label's frequency that its logit loses afterwards: 1 with --balance 0 (default: 0)",
    )
    head.add_argument(
        "--nuisance",
        type=int,
        metavar="K",
        help="directions to leave out in which one label differs between photographers (default: 0)",
    )
    head.add_argument(
        "--no-mirror", action="store_false", dest="mirror", default=None, help="do not train on mirrored copies"
    )
    head.add_argument(
        "--look",
        choices=("frame", "whole", "box", "specimen", "both"),
        help="at the whole photo in three views (default) or in one, the specimen with its background greyed, that and "
        "its middle, or these five together",
    )
    head.add_argument(
        "--patches",
        type=int,
        metavar="N",
        help="of a view that vits14 looks at: those with most of the specimen (default: all)",
    )
    head.add_argument(
        "--thorough",
        action="store_true",
        default=None,
        help="look at the middle as well when `identify --thorough` asks; with --look box or whole",
    )
    tune = parser.add_argument_group("with --method tune")
    tune.add_argument(
        "--tune-balance",
        type=float,
        metavar="POWER",
        help="as --balance, while the blocks are trained (default: 1)",
    )
    tune.add_argument(
        "--layer-decay",
        type=float,
        metavar="FACTOR",
        help="of a block's learning rate in that of the block after it (default: 1, all the same)",
    )
    tune.add_argument(
        "--trained",
        type=float,
        metavar="SHARE",
        help="of the logits that are those of the head which was trained with the blocks, without a teacher (default: "
        "0)",
    )
    tune.add_argument(
        "--teacher",
        type=Path,
        metavar="RUN",
        help="a run of --method tune, or of head with --no-mirror, that the network learns from as well",
    )
    tune.add_argument(
        "--teacher-share", type=float, metavar="SHARE", help="of what it learns of a labelled photo (default: 0.7)"
    )
    join = parser.add_argument_group("with --method join")
    join.add_argument("--runs", type=Path, nargs="+", metavar="RUN", help="finished runs whose logits are averaged")
    join.add_argument(
        "--thorough-side",
        type=int,
        metavar="PIXELS",
        help="of what a thorough look adds to the runs' own views: those again, and their middles (default: the "
        "middles at the runs' own side)",
    )
    fit = parser.add_argument_group("with --method fit (defaults are the network's own, see docs/training.md)")
    add_fit_arguments(fit)


def add_fit_arguments(parser: argparse._ArgumentGroup) -> None:
    """What training by gradient descent can be told."""
    parser.add_argument("--among", metavar="NAMES|@FILE", help="learn these labels only; origin-ten is understood")
    parser.add_argument("--picture", choices=("view", "origin-mask"), help="whole, or its background black")
    parser.add_argument("--side", type=int, metavar="PIXELS", help="of the picture or, with --method head, of a view")
    parser.add_argument("--epochs", type=int, help="at most")
    parser.add_argument("--batch", type=int, help="photos a step")
    parser.add_argument("--optimizer", choices=("adam", "adamw"))
    parser.add_argument("--rate", type=float, help="learning rate")
    parser.add_argument(
        "--schedule", choices=("plateau", "cosine"), help="of the rate; plateau also stops early, as the origin did"
    )
    parser.add_argument("--patience", type=int, help="epochs without a better one before it stops")
    parser.add_argument(
        "--augment",
        metavar="NAMES",
        help="comma-separated: origin, flip, turn, crop, colour, erase, mixup, cutmix, none",
    )
    parser.add_argument(
        "--no-class-weights",
        action="store_false",
        dest="class_weights",
        default=None,
        help="every photo counts the same, not every label",
    )
    parser.add_argument("--label-smoothing", type=float, metavar="SHARE")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--validation", type=float, metavar="SHARE", help="of the photos that steer (default: 0.15)")
    parser.add_argument("--l2", type=float, help="penalty on the last two convolutions")
    parser.add_argument("--dropout", type=float, metavar="SHARE", help="before the softmax")
    parser.add_argument("--unfrozen", type=int, metavar="BLOCKS", help="last blocks of a pretrained network to train")
    parser.add_argument(
        "--precision", choices=("float32", "mixed_bfloat16"), help="default: bfloat16 where the processor has it"
    )


def run(options: argparse.Namespace) -> int:
    """Trains and says what came of it."""
    need("train", "tensorflow", "keras", "sklearn", "tf2onnx", "tensorboard")
    from handlens.cli.quiet import quieten_tensorflow

    quieten_tensorflow()
    from handlens.training.frozen import FROZEN
    from handlens.training.networks import network

    method = options.method or ("head" if options.network in FROZEN else "fit")
    understood = {
        "head": (*_HEAD_ONLY, "side"),
        "tune": (*_HEAD_ONLY, "side", *_TUNED, *_TUNE_ONLY),
        "fit": _FIT_ONLY,
        "join": _JOIN_ONLY,
    }
    every = dict.fromkeys(name for names in understood.values() for name in names)
    if given := [name for name in every if name not in understood[method] and getattr(options, name) is not None]:
        raise UsageError(f"--{given[0].replace('_', '-')} says nothing with --method {method}")
    if method == "join":
        from handlens.training.joined import join

        finished = join(options.source, options.out, options.runs or [], thorough_side=options.thorough_side or 0)
    elif method == "fit":
        from handlens.training.pictures_run import fit_run

        finished = fit_run(options.source, options.out, fit_settings(options))
    else:
        from handlens.training.head import HeadSettings
        from handlens.training.run import TrainSettings, train

        if options.network not in FROZEN:
            network(options.network)
        given_head = {
            name: getattr(options, name)
            for name in ("strength", "balance", "adjust", "nuisance", "trained")
            if getattr(options, name) is not None
        }
        settings = TrainSettings(
            network=options.network,
            keep_unusable=not options.drop_unusable,
            mirror=options.mirror is not False and method != "tune",
            look=options.look or "frame",
            side=options.side or 0,
            patches=options.patches or 0,
            head=HeadSettings(**given_head),
            tune=_tune_settings(options) if method == "tune" else None,
            thorough=bool(options.thorough),
            teacher=str(options.teacher.absolute()) if options.teacher else "",
            **({} if options.teacher_share is None else {"teacher_share": options.teacher_share}),
        )
        finished = train(options.source, options.out, settings)
    record = finished.record
    failures = record["failures"]
    print(f"{len(finished.labels)} labels from {record['photos']} photos; {len(failures)} could not be read", end="")
    print(f" (listed in {options.out / 'run.json'})" if failures else "")
    if fitted := record.get("fit"):
        print(
            f"{fitted['epochs']} epochs in {fitted['seconds']:.0f} s; epoch {fitted['best_epoch']} is kept, right for "
            f"{100 * fitted['val_accuracy']:.1f} % of {fitted['validated']} photos of its own photographers kept apart"
        )
    print(f"next: handlens evaluate {options.out}")
    return 0


def _tune_settings(options: argparse.Namespace) -> Any:
    from handlens.training.tuning.settings import TuneSettings

    given = {name: value for name in _TUNED if (value := getattr(options, name)) is not None}
    if options.tune_balance is not None:
        given["balance"] = options.tune_balance
    if options.layer_decay is not None:
        given["layer_decay"] = options.layer_decay
    return TuneSettings.of(options.network, **given)


def fit_settings(options: argparse.Namespace) -> Any:
    """The FitSettings that the options say. Raises UsageError."""
    from handlens.training.fitting.settings import FitSettings

    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in _FIT_ONLY
        if name not in ("among", "augment") and hasattr(options, name)
    }
    if (text := getattr(options, "augment", None)) is not None:
        names = [name.strip() for name in text.split(",") if name.strip()]
        given["augment"] = () if names == ["none"] else tuple(names)
    given["labels"] = _labels(shared.among(options.among)) if options.among is not None else None
    given["keep_unusable"] = False if options.drop_unusable else None
    return FitSettings.of(options.network, **given)


def _labels(names: list[str] | None) -> tuple[str, ...]:
    from handlens.identifier import ORIGIN_TEN

    found = [label for name in names or () for label in (ORIGIN_TEN if name == "origin-ten" else (name,))]
    return tuple(sorted(set(found)))
