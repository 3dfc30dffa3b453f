"""`handlens train SOURCE --out RUN`"""

from __future__ import annotations

import argparse
from pathlib import Path

from handlens.cli.extras import need

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens train`."""
    parser.add_argument("source", type=Path, help="a manifest (CSV with file, label, ...) or a folder of class folders")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run; a killed one goes on"
    )
    parser.add_argument("--network", default="lite2", help="frozen backbone (default: lite2)")
    parser.add_argument(
        "--strength", type=float, default=1e-3, metavar="C", help="inverse of the penalty (default: 0.001)"
    )
    parser.add_argument(
        "--balance",
        type=float,
        default=1.0,
        metavar="POWER",
        help="of the inverse class frequency that weighs a photo: 1 every label counts the same, 0 every photo does",
    )
    parser.add_argument("--drop-unusable", action="store_true", help="do not train on photos marked usable=no")
    parser.add_argument("--no-mirror", action="store_true", help="do not train on mirrored copies")


def run(options: argparse.Namespace) -> int:
    """Trains and says what came of it."""
    need("train", "tensorflow", "keras", "sklearn", "tf2onnx")
    from handlens.cli.quiet import quieten_tensorflow

    quieten_tensorflow()
    from handlens.training.head import HeadSettings
    from handlens.training.run import TrainSettings, train

    settings = TrainSettings(
        network=options.network,
        keep_unusable=not options.drop_unusable,
        mirror=not options.no_mirror,
        head=HeadSettings(strength=options.strength, balance=options.balance),
    )
    finished = train(options.source, options.out, settings)
    record = finished.record
    print(f"{len(finished.labels)} labels from {record['photos']} photos; {len(record['failures'])} could not be read")
    print(f"next: handlens evaluate {options.out}")
    return 0
