"""A bundle as it ships, its 8 bits and all, on a split's usable photos: the figures of `handlens evaluate --field`.

    python -m experiments.shipped [--bundle BUNDLE] [--thorough] [--split field] [--source MANIFEST]

With `--split field` it decides nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from experiments.features import MANIFEST
from handlens.evaluation.answers import AnswerSettings
from handlens.evaluation.field import field_figures
from handlens.identifier import Identifier
from handlens.training.samples import read_samples, with_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", help="another one than the default")
    parser.add_argument("--thorough", action="store_true")
    parser.add_argument("--split", default="field")
    parser.add_argument("--source", type=Path, default=MANIFEST)
    options = parser.parse_args()
    identifier = Identifier.load(options.bundle)
    samples = [sample for sample in with_split(read_samples(options.source), options.split) if sample.usable]
    logits = np.stack([identifier.fused(sample.path, thorough=options.thorough).logits for sample in samples])
    bundle = identifier.bundle
    settings = AnswerSettings(bundle.temperature, bundle.set_quantile, bundle.thresholds)
    found = field_figures(samples, logits, bundle.labels, settings, identifier.minerals)
    print(json.dumps({"bundle": bundle.name, "thorough": options.thorough, **found}, indent=1))


if __name__ == "__main__":
    main()
