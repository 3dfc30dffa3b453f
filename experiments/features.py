"""Features of photos from frozen networks, kept on disk, for experiments with heads.

    python -m experiments.features OUT --backbone vits14 --view grey-box [--mirror] [--split train] [--side 224]

Views: `padded`, `crop` and `crop65` of the whole frame; `box`, the specimen's box padded to a square; `grey-box`, the
same with the background greyed. Box and mask are the localiser's that ships (`--masks teacher`: those that it learnt
from). Of vits14: of each block the class token, and of its patches the mean, the mean inside the mask and the standard
deviation inside the mask; of lite2: the pooled features.

On disk: OUT/<split>-<backbone><side>-<view>[-mirror][-teacher]/00000.npz ...: `features` (n, K, D) float16, a chunk of
128 photos each, in the order of the manifest. A killed run goes on.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from handlens.onnx_session import cpu_session
from handlens.photo import read_photo
from handlens.specimen import MASK_THRESHOLD, Box, Specimen, whole_frame
from handlens.specimen_localiser import Localiser
from handlens.specimen_mask import bounding_box
from handlens.training.samples import Sample, read_samples, with_split
from handlens.views import Preprocessing, View, make_views

DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
MANIFEST: Final = DATA / "photos" / "manifest.csv"
CHUNK: Final = 128
BATCH: Final = 4
BLOCKS: Final = tuple(range(12))
VIEWS: Final = {
    "padded": View("padded"),
    "crop": View("crop", 1.0),
    "crop65": View("crop", 0.65),
    "box": View("padded", 1.0, "specimen"),
    "grey-box": View("padded", 1.0, "specimen", grey=True),
    "grey-centre": View("crop", 0.7, "specimen", grey=True),
    "grey-frame": View("padded", grey=True),
}
SIDES: Final = {"vits14": 224, "lite2": 260, "lite0": 224}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", choices=SIDES, default="vits14")
    parser.add_argument("--view", choices=VIEWS, default="grey-box")
    parser.add_argument("--side", type=int)
    parser.add_argument("--split", default="train")
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--masks", choices=("localiser", "teacher"), default="localiser")
    options = parser.parse_args()
    side = options.side or SIDES[options.backbone]
    name = f"{options.split}-{options.backbone}{side}-{options.view}"
    name += ("-mirror" if options.mirror else "") + ("-teacher" if options.masks == "teacher" else "")
    extract(options, side, options.out / name)


def extract(options: argparse.Namespace, side: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    samples = with_split(read_samples(MANIFEST), options.split)
    session = cpu_session(graph(options.backbone, side))
    localiser = Localiser.load(threads=1)
    view = VIEWS[options.view]
    preprocessing = Preprocessing(side=side, views=(view,))

    def seen(sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The view and, for each patch of 14 pixels, how much of it is specimen."""
        rgb = read_photo(sample.path, name=sample.file, needed_side=preprocessing.needed_side).rgb
        needed = view.needs_specimen or options.backbone.startswith("vit")
        found = whole_frame(rgb)
        if needed:
            found = teacher(sample, rgb) if options.masks == "teacher" else localiser.locate(rgb)
        shown = make_views(rgb, found, preprocessing)[0]
        height, width = rgb.shape[:2]
        mask = np.full((height, width, 3), 255, np.uint8)
        if found.mask is not None:
            inside = Image.fromarray(np.where(found.mask >= MASK_THRESHOLD, 255, 0).astype(np.uint8))
            mask = np.repeat(np.asarray(inside.resize((width, height)))[..., None], 3, axis=2)
        share = make_views(mask, found, Preprocessing(side // 14 * 14, (replace(view, grey=False),), fill=0))[0]
        grid = side // 14
        patches = share[..., 0].reshape(grid, 14, grid, 14).mean(axis=(1, 3)).ravel() / 255
        if options.mirror:
            shown, patches = shown[:, ::-1], patches.reshape(grid, grid)[:, ::-1].ravel()
        return np.ascontiguousarray(shown), patches.astype(np.float32)

    with ThreadPoolExecutor(2) as pool:
        for start in tqdm(range(0, len(samples), CHUNK), desc=folder.name, unit="chunk"):
            path = folder / f"{start // CHUNK:05d}.npz"
            if path.is_file():
                continue
            read = list(pool.map(seen, samples[start : start + CHUNK]))
            parts = []
            for first in range(0, len(read), BATCH):
                part = read[first : first + BATCH]
                output = session.run(None, {"photo": np.stack([shown for shown, _ in part])})[0]
                parts.append(pooled(output, np.stack([patches for _, patches in part])))
            temporary = path.with_name(f".{path.name}")
            with temporary.open("wb") as file:
                np.savez(file, features=np.concatenate(parts).astype(np.float16))
            temporary.replace(path)


def pooled(output: NDArray[np.float32], patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, K, D): of lite its features as they are, K = 1; of tokens (N, blocks, 1 + P, D) four of each block."""
    if output.ndim == 2:
        return output[:, np.newaxis]
    weight = patches + 1e-3
    weight = (weight / weight.sum(axis=1, keepdims=True))[:, np.newaxis, :, np.newaxis]
    tokens = output[:, :, 1:]
    inside = (tokens * weight).sum(axis=2)
    spread = (np.square(tokens - inside[:, :, np.newaxis]) * weight).sum(axis=2) ** 0.5
    four = (output[:, :, 0], tokens.mean(axis=2), inside, spread)
    return np.stack(four, axis=2).reshape(len(output), -1, output.shape[-1])


def teacher(sample: Sample, rgb: NDArray[np.uint8]) -> Specimen:
    file = DATA / "masks" / Path(sample.file).with_suffix(".png")
    mask = np.asarray(Image.open(file).convert("L"))
    height, width = rgb.shape[:2]
    share = (mask >= MASK_THRESHOLD).mean()
    if not 0.02 < share < 0.98:
        return whole_frame(rgb)
    box: Box = bounding_box(mask, width, height, 0.05)
    return Specimen(box, fills_frame=False, mask=mask)


def graph(backbone: str, side: int) -> bytes:
    """The network as ONNX, made once a side."""
    import keras

    from handlens.training.classifier import as_onnx
    from handlens.training.lite import lite_backbone
    from handlens.training.vit import vit_backbone
    from handlens.training.weights import load_weights

    net: keras.Model
    if backbone.startswith("vit"):
        net = vit_backbone(side=side, blocks=BLOCKS, tokens=True)
    else:
        net = lite_backbone(backbone, side=side)
    load_weights(net, backbone)
    return as_onnx(net)


def load(out: Path, name: str) -> NDArray[np.float32]:
    """The kept features (n, K, D) of one folder."""
    parts: list[Any] = [np.load(path)["features"] for path in sorted((out / name).glob("*.npz"))]
    return np.concatenate(parts).astype(np.float32)


if __name__ == "__main__":
    main()
