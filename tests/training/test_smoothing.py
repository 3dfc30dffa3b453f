"""Smoother scales change nothing that a network says, and leave fewer channels that stand out."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from handlens.onnx_session import cpu_session
from handlens.training.frozen import weights_of
from handlens.training.smoothing import smoothed
from handlens.training.vit import CHOICE, vit_backbone
from handlens.training.vit_graph import vit_features_graph
from handlens.training.weights import MissingWeightsError, kept_ranges, load_weights

SIDE = 112
BLOCKS = (3,)


@pytest.fixture(scope="module")
def net() -> keras.Model:
    net = vit_backbone(side=SIDE, blocks=BLOCKS)
    load_weights(net, "vits14")
    return net


def picture() -> np.ndarray:
    """Something with edges and colours, (1, SIDE, SIDE, 3)."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (1, 7, 7, 3)).repeat(16, axis=1).repeat(16, axis=2)
    return np.clip(blocks + rng.normal(0, 8, blocks.shape), 0, 255).astype(np.uint8)


def test_ranges_are_kept_for_the_first_blocks() -> None:
    ranges = kept_ranges("vits14")
    assert sorted(ranges) == sorted(f"block{number:02d}_norm{part}" for number in range(CHOICE + 1) for part in (1, 2))
    assert all(values.shape == (384,) and (values > 0).all() for values in ranges.values())
    with pytest.raises(MissingWeightsError, match="lite2-ranges"):
        kept_ranges("lite2")


def test_the_network_says_the_same_and_its_channels_are_more_even(net: keras.Model) -> None:
    weights, ranges = weights_of(net), kept_ranges("vits14")
    other = smoothed(weights, ranges)
    again = vit_backbone(side=SIDE, blocks=BLOCKS)
    for layer in again.layers:
        for weight in layer.weights:
            weight.assign(other[f"{layer.name}/{weight.name}"])
    np.testing.assert_allclose(again(picture(), training=False), net(picture(), training=False), atol=2e-3)
    for norm, largest in ranges.items():
        factor = weights[f"{norm}/gamma"] / other[f"{norm}/gamma"]
        before, after = largest.max() / np.median(largest), (largest / factor).max() / np.median(largest / factor)
        assert after < 0.8 * before, norm


def test_early_matrices_in_whole_numbers_lose_less_with_smoother_scales(net: keras.Model) -> None:
    weights, ranges = weights_of(net), kept_ranges("vits14")
    flat = dict.fromkeys(ranges, np.ones(384, np.float32))
    worse = {name: 1 / largest for name, largest in ranges.items()}
    wanted = np.asarray(net(picture(), training=False))

    def lost(ranges: dict[str, np.ndarray] | None) -> float:
        graph = vit_features_graph(weights, side=SIDE, blocks=BLOCKS, ranges=ranges)
        found = cpu_session(graph).run(["features"], {"photo": picture()})[0]
        return float(np.sqrt(((found - wanted) ** 2).mean()) / wanted.std())

    with_ranges = lost(ranges)
    assert lost(None) < 0.2 * with_ranges
    assert with_ranges < 0.05
    assert with_ranges < 0.9 * lost(flat) < lost(worse)


def test_whole_numbers_make_the_file_smaller(net: keras.Model) -> None:
    weights = weights_of(net)
    with_ranges, without = (
        vit_features_graph(weights, side=SIDE, blocks=BLOCKS, ranges=ranges) for ranges in (kept_ranges("vits14"), None)
    )
    # Of the matrices behind eight normalisations a byte in place of two.
    saved = 4 * (384 * 3 * 384 + 384 * 4 * 384)
    assert abs(len(without) - len(with_ranges) - saved) < 0.02 * saved
