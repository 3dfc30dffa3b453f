"""EfficientNet-Lite in Keras: its size and structure as published, its features as the original computes them."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray
from PIL import Image

from handlens.training.lite import LITE_FAMILY, lite_backbone
from handlens.training.weights import load_weights

GOLDEN = Path(__file__).parent / "golden"
CLASSIFIER = 1280 * 1000 + 1000


@pytest.fixture(scope="module")
def lite2() -> keras.Model:
    net = lite_backbone("lite2")
    load_weights(net, "lite2")
    return net


def trainable(net: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in net.trainable_variables)


@pytest.mark.parametrize(
    ("variant", "side", "published"), [("lite0", 224, 4_652_008), ("lite1", 240, 5_416_680), ("lite2", 260, 6_092_072)]
)
def test_size_is_the_published_one(variant: str, side: int, published: int) -> None:
    net = lite_backbone(variant)
    # Published with the 1000-class head and without the moving statistics of the batch normalisation.
    assert trainable(net) + CLASSIFIER == published
    assert LITE_FAMILY[variant].side == side
    assert net.input_shape == (None, side, side, 3)
    assert net.inputs[0].dtype == "uint8"
    assert net.output_shape == (None, 1280)


def test_lite2_has_all_its_arrays(lite2: keras.Model) -> None:
    assert lite2.count_params() == 4_869_168


def test_unknown_variant() -> None:
    with pytest.raises(KeyError):
        lite_backbone("lite9")


def test_stem_and_head_are_not_scaled(lite2: keras.Model) -> None:
    assert lite2.get_layer("stem").filters == 32
    assert lite2.get_layer("head").filters == 1280


def test_depth_of_first_and_last_stage_is_not_scaled(lite2: keras.Model) -> None:
    # 1, 2, 2, 3, 3, 4, 1 repeats; those between are scaled by 1.2 and rounded up.
    projections = [layer.filters for layer in lite2.layers if layer.name.endswith("_project")]
    assert projections == [16] + [24] * 3 + [48] * 3 + [88] * 4 + [120] * 4 + [208] * 5 + [352]


def test_every_activation_is_relu6_and_nothing_excites(lite2: keras.Model) -> None:
    relus = [layer for layer in lite2.layers if isinstance(layer, layers.ReLU)]
    expansions = [layer for layer in lite2.layers if layer.name.endswith("_expand")]
    depthwise = [layer for layer in lite2.layers if isinstance(layer, layers.DepthwiseConv2D)]
    assert len(depthwise) == 21
    assert len(expansions) == 20  # the first block does not expand
    assert len(relus) == 2 + len(depthwise) + len(expansions)  # stem and head, and none after a projection
    assert {float(layer.max_value) for layer in relus} == {6.0}
    kinds = {type(layer).__name__ for layer in lite2.layers}
    assert kinds == {
        "InputLayer",
        "Rescaling",
        "Conv2D",
        "DepthwiseConv2D",
        "BatchNormalization",
        "ReLU",
        "Add",
        "GlobalAveragePooling2D",
    }
    for layer in lite2.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            assert layer.activation is keras.activations.linear
            assert not layer.use_bias


def test_shortcuts_only_where_shapes_stay(lite2: keras.Model) -> None:
    # Every repeat but the first of its stage: 2 + 2 + 3 + 3 + 4.
    assert sum(isinstance(layer, layers.Add) for layer in lite2.layers) == 14


def test_normalisation_is_in_the_network() -> None:
    normalise = lite_backbone("lite0", side=32).get_layer("normalise")
    pixels = np.array([[[[0, 127, 255]]]], np.uint8)
    np.testing.assert_allclose(np.asarray(normalise(pixels)).ravel(), [-127 / 128, 0, 1], atol=1e-6)


def centre_square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """As `square` in scripts/convert_lite_weights.py."""
    image = Image.fromarray(picture)
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box), np.uint8)


@pytest.fixture(scope="module")
def lite0() -> keras.Model:
    net = lite_backbone("lite0")
    load_weights(net, "lite0")
    return net


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
@pytest.mark.parametrize("variant", ["lite0", "lite2"])
def test_features_are_those_of_the_original(variant: str, name: str, request: pytest.FixtureRequest) -> None:
    data = pytest.importorskip("skimage.data")
    net: keras.Model = request.getfixturevalue(variant)
    golden = json.loads((GOLDEN / f"{variant}-features.json").read_text())
    pixels = centre_square(getattr(data, name)(), LITE_FAMILY[variant].side)
    found, of_bgr = np.asarray(net(np.stack([pixels, pixels[:, :, ::-1]]), training=False))
    expected = np.array(golden[name])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # What a wrong network could not meet by chance: other pixels are far away.
    assert np.abs(of_bgr - expected).max() > 0.1
    other = np.array(golden["coffee" if name == "chelsea" else "chelsea"])
    assert np.abs(other - expected).max() > 0.5
