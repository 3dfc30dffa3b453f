"""`handlens batch SOURCE --out RUN`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from handlens.allocator import keep_one_arena
from handlens.cli import options as shared
from handlens.cli.extras import need

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `handlens batch`."""
    parser.add_argument(
        "source", metavar="SOURCE", help="a folder, a pattern, a table (.csv, .parquet), an archive (.zip, .tar), a URL"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the folder of the run; resumes one")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="default: local")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a processor)")
    parser.add_argument("--shard-size", type=int, default=256, metavar="ROWS", help="rows finished together")
    parser.add_argument("--index", action="store_true", help="keep embeddings, for `handlens similar`")
    parser.add_argument("--no-review", action="store_true", help="make no small pictures and no review page")
    parser.add_argument(
        "--rehash", action="store_true", help="of finished rows read also the photos whose size and time are as before"
    )
    shared.add_top(parser)
    shared.add_thorough(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument(
        "--progress", choices=("text", "json"), default="text", help="how to tell of it (default: text)"
    )
    shared.add_language(parser)
    shared.add_bundle(parser)


def run(options: argparse.Namespace) -> int:
    """Runs or resumes; 1 if some photo failed."""
    need("batch", "pyarrow", "jinja2", "fsspec")
    if options.engine == "ray":
        need("scale", "ray")
    import pyarrow as pa

    from handlens.batch import Asked, BatchSettings, run_batch
    from handlens.batch.progress import Progress

    # Shards are small and many: an allocator that keeps what is freed for later holds some 50 MB more.
    keep_one_arena()
    pa.set_memory_pool(pa.system_memory_pool())
    among = shared.among(options.among)
    asked = Asked(
        bundle=options.bundle,
        top=options.top,
        among=None if among is None else tuple(among),
        lang=options.lang,
        index=options.index,
        review=not options.no_review,
        thorough=options.thorough,
    )
    settings = BatchSettings(
        source=options.source,
        out=options.out,
        asked=asked,
        engine=options.engine,
        workers=options.workers,
        shard_size=options.shard_size,
        rehash=options.rehash,
    )
    summary = run_batch(settings, Progress(sys.stderr, "quiet" if options.quiet else options.progress))
    if not options.quiet:
        print(summary.as_text())
    return 1 if summary.failed else 0
