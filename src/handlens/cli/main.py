"""`handlens`: reads the command line, hands over to one module a command, turns errors into exit statuses.

Exit status 0: done; 1: something failed (with `identify`: some photo; the others are answered); 2: wrong usage.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from handlens._version import __version__
from handlens.bundle_files import read_ahead
from handlens.errors import HandlensError, UsageError

__all__ = ["main"]

_COMMANDS: Final = {
    "identify": "name the mineral in photos",
    "batch": "name the minerals in thousands of photos, with a journal and a review page",
    "similar": "find the specimens of a batch run that look most like a photo",
    "explain": "show which part of a photo the answer rests on",
    "minerals": "list or show what is known of minerals",
    "bundle": "show or verify a model bundle",
    "doctor": "check this installation",
    "serve": "answer over HTTP, with a page",
    "dataset": "make a training set from lists of URLs or folders of photos",
    "train": "train a classifier from labelled photos",
    "compare": "train several networks on the same folds and put them into one table",
    "tune": "search for the hyperparameters of a network",
    "evaluate": "measure a trained run by the protocol",
    "export": "make a bundle of an evaluated run",
}
"""Command and what it does; each has a module of its name in this package with `add_arguments` and `run`."""
_READ_AHEAD: Final = ("identify", "explain")
"""Commands that open the bundle that is used when none is named."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="handlens",
        description="Names the mineral in a photograph of a hand specimen, and says how sure it is. "
        "Not for food, medicine, valuation or asbestos clearance.",
    )
    parser.add_argument("--version", action="version", version=f"handlens {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Only the module of the command in use is imported: the others pull in a web server or a training framework.
    wanted = next((word for word in given if not word.startswith("-")), None)
    if wanted in _READ_AHEAD and not any(word.startswith("--b") for word in given):  # options may be cut short
        read_ahead()
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == wanted:
            importlib.import_module(f"handlens.cli.{name}").add_arguments(command)
    options, unknown = parser.parse_known_args(given)
    if unknown:  # said by the command, whose usage it then shows
        commands.choices[options.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    # File names need not be valid text; a stream that cannot show one must not end the run.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = int(importlib.import_module(f"handlens.cli.{options.command}").run(options))
        sys.stdout.flush()  # here, where a failure to write is still told and not thrown away
        return status
    except UsageError as error:
        return _fail(options.command, error.detail, 2)
    except HandlensError as error:
        return _fail(options.command, error.detail, 2 if error.code.startswith("unknown-") else 1)
    except BrokenPipeError:
        _drop_output()  # the reader (head, a pager) has enough
        return 0
    except OSError as error:
        try:
            sys.stdout.flush()
        except OSError:  # it was standard output that failed: a full disk
            _drop_output()
        return _fail(options.command, str(error), 1)
    except KeyboardInterrupt:
        return 130


def _drop_output() -> None:
    """Standard output goes nowhere from here on: Python would complain once more when it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(command: str, detail: str, status: int) -> int:
    from handlens.safe_text import terminal

    print(f"handlens {command}: {terminal(detail)}", file=sys.stderr)
    return status
