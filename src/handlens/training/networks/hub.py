"""Networks that begin with a preset of keras-hub, under a new softmax. Needs the extra `presets`.

A preset is a name that keras-hub knows (its weights are downloaded once and kept), an address (`kaggle://`, `hf://`) or
a local folder that `save_to_preset` made of a backbone and its image converter. See docs/presets.md.
"""

from __future__ import annotations

import difflib
import importlib
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import keras
from keras import layers

from handlens.errors import HandlensError, MissingExtraError, UsageError
from handlens.training.networks.transfer import under_softmax

__all__ = ["BadPresetError", "PresetUnreachableError", "keras_hub", "preset_network", "preset_side"]

_SIDE: Final = 224
"""Of the pictures in pixels where a preset does not say."""
_NOT_EXPORTED: Final = ("MiTBackbone",)
"""tf2onnx makes graphs of them that cannot be run."""
_CLASS_TOKENS: Final = ("class_token", "cls_token")


class BadPresetError(HandlensError):
    """A preset does not exist, cannot be read, or is no image backbone (`bad-preset`)."""

    code = "bad-preset"


class PresetUnreachableError(HandlensError):
    """A preset cannot be downloaded (`preset-unreachable`)."""

    code = "preset-unreachable"


def keras_hub() -> Any:
    """The package; once it is imported Keras can open a saved network that has one of its layers.

    Raises MissingExtraError.
    """
    try:
        return importlib.import_module("keras_hub")
    # A tensorflow-text of another version than TensorFlow raises one of TensorFlow's own errors.
    except Exception as error:
        why = f"presets need keras-hub, which cannot be imported ({_short(error)})"
        raise MissingExtraError(f"{why}: pip install 'handlens[presets]'") from error


def preset_side(preset: str) -> int:
    """The side of the pictures that a preset is made for, in pixels: 224 where it does not say.

    Raises MissingExtraError, BadPresetError, PresetUnreachableError.
    """
    size = _image_converter(preset).image_size
    return _SIDE if size is None else int(size[0])


def preset_network(
    preset: str, classes: int, *, side: int, dropout: float | None = None, unfrozen: int | None = None
) -> keras.Model:
    """The backbone of `preset` under a new softmax: uint8 `photo` (N, side, side, 3) → `probabilities` (N, classes).

    The preset's own scale and offset are a layer of the network. Features are the class token where there is one, else
    the mean over the map or the tokens. The last `unfrozen` layers with weights (a convolution, a dense layer, a layer
    normalisation: one each) are trained, a third of all by default; 0 freezes all. Batch normalisation keeps the
    preset's statistics, scale and offset everywhere. Raises MissingExtraError, BadPresetError, PresetUnreachableError,
    and UsageError for a side that the backbone does not take.
    """
    converter = _image_converter(preset)
    backbone = _loaded(preset, keras_hub().models.Backbone)
    if (kind := type(backbone).__name__) in _NOT_EXPORTED:
        raise BadPresetError(f"{preset}: {kind} cannot be exported to ONNX, so no bundle could be made of it")
    fed, single = _image_input(preset, backbone)
    if any(own not in (None, side) for own in single.shape[1:3]):
        raise UsageError(f"{preset} takes pictures of {single.shape[1]} px, not of {side}: give that as the side")
    _freeze(backbone, unfrozen)
    photo = keras.Input((side, side, 3), dtype="uint8", name="photo")
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    # In float32 whatever the policy: eight bits of a pixel and its offset do not fit into those of a bfloat16.
    x = layers.Rescaling(scale, offset, dtype="float32", name="normalise")(photo)
    features = _pooled(preset, backbone, backbone(x if fed is None else {fed: x}))
    return under_softmax(photo, features, classes, dropout=dropout, name="hub")


def _image_converter(preset: str) -> Any:
    return _loaded(preset, keras_hub().layers.ImageConverter)


def _loaded(preset: str, kind: Any) -> Any:
    """`kind.from_preset`: the backbone with its weights, or the image converter."""
    remote = "://" in preset or not Path(preset).is_dir()
    if "://" not in preset and remote:
        _check_name(preset)
    try:
        return kind.from_preset(preset)
    # Each of the hubs behind it raises exceptions of its own, some of them plain `Exception`.
    except Exception as error:
        wrong = isinstance(error, (ValueError, TypeError, KeyError, AttributeError, ImportError))
        if wrong or not remote:
            hint = " (or there is no network connection to download it)" if remote else ""
            raise BadPresetError(f"{preset}: cannot be used as an image backbone: {_short(error)}{hint}") from error
        raise PresetUnreachableError(
            f"{preset}: cannot be downloaded ({_short(error)}). Presets are downloaded once, when a network is "
            f"trained, and that needs a network connection; identifying photos needs none"
        ) from error


def _check_name(preset: str) -> None:
    """Before anything is downloaded."""
    hub = keras_hub()
    images = hub.layers.ImageConverter.presets
    if preset in images:
        return
    if preset in hub.models.Backbone.presets:
        raise BadPresetError(f"{preset}: this preset of keras-hub does not read images")
    near = difflib.get_close_matches(preset, images, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise BadPresetError(f"{preset}: keras-hub has no preset of this name and there is no such folder{hint}")


def _short(error: Exception) -> str:
    """The first line of what it says, without the rest of a page of help."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def _image_input(preset: str, backbone: Any) -> tuple[str | None, keras.KerasTensor]:
    """The name that its one input is fed by, where it wants one, and that input (N, H, W, 3)."""
    inputs = getattr(backbone, "input", None)
    fed = None
    if isinstance(inputs, dict) and len(inputs) == 1:
        ((fed, inputs),) = inputs.items()
    if not isinstance(inputs, keras.KerasTensor) or len(inputs.shape) != 4 or inputs.shape[-1] != 3:
        raise BadPresetError(
            f"{preset}: {type(backbone).__name__} is no image backbone: it takes other things than RGB"
        )
    return fed, inputs


def _freeze(backbone: Any, unfrozen: int | None) -> None:
    backbone.trainable = True
    still = set()
    # Called with training=False they would still be updated: Keras passes on what the whole network is called with.
    # Keras has no public way to blocks inside blocks.
    for layer in backbone._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
            still |= {id(weight) for weight in layer.weights}
    weights = [weight for weight in backbone.weights if id(weight) not in still]
    groups = [list(group) for _, group in groupby(weights, key=lambda weight: weight.path.rpartition("/")[0])]
    late = -(-len(groups) // 3) if unfrozen is None else min(unfrozen, len(groups))
    for group in groups[: len(groups) - late]:
        for weight in group:
            weight.trainable = False


def _pooled(preset: str, backbone: Any, output: Any) -> keras.KerasTensor:
    """Features (N, D) from what the backbone gives: a map, tokens, features, or the maps of its stages by name."""
    if isinstance(output, dict) and (stages := getattr(backbone, "stage_names", None)) and stages[-1] in output:
        output = output[stages[-1]]
    if isinstance(output, keras.KerasTensor) and output.shape[-1] is not None:
        if len(output.shape) == 4:
            return layers.GlobalAveragePooling2D(name="pool")(output)
        if len(output.shape) == 3:
            if any(weight.name in _CLASS_TOKENS for weight in backbone.weights):
                return output[:, 0]
            return layers.GlobalAveragePooling1D(name="pool")(output)
        if len(output.shape) == 2:
            return output
    raise BadPresetError(f"{preset}: {type(backbone).__name__} is no image backbone: it gives no features of a picture")
