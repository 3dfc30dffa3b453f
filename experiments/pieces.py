"""How often a photo shows several specimens apart from each other, as the localiser sees it.

    python -m experiments.pieces [--photos 500] [--seed 1]

Of so many usable photos of the split "train", drawn at random: the share with two pieces or more when a part of the
mask counts from several shares of the largest part on, and the files found at the share that ships, to be looked at.
"""

from __future__ import annotations

import argparse
import random

import numpy as np

from experiments.features import MANIFEST
from handlens.photo import PhotoError, read_photo
from handlens.specimen_localiser import Localiser, stretched
from handlens.specimen_mask import PIECE, clean_mask
from handlens.training.samples import read_samples, with_split

SHARES = (0.15, 0.25, 0.35, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    samples = [sample for sample in with_split(read_samples(MANIFEST), "train") if sample.usable]
    localiser = Localiser.load()
    found: dict[float, list[str]] = {share: [] for share in SHARES}
    for sample in random.Random(options.seed).sample(samples, options.photos):
        try:
            rgb = read_photo(sample.path, needed_side=localiser.settings.side).rgb
        except PhotoError:
            continue
        if localiser.locate(rgb).fills_frame:
            continue
        masks, _ = localiser.run(stretched(rgb, localiser.settings.side)[np.newaxis])
        for share in SHARES:
            if clean_mask(masks[0], piece=share)[1] > 1:
                found[share].append(sample.file)
    for share, files in found.items():
        print(f"from {share} of the largest part on: {len(files) / options.photos:.1%}")
    print("\n".join(found[PIECE]))


if __name__ == "__main__":
    main()
