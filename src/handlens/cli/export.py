"""`handlens export RUN --out DIR --name NAME`"""

from __future__ import annotations

import argparse
from pathlib import Path

from handlens.cli.extras import need
from handlens.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens export`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder that handlens train and evaluate made")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the bundle to make; must not be there yet"
    )
    parser.add_argument("--name", required=True, help="what answers call the model, for example handlens-0.1")
    parser.add_argument(
        "--notes", type=Path, metavar="FILE", help="Markdown for the model card: sources, licences, known failures"
    )
    parser.add_argument("--int8", action="store_true", help="weights and activations in 8 bits: a quarter of the size")
    parser.add_argument("--licence", default="not stated", help="of the weights (default: not stated)")


def run(options: argparse.Namespace) -> int:
    """Writes the bundle."""
    need("train", "tensorflow", "keras", "sklearn", "tf2onnx", "matplotlib", "jinja2")
    from handlens.cli.quiet import quieten_tensorflow

    quieten_tensorflow()
    from handlens.training.export import export
    from handlens.training.run import load_run

    try:
        notes = None if options.notes is None else options.notes.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"--notes {options.notes}: cannot be read: {error}") from error
    made = export(
        load_run(options.run),
        options.out,
        name=options.name,
        notes=notes,
        licence=options.licence,
        int8=options.int8,
    )
    size = sum(file.stat().st_size for file in made.iterdir())
    print(f"{made}: {size / 2**20:.1f} MiB")
    return 0
