"""`handlens compare SOURCE --out DIR`"""

from __future__ import annotations

import argparse
from pathlib import Path

from handlens.cli.extras import need
from handlens.cli.train import fit_settings
from handlens.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens compare`."""
    parser.add_argument("source", type=Path, help="a manifest (CSV with file, label, ...) or a folder of class folders")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the comparison; a killed one goes on"
    )
    parser.add_argument(
        "--networks",
        default="cnn-1,cnn-2,cnn-3",
        metavar="NAMES",
        help="comma-separated, from cnn-1, cnn-2, cnn-3, cnn-final, lite0, lite2 and hub:PRESET of keras-hub "
        "(default: cnn-1,cnn-2,cnn-3)",
    )
    parser.add_argument("--among", metavar="NAMES|@FILE", help="learn these labels only; origin-ten is understood")
    parser.add_argument(
        "--protocol",
        choices=("grouped", "leave-one-fold-out"),
        default="grouped",
        help="five folds that cut no group (default), or the folds of the manifest",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=150,
        help="of every training, at most (default: 150; networks with ImageNet weights need 24)",
    )
    parser.add_argument("--patience", type=int, help="epochs without a better one before it stops (default: 9)")
    parser.add_argument("--picture", choices=("view", "origin-mask"), help="whole, or its background black")
    parser.add_argument("--side", type=int, metavar="PIXELS", help="of the picture (default: the network's own)")
    parser.add_argument("--batch", type=int, help="photos a step (default: the network's own)")
    parser.add_argument("--seed", type=int, help="of every training (default: 0)")
    parser.set_defaults(drop_unusable=False)


def run(options: argparse.Namespace) -> int:
    """Compares and prints the table."""
    need("train", "tensorflow", "keras", "sklearn", "tf2onnx", "tensorboard", "matplotlib", "jinja2")
    from handlens.cli.quiet import quieten_tensorflow

    quieten_tensorflow()
    from handlens.training.compare import compare
    from handlens.training.comparison import comparison_markdown

    names = [name.strip() for name in options.networks.split(",") if name.strip()]
    if not names:
        raise UsageError("--networks names no network")
    networks = [fit_settings(argparse.Namespace(**vars(options), network=name)) for name in names]
    print(comparison_markdown(compare(options.source, options.out, networks, protocol=options.protocol)), end="")
    return 0
