"""ViT-S/14 in Keras: its size, the places of its patches, and that it sees."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handlens.training.vit import Tokens, resized_positions, vit_backbone
from handlens.training.weights import WEIGHTS_FOLDER, load_weights

PUBLISHED = 22_056_192
LAYER_SCALE = 2 * 12 * 384
SIDE = 98


@pytest.fixture(scope="module")
def small() -> keras.Model:
    """The network for pictures of 7 x 7 patches."""
    if not (WEIGHTS_FOLDER / "vits14.npz").is_file():
        pytest.skip("the weights are not in the package: scripts/convert_vit_weights.py makes them")
    net = vit_backbone(side=SIDE)
    load_weights(net, "vits14")
    return net


def shown(picture: NDArray[np.uint8], box: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box))


def test_size_is_the_published_one() -> None:
    # Published with the 37 x 37 positions that it was learnt with, and LayerScale beside the matrices.
    assert vit_backbone(side=518).count_params() == PUBLISHED - LAYER_SCALE
    net = vit_backbone()
    assert net.count_params() == PUBLISHED - LAYER_SCALE - (37**2 - 16**2) * 384
    assert net.input_shape == (None, 224, 224, 3)
    assert net.inputs[0].dtype == "uint8"
    assert net.output_shape == (None, 4 * 3 * 384)


def test_tokens_and_features_are_of_the_same_blocks(small: keras.Model) -> None:
    net = vit_backbone(side=SIDE, tokens=True)
    load_weights(net, "vits14")
    picture = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    picture[1, 28:] = 128  # the last five rows of seven are background, nearly the grey of it
    tokens = np.asarray(net(picture, training=False))
    assert tokens.shape == (2, 4, 50, 384)
    inside = np.where(np.arange(49) < 14, 1.001, 0.001)
    parts = [np.r_[one[0], one[1:].mean(axis=0), np.average(one[1:], axis=0, weights=inside)] for one in tokens[1]]
    found = np.asarray(small(picture, training=False))[1]
    np.testing.assert_allclose(found, np.concatenate(parts), atol=2e-4)
    assert np.abs(found.reshape(4, 3, 384)[:, 2] - found.reshape(4, 3, 384)[:, 1]).max() > 0.5


def test_nothing_but_background_is_looked_at_as_a_whole(small: keras.Model) -> None:
    grey = np.full((1, SIDE, SIDE, 3), 127, np.uint8)
    found = np.asarray(small(grey, training=False)).reshape(4, 3, 384)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 2], found[:, 1], atol=1e-4)


def test_a_network_may_end_earlier(small: keras.Model) -> None:
    net = vit_backbone(side=SIDE, blocks=(6,))
    load_weights(net, "vits14")
    picture = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    early, whole = (np.asarray(one(picture, training=False)) for one in (net, small))
    np.testing.assert_allclose(early, whole[:, 1152:2304], atol=1e-4)
    assert net.count_params() < 0.7 * small.count_params()


def test_it_sees(small: keras.Model) -> None:
    """Two parts of one cat are more alike than a cat and a cup."""
    data = pytest.importorskip("skimage.data")
    cat, cup = data.chelsea(), data.coffee()
    pictures = [shown(cat), shown(cat, (100, 0, 400, 300)), shown(cup), shown(cup, (100, 50, 450, 400))]
    features = np.asarray(small(np.stack(pictures), training=False))[:, -1152:-768]
    features = features - features.mean(axis=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    alike = unit @ unit.T
    assert min(alike[0, 1], alike[2, 3]) > 0.3
    assert alike[:2, 2:].max() < 0


def test_places_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(1, 1 + 37 * 37, 4)).astype(np.float16)
    same = resized_positions(positions, 37)
    np.testing.assert_array_equal(same, positions.astype(np.float32))
    # A slope from the left to the right stays one, and its ends stay near the ends.
    slope = np.zeros((1, 1 + 37 * 37, 2), np.float32)
    slope[0, 1:, 0] = np.tile(np.arange(37), 37)
    slope[0, 1:, 1] = np.repeat(np.arange(37), 37)
    slope[0, 0] = 5
    found = resized_positions(slope, 16)
    assert found.shape == (1, 257, 2)
    assert found[0, 0].tolist() == [5, 5]
    across, down = found[0, 1:].reshape(16, 16, 2).transpose(2, 0, 1)
    assert (np.diff(across, axis=1) > 1.5).all()
    np.testing.assert_allclose(across[0], across[9], atol=1e-4)
    np.testing.assert_allclose(down, across.T, atol=1e-4)
    assert across[0, 8] == pytest.approx((8 + 0.5) * 37 / 16.1 - 0.5, abs=0.05)  # cubic with -0.75 bends a line


def test_the_layer_of_tokens_can_be_saved(tmp_path: object, small: keras.Model) -> None:
    path = f"{tmp_path}/vit.keras"
    small.save(path)
    picture = np.random.default_rng(2).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    again = keras.models.load_model(path)
    assert any(isinstance(layer, Tokens) for layer in again.layers)
    np.testing.assert_array_equal(again(picture, training=False), small(picture, training=False))


@pytest.mark.parametrize(("side", "blocks"), [(225, (6,)), (7, (6,)), (224, ()), (224, (12,))])
def test_what_there_is_not(side: int, blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"side|blocks"):
        vit_backbone(side=side, blocks=blocks)
