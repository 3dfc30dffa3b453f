"""Trains, measures and exports the specimen localiser.

    python -m handlens.training.localiser cross-validate --manifest M --masks D --run R   networks for every hold-out
    python -m handlens.training.localiser report         --manifest M --masks D --run R   their figures
    python -m handlens.training.localiser train          --manifest M --masks D --run R   the network that ships
    python -m handlens.training.localiser export         --manifest M --masks D --run R --out FOLDER

Each goes on where it was killed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from handlens.errors import HandlensError
from handlens.training.localiser.data import read_masked_photos
from handlens.training.localiser.export import export_localiser
from handlens.training.localiser.figures import figures_table
from handlens.training.localiser.report import report
from handlens.training.localiser.run import LocaliserRun, cross_validate, train_everything


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one stage; exit status 0, or 1 with a sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        run = LocaliserRun(options.run, tuple(read_masked_photos(options.manifest, options.masks)))
        if options.stage == "cross-validate":
            cross_validate(run, only=options.only)
        elif options.stage == "train":
            train_everything(run)
        else:
            found = report(run)
            print(f"{found.thresholds}\n\n{figures_table(found.rows)}")
            if options.stage == "export":
                export_localiser(
                    run, train_everything(run), found.thresholds, found.rows, options.out, name=options.name
                )
    except HandlensError as error:
        print(error.detail, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m handlens.training.localiser",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=("cross-validate", "report", "train", "export"))
    parser.add_argument("--manifest", type=Path, required=True, help="CSV: file, split, group, fold, origin")
    parser.add_argument("--masks", type=Path, required=True, help="folder of the teacher's masks")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="the hold-outs to train, all by default")
    parser.add_argument("--out", type=Path, default=Path("localiser"), help="folder for the exported files")
    parser.add_argument("--name", default="localiser-1", help="what the exported localiser calls itself")
    return parser


if __name__ == "__main__":
    sys.exit(main())
