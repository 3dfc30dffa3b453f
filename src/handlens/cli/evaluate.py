"""`handlens evaluate RUN`"""

from __future__ import annotations

import argparse
from pathlib import Path

from handlens.cli.extras import need
from handlens.errors import UsageError

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
    parser.add_argument(
        "--far",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="judge the unknown score by these pictures too, none of which shows a mineral",
    )
    parser.add_argument(
        "--evidence",
        action="store_true",
        help="of an evaluated run: what simulated field tests add to its held-out predictions",
    )


def run(options: argparse.Namespace) -> int:
    """Runs the protocol, or simulates tests after it, and prints the report."""
    if options.evidence and (options.field or options.protocol or options.far):
        raise UsageError("--evidence takes the held-out predictions that are there: leave the other options out")
    if missing := [folder for folder in options.far if not folder.is_dir()]:
        raise UsageError(f"{missing[0]}: there is no folder of this name")
    need("train", "tensorflow", "keras", "sklearn", "tf2onnx", "matplotlib", "jinja2")
    from handlens.cli.quiet import quieten_tensorflow

    quieten_tensorflow()
    from handlens.evaluation.evaluate import evaluate
    from handlens.evaluation.tables import markdown
    from handlens.training.run import load_run

    if options.evidence:
        from handlens.evaluation.evidence_report import evaluate_evidence, evidence_markdown

        print(evidence_markdown(evaluate_evidence(load_run(options.run))))
        return 0
    found = evaluate(load_run(options.run), protocol=options.protocol, field=options.field, far=options.far)
    print(markdown(found))
    return 0
