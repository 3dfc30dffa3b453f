"""`handlens bundle show|verify [DIR]`"""

from __future__ import annotations

import argparse
import json

from handlens.bundle import open_bundle
from handlens.errors import HandlensError
from handlens.identifier import Identifier
from handlens.selftest import run_self_test

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens bundle`."""
    parser.add_argument("action", choices=("show", "verify"))
    parser.add_argument("bundle", nargs="?", metavar="DIR", help="a directory or .zip, default or small")


def run(options: argparse.Namespace) -> int:
    """`show` prints bundle.json; `verify` checks every file and scores the drawn picture."""
    bundle = open_bundle(options.bundle)
    if options.action == "show":
        print(json.dumps(bundle.manifest, indent=1))
        return 0
    bundle.references()  # read with the first explanation otherwise
    test = run_self_test(Identifier(bundle))
    if not test.passed:
        raise FailedSelfTestError(f"the self-test picture scores differently, by {test.difference:.3g} in a logit")
    print(f"{bundle.name}: {len(bundle.labels)} labels, files, shapes and self-test are right ({test.difference:.1e})")
    return 0


class FailedSelfTestError(HandlensError):
    """The graph does not score the self-test picture as its maker's did (`failed-self-test`)."""

    code = "failed-self-test"
