"""`handlens dataset STAGE …`: from a list of URLs to a training set, all at once (`run`) or stage by stage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from handlens.cli.extras import need
from handlens.errors import UsageError
from handlens.safe_text import terminal

if TYPE_CHECKING:
    from handlens.dataset.config import DatasetConfig
    from handlens.dataset.shards import Shard
    from handlens.dataset.workspace import Workspace

__all__ = ["add_arguments", "run"]

STAGES: Final = ("filter", "download", "check", "balance", "split", "prepare")
"""What `run --until` takes; those of `handlens.dataset.workspace`, which needs the extra."""
_EXTRA: Final = ("pyarrow", "aiohttp", "protego", "cv2", "jinja2", "pydantic", "matplotlib")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The stages, each with its options."""
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name, (summary, arguments, _) in _STAGES.items():
        stage = stages.add_parser(name, help=summary, description=summary)
        arguments(stage)


def run(options: argparse.Namespace) -> int:
    """Runs one stage and prints what it did."""
    need("dataset", *_EXTRA)
    for line in _STAGES[options.stage][2](options):
        print(terminal(line))
    return 0


def _labels_arguments(parser: argparse.ArgumentParser) -> None:
    _add_sources(parser)
    parser.add_argument(
        "--at-least", type=int, action="append", default=[], metavar="N", help="count the labels with N photos or more"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw labels with at least x photos (.svg or .png)")
    parser.add_argument("--counts", type=Path, metavar="FILE", help="write the count of every label as CSV")


def _labels(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import counts_lines
    from handlens.dataset.counts import count_labels, plot_counts, write_counts

    counts = count_labels(options.sources, progress=_progress())
    yield from counts_lines(counts, options.at_least)
    if options.counts:
        write_counts(counts, options.counts)
    if options.plot:
        plot_counts(counts, options.plot, options.at_least)


def _filter_arguments(parser: argparse.ArgumentParser) -> None:
    _add_sources(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="WORKSPACE", help="folder of the data set")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--names", type=Path, metavar="FILE", help="a file with the labels to select, one a line")
    chosen.add_argument("--labels", metavar="A,B", help="the labels to select")
    parser.add_argument("--at-least", type=int, metavar="N", help="leave out labels with fewer photos")
    parser.add_argument(
        "--several",
        choices=("drop", "first"),
        help="photos of several minerals: leave out (default), or label by the first",
    )
    parser.add_argument("--licences", metavar="A,B", help="take only photos under licences of these families")


def _filter(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.config import settings_from
    from handlens.dataset.filter import FilterSettings, filter_list
    from handlens.dataset.workspace import Workspace

    given = _given(options, "sources", "names", "at_least", "several") | {
        name: _comma(getattr(options, name)) for name in ("labels", "licences") if getattr(options, name)
    }
    given["sources"] = [source.absolute() for source in options.sources]
    settings = settings_from(FilterSettings, given, "filter")
    yield from lines(filter_list(Workspace(options.out), settings, progress=_progress()))


def _commons_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "labels", metavar="LABELS", help="minerals to ask for: comma-separated, or @FILE with one a line"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="LIST", help="the list to write (CSV)")
    parser.add_argument("--contact", required=True, help="your e-mail address or web page: it is sent to the server")
    parser.add_argument("--licences", metavar="A,B", help="families of licences to take")
    parser.add_argument("--most", type=int, metavar="N", help="photos to ask about for each label")
    parser.add_argument("--depth", type=int, metavar="N", help="levels of subcategories to look into")


def _commons(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.commons import CommonsSettings, fetch_commons
    from handlens.dataset.config import settings_from
    from handlens.dataset.filter import read_names

    given = _given(options, "contact", "most", "depth")
    if options.licences:
        given["licences"] = _comma(options.licences)
    settings = settings_from(CommonsSettings, given, "commons")
    labels = read_names(Path(options.labels[1:])) if options.labels.startswith("@") else _comma(options.labels)
    yield from lines(fetch_commons(labels, options.out, settings, progress=_progress()))


def _download_arguments(parser: argparse.ArgumentParser) -> None:
    _add_workspace(parser, shard=True)
    parser.add_argument("--contact", help="your e-mail address or web page: it is sent with every request")
    parser.add_argument(
        "--accept-terms",
        action="append",
        default=[],
        metavar="HOST",
        help="you have read this host's terms and they, or its owner, let you download these photos",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be asked of whom, and ask nothing")
    parser.add_argument("--refresh", action="store_true", help="ask again for what is there, if it has changed")


def _download(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.config import settings_from
    from handlens.dataset.download import DownloadSettings, download, plan

    workspace, config = _workspace(options)
    given = (config.download if config else DownloadSettings()).model_dump()
    given |= _given(options, "contact")
    for host in options.accept_terms:
        given["hosts"][host.lower()] = given["hosts"].get(host.lower(), {}) | {"terms_acknowledged": True}
    settings = settings_from(DownloadSettings, given, "download")
    shard = _shard(options)
    yield from lines(plan(workspace, settings, shard=shard))
    if not options.dry_run:
        done = download(workspace, settings, shard=shard, progress=_progress(), refresh=options.refresh)
        yield from lines(done)


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    _add_workspace(parser, shard=True)


def _check(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import conflict_lines, lines
    from handlens.dataset.check import CheckSettings, check, findings

    workspace, config = _workspace(options)
    settings, shard = config.check if config else CheckSettings(), _shard(options)
    summary = check(workspace, settings, shard=shard, progress=_progress())
    yield from lines(summary)
    if summary.conflicts and shard.count == 1:
        yield from conflict_lines(findings(workspace.rows("check")).conflicts)


def _balance_arguments(parser: argparse.ArgumentParser) -> None:
    _add_workspace(parser)
    parser.add_argument("--max-per-label", type=int, metavar="N", help="the most photos of a label that stay")
    parser.add_argument("--min-per-label", type=int, metavar="N", help="leave out labels with fewer")
    parser.add_argument("--seed", type=int, help="draws the photos that stay")


def _balance(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.balance import BalanceSettings, balance
    from handlens.dataset.config import settings_from

    workspace, config = _workspace(options)
    given = (config.balance if config else BalanceSettings()).model_dump()
    given |= _given(options, "max_per_label", "min_per_label", "seed")
    yield from lines(balance(workspace, settings_from(BalanceSettings, given, "balance"), progress=_progress()))


def _split_arguments(parser: argparse.ArgumentParser) -> None:
    _add_workspace(parser)
    parser.add_argument("--validation", type=float, metavar="SHARE", help="of the photos, 0 to 1 (default: 0.15)")
    parser.add_argument("--test", type=float, metavar="SHARE", help="of the photos, 0 to 1 (default: 0.15)")
    parser.add_argument("--seed", type=int, help="draws the parts")


def _split(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.config import settings_from
    from handlens.dataset.split import SplitSettings, split

    workspace, config = _workspace(options)
    given = (config.split if config else SplitSettings()).model_dump() | _given(options, "validation", "test", "seed")
    yield from lines(split(workspace, settings_from(SplitSettings, given, "split"), progress=_progress()))


def _prepare_arguments(parser: argparse.ArgumentParser) -> None:
    _add_workspace(parser, shard=True)
    parser.add_argument(
        "--prepare",
        dest="mode",
        choices=("resize", "origin-mask", "specimen"),
        help="resize the whole photo, mask it as the original project did, or look at the specimen",
    )
    parser.add_argument("--side", type=int, metavar="PIXELS", help="of the prepared square")
    parser.add_argument("--fit", choices=("inside", "pad", "crop", "stretch"), help="how a photo is fitted to it")
    parser.add_argument(
        "--specimen", choices=("crop", "grey", "both"), help="crop to the specimen, grey its background, or both"
    )


def _prepare(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.config import settings_from
    from handlens.dataset.croissant import CroissantSettings
    from handlens.dataset.finish import finish
    from handlens.dataset.prepare import PrepareSettings, prepare

    workspace, config = _workspace(options)
    given = (config.prepare if config else PrepareSettings()).model_dump()
    given |= _given(options, "mode", "side", "fit", "specimen")
    shard = _shard(options)
    settings = settings_from(PrepareSettings, given, "prepare")
    yield from lines(prepare(workspace, settings, shard=shard, progress=_progress()))
    if shard.count == 1:
        yield from lines(finish(workspace, config.description if config else CroissantSettings()))


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a workspace, a manifest, or a folder of class folders")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="a folder for class folders, or a .csv or .jsonl file"
    )
    parser.add_argument("--split", help="only the photos of this split")
    parser.add_argument("--originals", action="store_true", help="the photos as downloaded, not as prepared")
    parser.add_argument("--copies", action="store_true", help="files of their own in place of hard links")


def _export(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.export import ExportSettings, export_folders, export_table

    if options.out.suffix in (".csv", ".jsonl"):
        yield f"{export_table(options.source, options.out):,} rows in {options.out}"
        return
    settings = ExportSettings(
        split=options.split, photos="original" if options.originals else "prepared", copies=options.copies
    )
    yield from lines(export_folders(options.source, options.out, settings))


def _view_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a workspace, a manifest, or a folder of class folders")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the report (default: report.html in the workspace)")


def _view(options: argparse.Namespace) -> Iterator[str]:
    from handlens.dataset.view import ViewSettings, view

    yield str(view(options.source, ViewSettings(), options.out, progress=_progress()))


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file, see docs/data.md")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="stop after this stage")
    parser.add_argument("--dry-run", action="store_true", help="select the rows, say what would be asked, and stop")


def _run(options: argparse.Namespace) -> Iterator[str]:
    from handlens.cli.dataset_text import lines
    from handlens.dataset.config import read_config
    from handlens.dataset.run import run_stages

    config = read_config(options.config)
    for done in run_stages(config, until=options.until, dry_run=options.dry_run, progress=_progress()):
        yield f"{done.stage}:"
        yield from (f"  {line}" for line in lines(done.summary))


_STAGES: Final[dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[Any], Iterator[str]]]]] = {
    "labels": ("count the labels of lists and folders", _labels_arguments, _labels),
    "filter": ("select the rows that make the data set", _filter_arguments, _filter),
    "commons": ("list photos of Wikimedia Commons with their rights", _commons_arguments, _commons),
    "download": ("fetch the photos, politely", _download_arguments, _download),
    "check": ("look at every photo, find duplicates, set aside what is odd", _check_arguments, _check),
    "balance": ("cut large labels, leave out thin ones", _balance_arguments, _balance),
    "split": ("part training, validation and test, never a specimen", _split_arguments, _split),
    "prepare": ("make the files to train from", _prepare_arguments, _prepare),
    "view": ("write a report to look at", _view_arguments, _view),
    "export": ("write class folders, CSV or JSON lines from a data set", _export_arguments, _export),
    "run": ("do all of it, as a configuration says", _run_arguments, _run),
}
"""Stage, what it does, its options, and what runs it."""


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="LIST", help="lists of URLs, or folders with one folder a label"
    )


def _add_workspace(parser: argparse.ArgumentParser, *, shard: bool = False) -> None:
    parser.add_argument("workspace", type=Path, metavar="WORKSPACE", help="folder of the data set (see `filter --out`)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="take settings from this TOML file")
    if shard:
        parser.add_argument("--shard", metavar="I/N", help="do part I of N of the work, on one machine of N")


def _workspace(options: argparse.Namespace) -> tuple[Workspace, DatasetConfig | None]:
    from handlens.dataset.config import read_config
    from handlens.dataset.workspace import Workspace

    if not options.workspace.is_dir():
        raise UsageError(f"{options.workspace}: is no folder; `handlens dataset filter LIST --out` makes one")
    return Workspace(options.workspace), read_config(options.config) if options.config else None


def _shard(options: argparse.Namespace) -> Shard:
    from handlens.dataset.shards import WHOLE, Shard

    return Shard.parse(options.shard) if options.shard else WHOLE


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were typed; the others keep what the configuration says."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _comma(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _progress() -> bool:
    return sys.stderr.isatty()
