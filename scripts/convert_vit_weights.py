"""Writes src/handlens/training/pretrained/vits14.npz from the published encoder's arrays.

    python scripts/convert_vit_weights.py vits14.npz

The file holds the encoder of Depth-Anything-V2-Small (Apache-2.0), which began as DINOv2-S (Apache-2.0), under DINOv2's
names: matrices as `<name>.q` int8 with `<name>.scale`, one scale a row. They stay in 8 bits; LayerScale is folded into
the scale of the matrix before it. The script then proves that the network gives what the arrays say, computed here once
more in NumPy.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from numpy.typing import NDArray

from handlens.training.vit import resized_positions, vit_backbone
from handlens.training.weights import WEIGHTS_FOLDER, load_weights

DENSE = {"attn.qkv": "qkv", "attn.proj": "projection", "mlp.fc1": "up", "mlp.fc2": "down"}
SCALED = {"attn.proj": "ls1", "mlp.fc2": "ls2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    options = parser.parse_args()
    with np.load(options.source) as archive:
        source = {name: archive[name] for name in archive.files}
    arrays = converted(source)
    target = WEIGHTS_FOLDER / "vits14.npz"
    np.savez_compressed(target, **arrays)
    print(f"{target.name}: {target.stat().st_size:,} bytes")
    net = vit_backbone(tokens=True)
    load_weights(net, "vits14")
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    wanted = by_hand(source, photo)
    found = np.asarray(net(photo[np.newaxis], training=False))[0]
    difference = float(np.abs(found - wanted).max())
    print(f"largest difference from NumPy: {difference:.2g} (tokens up to {np.abs(wanted).max():.1f})")
    assert difference < 1e-3 * np.abs(wanted).max()


def converted(source: dict[str, Any]) -> dict[str, Any]:
    """The arrays under the names of the Keras network."""
    arrays: dict[str, Any] = {
        # One scale an output, which is the last axis in Keras.
        "patches/kernel.q": source["patch_embed.proj.weight.q"].transpose(2, 3, 1, 0),
        "patches/kernel.scale": source["patch_embed.proj.weight.scale"],
        "patches/bias": source["patch_embed.proj.bias"],
        "tokens/class_token": source["cls_token"],
        "tokens/positions": source["pos_embed"],
        "norm/gamma": source["norm.weight"],
        "norm/beta": source["norm.bias"],
    }
    for number in range(12):
        old, new = f"blocks.{number}", f"block{number:02d}"
        for norm in ("norm1", "norm2"):
            arrays[f"{new}_{norm}/gamma"] = source[f"{old}.{norm}.weight"]
            arrays[f"{new}_{norm}/beta"] = source[f"{old}.{norm}.bias"]
        for name, short in DENSE.items():
            gamma = source[f"{old}.{SCALED[name]}.gamma"] if name in SCALED else np.float32(1)
            arrays[f"{new}_{short}/kernel.q"] = np.ascontiguousarray(source[f"{old}.{name}.weight.q"].T)
            arrays[f"{new}_{short}/kernel.scale"] = source[f"{old}.{name}.weight.scale"] * gamma
            arrays[f"{new}_{short}/bias"] = source[f"{old}.{name}.bias"] * gamma
    return arrays


def by_hand(source: dict[str, Any], photo: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Normalised tokens (3, 257, 384) of blocks 6, 9 and 11, in float64."""

    def matrix(name: str) -> NDArray[np.float64]:
        quantised, scale = source[f"{name}.q"].astype(float), source[f"{name}.scale"].astype(float)
        return np.asarray(quantised * scale.reshape(-1, *[1] * (quantised.ndim - 1)))

    def norm(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
        return np.asarray(scaled * source[f"{name}.weight"] + source[f"{name}.bias"])

    rgb = (photo / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    patches = rgb.reshape(16, 14, 16, 14, 3).transpose(0, 2, 4, 1, 3).reshape(256, -1)
    x = patches @ matrix("patch_embed.proj.weight").reshape(384, -1).T + source["patch_embed.proj.bias"]
    x = np.concatenate([source["cls_token"][0], x]) + resized_positions(source["pos_embed"], 16)[0]
    erf = np.vectorize(math.erf)
    found = []
    for number in range(12):
        name = f"blocks.{number}"
        y = norm(x, f"{name}.norm1") @ matrix(f"{name}.attn.qkv.weight").T + source[f"{name}.attn.qkv.bias"]
        query, key, value = y.reshape(257, 3, 6, 64).transpose(1, 2, 0, 3)
        score = query @ key.transpose(0, 2, 1) / 8
        share = np.exp(score - score.max(axis=-1, keepdims=True))
        y = (share / share.sum(axis=-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(257, 384)
        y = y @ matrix(f"{name}.attn.proj.weight").T + source[f"{name}.attn.proj.bias"]
        x = x + y * source[f"{name}.ls1.gamma"]
        y = norm(x, f"{name}.norm2") @ matrix(f"{name}.mlp.fc1.weight").T + source[f"{name}.mlp.fc1.bias"]
        y = 0.5 * y * (1 + erf(y / math.sqrt(2)))
        y = y @ matrix(f"{name}.mlp.fc2.weight").T + source[f"{name}.mlp.fc2.bias"]
        x = x + y * source[f"{name}.ls2.gamma"]
        if number in (6, 9, 11):
            found.append(norm(x, "norm"))
    return np.stack(found)


if __name__ == "__main__":
    main()
