"""Whether `handlens batch` with both engines gives what `Identifier.identify` gives, photo by photo.

    python benchmarks/batch_agree.py PHOTOS [--photos 300] [--engines local,ray]

PHOTOS: a folder of real photos. Must reach: on 300, every decision and every name the same, every number within 1e-5.
Exit status 1 where it does not. The engine `ray` needs the extra `scale`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from handlens import Identifier

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--engines", default="local,ray")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.jpg"))
    # Spread over the folder, so that every origin is there.
    files = files[:: max(1, len(files) // options.photos)][: options.photos]
    identifier = Identifier.load()
    different = 0
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "photos"
        source.mkdir()
        for place, file in enumerate(files):
            (source / f"{place:06d}.jpg").symlink_to(file.resolve())
        names = sorted(path.name for path in source.iterdir())
        wanted = {name: identifier.identify(str(source / name), name=name).as_dict() for name in names}
        for engine in options.engines.split(","):
            found = answers(source, Path(work) / engine, engine)
            gaps = [gap(found.get(name), wanted[name]) for name in names]
            different += sum(one > TOLERANCE for one in gaps)
            print(
                f"{engine}: {len(names)} photos, {sum(one > TOLERANCE for one in gaps)} differ, at most {max(gaps):.2g}"
            )
    raise SystemExit(1 if different else 0)


def answers(source: Path, out: Path, engine: str) -> dict[str, Any]:
    command = ["batch", str(source), "--out", str(out), "--engine", engine, "--quiet", "--no-review"]
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    subprocess.run([sys.executable, "-m", "handlens", *command], env=env, check=True)
    documents = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    return {document["photo"]: document for document in documents}


def gap(found: Any, wanted: Any) -> float:
    """The largest difference of two numbers at the same place; infinity where anything else differs."""
    if isinstance(wanted, bool) or not isinstance(wanted, int | float | dict | list | tuple):
        return 0.0 if found == wanted else float("inf")
    if isinstance(wanted, int | float):
        return abs(found - wanted) if isinstance(found, int | float) else float("inf")
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or found.keys() != wanted.keys():
            return float("inf")
        return max((gap(found[key], wanted[key]) for key in wanted), default=0.0)
    if not isinstance(found, list) or len(found) != len(wanted):
        return float("inf")
    return max((gap(one, other) for one, other in zip(found, wanted, strict=True)), default=0.0)


if __name__ == "__main__":
    main()
