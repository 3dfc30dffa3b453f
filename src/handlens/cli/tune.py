"""`handlens tune SOURCE --out DIR`"""

from __future__ import annotations

import argparse
from pathlib import Path

from handlens.cli.extras import need
from handlens.cli.train import fit_settings

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens tune`."""
    parser.add_argument("source", type=Path, help="a manifest (CSV with file, label, ...) or a folder of class folders")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the search; a killed one goes on"
    )
    parser.add_argument(
        "--network", default="cnn-final", help="cnn-1, cnn-2, cnn-3 or cnn-final (default): those with a penalty"
    )
    parser.add_argument("--trials", type=int, default=10, metavar="N", help="networks to train (default: 10)")
    parser.add_argument(
        "--rate", action="store_true", dest="search_rate", help="search the learning rate too, from 0.0001 to 0.003"
    )
    parser.add_argument("--among", metavar="NAMES|@FILE", help="learn these labels only; origin-ten is understood")
    parser.add_argument("--epochs", type=int, help="of every trial, at most (default: 150)")
    parser.add_argument("--patience", type=int, help="epochs without a better one before it stops (default: 9)")
    parser.add_argument("--picture", choices=("view", "origin-mask"), help="whole, or its background black")
    parser.add_argument("--side", type=int, metavar="PIXELS", help="of the picture (default: 96)")
    parser.add_argument("--batch", type=int, help="photos a step (default: 64)")
    parser.add_argument("--seed", type=int, help="of the search and of every trial (default: 0)")
    parser.set_defaults(drop_unusable=False)


def run(options: argparse.Namespace) -> int:
    """Searches and prints the table."""
    need("train", "tensorflow", "keras", "keras_tuner", "sklearn", "tf2onnx", "tensorboard", "matplotlib", "jinja2")
    from handlens.cli.quiet import quieten_tensorflow

    quieten_tensorflow()
    from handlens.training.trials import trials_markdown
    from handlens.training.tune import tune

    found = tune(
        options.source, options.out, fit_settings(options), trials=options.trials, search_rate=options.search_rate
    )
    print(trials_markdown(found), end="")
    return 0
