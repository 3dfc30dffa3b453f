"""One photo from bytes to answer, against a bare forward pass of EfficientNet-Lite2 at 260 px in the same run.

    python benchmarks/one_photo.py [--bundle DIR] [--photo PHOTO] [--runs 40] [--thorough]

Both are warm and in one process, and take turns. The photo is a JPEG of 500 px, drawn unless one is given: reading it,
finding the specimen where the bundle needs that, the network, the decision and the advice count. Must reach: at most 6
times the bare pass. Needs the extra `train`, which has the network to compare with.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from handlens import Identifier
from handlens.evaluation.machine import machine
from handlens.onnx_session import cpu_session
from handlens.selftest import drawn_picture
from handlens.training.frozen import backbone_of

SIDE = 260
PIXELS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle")
    parser.add_argument("--photo", help="is made a JPEG of 500 px first")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--thorough", action="store_true")
    options = parser.parse_args()
    jpeg = reduced(options.photo)
    identifier = Identifier.load(options.bundle)
    bare = cpu_session(backbone_of("lite2").graph())
    picture = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    ours, theirs = [], []
    for number in range(options.runs + 5):
        start = time.perf_counter()
        identifier.identify(jpeg, thorough=options.thorough)
        middle = time.perf_counter()
        bare.run(None, {"photo": picture})
        end = time.perf_counter()
        if number >= 5:
            ours.append(middle - start)
            theirs.append(end - middle)
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    print(f"{machine()}; {options.runs} paired runs, {len(jpeg)} bytes of JPEG")
    print(f"{identifier.bundle.name}: {1000 * statistics.median(ours):.1f} ms a photo")
    print(f"EfficientNet-Lite2, {SIDE} px, bare: {1000 * statistics.median(theirs):.1f} ms")
    print(f"ratio (median of the paired ones): {ratio:.2f}; at most 6 wanted")


def reduced(photo: str | None) -> bytes:
    if photo is None:
        picture = Image.fromarray(drawn_picture())
    else:
        with Image.open(photo) as opened:
            picture = opened.convert("RGB")
    scale = PIXELS / max(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
