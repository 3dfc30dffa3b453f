"""Writes src/handlens/training/pretrained/vits14-ranges.npz: how large what the first blocks normalise becomes.

    python scripts/measure_vit_ranges.py MANIFEST

Of 64 photos of the split "train", drawn at random, the greyed box of the specimen goes through the pretrained network
in 32 bits; kept is the largest magnitude of every channel behind the normalisations of the blocks up to CHOICE, and
behind the GELU of every block. See `handlens.training.smoothing` for what it is good for.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from handlens.onnx_session import cpu_session
from handlens.photo import read_photo
from handlens.training.frozen import frozen_network, weights_of
from handlens.training.run import LOOKS
from handlens.training.samples import read_samples, with_split
from handlens.training.smoothing import GELU, MATRIX_BEHIND
from handlens.training.vit import CHOICE, DEPTH, FEATURE_BLOCKS, VIT_SIDE
from handlens.training.vit_graph import vit_features_graph
from handlens.training.weights import WEIGHTS_FOLDER
from handlens.viewer import viewer_of
from handlens.views import Preprocessing

PHOTOS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    options = parser.parse_args()
    wanted = [f"block{number:02d}_{norm}" for number in range(CHOICE + 1) for norm in MATRIX_BEHIND]
    weights = weights_of(frozen_network("vits14"))
    graph = onnx.load_from_string(vit_features_graph(weights, side=VIT_SIDE, blocks=FEATURE_BLOCKS, int8=False))
    where = {
        node.input[1].partition("/")[0]: node.output[0]
        for node in graph.graph.node
        if node.op_type == "LayerNormalization"
    }
    gelus = [node.output[0] for node in graph.graph.node if node.op_type == "Gelu"]  # in the order of the blocks
    where |= {f"block{number:02d}_{GELU}": output for number, output in enumerate(gelus)}
    wanted += [f"block{number:02d}_{GELU}" for number in range(DEPTH)]
    for name in wanted:
        graph.graph.output.append(helper.make_tensor_value_info(where[name], TensorProto.FLOAT, None))
    session = cpu_session(graph.SerializeToString())
    preprocessing = Preprocessing(VIT_SIDE, LOOKS["box"])
    viewer = viewer_of(preprocessing)
    samples = with_split(read_samples(options.manifest), "train")
    largest: dict[str, NDArray[np.float32]] = {}
    for place in np.random.default_rng(0).permutation(len(samples))[:PHOTOS]:
        rgb = read_photo(samples[place].path, needed_side=preprocessing.needed_side).rgb
        found = session.run([where[name] for name in wanted], {"photo": viewer.views(rgb)})
        for name, values in zip(wanted, found, strict=True):
            most = np.abs(values).max(axis=(0, 1))
            largest[name] = np.maximum(largest.get(name, most), most)
    target = WEIGHTS_FOLDER / "vits14-ranges.npz"
    np.savez_compressed(target, **largest)
    print(f"{target.name}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
