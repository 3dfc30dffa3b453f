"""Smoother scales change nothing that a network says, and leave fewer channels that stand out."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from handlens.onnx_session import cpu_session
from handlens.training.frozen import weights_of
from handlens.training.smoothing import Ranges, ordered, smoothed
from handlens.training.vit import CHOICE, DEPTH, vit_backbone
from handlens.training.vit_graph import vit_features_graph
from handlens.training.weights import MissingWeightsError, kept_ranges, load_weights

SIDE = 112
BLOCKS = (3,)


@pytest.fixture(scope="module")
def net() -> keras.Model:
    net = vit_backbone(side=SIDE, blocks=BLOCKS)
    load_weights(net, "vits14")
    return net


def norms_of(ranges: Ranges) -> dict[str, np.ndarray]:
    return {name: largest for name, largest in ranges.items() if "norm" in name}


def picture() -> np.ndarray:
    """Something with edges and colours, (1, SIDE, SIDE, 3)."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (1, 7, 7, 3)).repeat(16, axis=1).repeat(16, axis=2)
    return np.clip(blocks + rng.normal(0, 8, blocks.shape), 0, 255).astype(np.uint8)


def test_ranges_are_kept_for_the_first_blocks_and_for_every_gelu() -> None:
    ranges = kept_ranges("vits14")
    norms = {f"block{number:02d}_norm{part}" for number in range(CHOICE + 1) for part in (1, 2)}
    gelus = {f"block{number:02d}_gelu" for number in range(DEPTH)}
    assert ranges.keys() == norms | gelus
    assert all(values.shape == (1536 if name in gelus else 384,) for name, values in ranges.items())
    assert all((values > 0).all() for values in ranges.values())
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
    for norm, largest in norms_of(ranges).items():
        factor = weights[f"{norm}/gamma"] / other[f"{norm}/gamma"]
        before, after = largest.max() / np.median(largest), (largest / factor).max() / np.median(largest / factor)
        assert after < 0.8 * before, norm


def test_in_another_order_the_network_says_the_same(net: keras.Model) -> None:
    weights, ranges = weights_of(net), kept_ranges("vits14")
    other = ordered(weights, ranges)
    assert not np.array_equal(other["block02_down/kernel"], weights["block02_down/kernel"])
    again = vit_backbone(side=SIDE, blocks=BLOCKS)
    for layer in again.layers:
        for weight in layer.weights:
            weight.assign(other[f"{layer.name}/{weight.name}"])
    np.testing.assert_allclose(again(picture(), training=False), net(picture(), training=False), atol=2e-3)


def lost(net: keras.Model, ranges: Ranges | None) -> float:
    """The error of features in whole numbers, in their standard deviation."""
    wanted = np.asarray(net(picture(), training=False))
    graph = vit_features_graph(weights_of(net), side=SIDE, blocks=BLOCKS, ranges=ranges)
    found = cpu_session(graph).run(["features"], {"photo": picture()})[0]
    return float(np.sqrt(((found - wanted) ** 2).mean()) / wanted.std())


def test_early_matrices_in_whole_numbers_lose_less_with_smoother_scales(net: keras.Model) -> None:
    ranges = norms_of(kept_ranges("vits14"))
    flat = dict.fromkeys(ranges, np.ones(384, np.float32))
    worse = {name: (1 / largest).astype(np.float32) for name, largest in ranges.items()}
    with_ranges = lost(net, ranges)
    assert lost(net, None) < 0.2 * with_ranges
    assert with_ranges < 0.05
    assert with_ranges < 0.9 * lost(net, flat) < lost(net, worse)


def test_last_matrices_in_whole_numbers_lose_less_with_outliers_apart(
    net: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = kept_ranges("vits14")
    gelus = {name: largest for name, largest in ranges.items() if name not in norms_of(ranges)}
    wrong = {name: largest[::-1] for name, largest in gelus.items()}  # other channels are taken for the largest
    apart = lost(net, gelus)
    assert lost(net, None) < 0.2 * apart
    assert apart < 0.03
    assert apart < 0.7 * lost(net, wrong)
    with_norms = lost(net, ranges)
    assert apart < with_norms < 0.05
    # However large the others become, nothing is cut off.
    monkeypatch.setattr("handlens.training.vit_graph._OUTLIERS", 8)
    assert lost(net, gelus) < 0.03


def test_whole_numbers_make_the_file_smaller(net: keras.Model) -> None:
    weights = weights_of(net)
    with_ranges, without = (
        vit_features_graph(weights, side=SIDE, blocks=BLOCKS, ranges=ranges) for ranges in (kept_ranges("vits14"), None)
    )
    # Of all matrices of the four blocks but one a byte in place of two, and outliers of the last in half precision.
    saved = 4 * (384 * 3 * 384 + 384 * 4 * 384 + 4 * 384 * 384 - 2 * 128 * 384)
    assert abs(len(without) - len(with_ranges) - saved) < 0.02 * saved
