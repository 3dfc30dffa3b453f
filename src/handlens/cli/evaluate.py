"""`handlens evaluate RUN`"""

from __future__ import annotations

import argparse
from pathlib import Path

from handlens.cli.extras import need

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens evaluate`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder that handlens train made")
    parser.add_argument(
        "--protocol",
        choices=("leave-one-fold-out", "grouped"),
        help="one figure only (default: both for a linear head; for a network, which is trained five times for each, "
        "the first that the data allow)",
    )
    parser.add_argument(
        "--field", action="store_true", help="measure the split 'field' too: once for a released bundle"
    )


def run(options: argparse.Namespace) -> int:
    """Runs the protocol and prints the report."""
    need("train", "tensorflow", "keras", "sklearn", "tf2onnx", "matplotlib", "jinja2")
    from handlens.cli.quiet import quieten_tensorflow

    quieten_tensorflow()
    from handlens.evaluation.evaluate import evaluate
    from handlens.evaluation.tables import markdown
    from handlens.training.run import load_run

    print(markdown(evaluate(load_run(options.run), protocol=options.protocol, field=options.field)))
    return 0
