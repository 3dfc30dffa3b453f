"""Peak memory of `handlens identify` on a 48-megapixel JPEG.

    python benchmarks/memory.py

The picture (8000 x 6000) is drawn noise over colour bands, so that it is as hard to decode as a photograph. The figure
is the largest resident set of the whole process, as the operating system counts it. Must reach: at most 350 MB.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

LIMIT = 350


def main() -> int:
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        small = Image.fromarray(rng.integers(0, 256, (375, 500, 3), np.uint8).astype(np.uint8))
        picture = np.asarray(small.resize((8000, 6000), Image.Resampling.BICUBIC))
        noisy = np.clip(picture.astype(np.int16) + rng.integers(-12, 13, picture.shape, np.int16), 0, 255)
        for name, progressive in (("baseline", False), ("progressive", True)):
            path = Path(folder) / f"{name}.jpg"
            Image.fromarray(noisy.astype(np.uint8)).save(path, quality=85, progressive=progressive)
            child = (
                "import resource, subprocess, sys;"
                "subprocess.run([sys.executable, '-m', 'handlens', 'identify', sys.argv[1]], check=True,"
                " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
            )
            done = subprocess.run([sys.executable, "-c", child, str(path)], check=True, capture_output=True, text=True)
            used = int(done.stdout) * 1024 / 1e6
            print(f"{name:<12} {path.stat().st_size / 1e6:5.1f} MB file: peak {used:.0f} MB")
            peak = max(peak, used)
    print(f"must be at most {LIMIT} MB")
    return 0 if peak <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
