"""The transformer's own graph says what Keras says, in whole numbers nearly so, and is always the same."""

from __future__ import annotations

import keras
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from handlens.onnx_session import cpu_session
from handlens.onnx_wire import read_graph
from handlens.training.classifier import multi_view_classifier
from handlens.training.frozen import views_graph
from handlens.training.head import LinearHead
from handlens.training.vit import patches_at, spread_order, vit_backbone
from handlens.training.vit_graph import vit_features_graph, vit_rest_graph, vit_tokens_graph, vit_views_graph

SIDE = 56
BLOCKS = (3, 5)
Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def net() -> keras.Model:
    """A network of six blocks with random weights, none of them zero or one."""
    net = vit_backbone(side=SIDE, blocks=BLOCKS)
    rng = np.random.default_rng(0)
    for layer in net.layers:
        for weight in layer.weights:
            spread = weight.shape[0] ** -0.5 if weight.name == "kernel" else 0.1
            weight.assign(rng.normal(size=weight.shape) * spread + (weight.name == "gamma"))
    return net


@pytest.fixture(scope="module")
def weights(net: keras.Model) -> Arrays:
    return {f"{layer.name}/{weight.name}": np.asarray(weight) for layer in net.layers for weight in layer.weights}


@pytest.fixture(scope="module")
def photos() -> NDArray[np.uint8]:
    """Two of noise, the second with the lower half background."""
    found = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    found[1, SIDE // 2 :] = 127
    return found


def test_in_floating_point_it_is_the_keras_network(
    net: keras.Model, weights: Arrays, photos: NDArray[np.uint8]
) -> None:
    graph = vit_features_graph(weights, side=SIDE, blocks=BLOCKS, int8=False)
    found = cpu_session(graph).run(["features"], {"photo": photos})[0]
    wanted = np.asarray(net(photos, training=False))
    assert found.shape == wanted.shape == (2, 2 * 3 * 384)
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert np.abs(wanted).max() > 1


def test_in_whole_numbers_it_is_nearly_that_and_a_quarter_of_the_size(
    net: keras.Model, weights: Arrays, photos: NDArray[np.uint8]
) -> None:
    small, large = (vit_features_graph(weights, side=SIDE, blocks=BLOCKS, int8=way) for way in (True, False))
    assert len(small) < 0.5 * len(large)
    found = cpu_session(small).run(["features"], {"photo": photos})[0]
    wanted = np.asarray(net(photos, training=False))
    cosine = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosine.min() > 0.99
    assert not np.allclose(found, wanted, atol=1e-3)


def test_the_first_four_blocks_are_in_half_precision_and_the_others_in_eight_bits(weights: Arrays) -> None:
    model = onnx.load_from_string(vit_features_graph(weights, side=SIDE, blocks=BLOCKS))
    whole = [
        onnx.numpy_helper.to_array(one) for one in model.graph.initializer if one.data_type == onnx.TensorProto.INT8
    ]
    assert len(whole) == 4 * 2
    assert all(np.abs(one).max() == 127 for one in whole)
    half = [one.name for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT16]
    assert len(half) == 4 * 4
    assert half[0] == "block00_qkv/kernel"


def test_the_same_weights_give_the_same_bytes(weights: Arrays) -> None:
    first, second = (vit_features_graph(weights, side=SIDE, blocks=BLOCKS) for _ in range(2))
    assert first == second


def test_a_head_over_two_views(net: keras.Model, weights: Arrays, photos: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(2)
    matrix = (rng.normal(size=(2 * 2304, 4)) / 50).astype(np.float32)
    head = LinearHead(("a", "b", "c", "d"), matrix, np.arange(4, dtype=np.float32))
    whole = multi_view_classifier(net, 2, head)
    graph = vit_views_graph(weights, (head.weights, head.bias), side=SIDE, views=2, blocks=BLOCKS, int8=False)
    info = read_graph(graph)
    assert info.inputs == {"views": (None, 2, SIDE, SIDE, 3)}
    assert info.outputs == {"logits": (None, 4), "embedding": (None, 2304)}
    views = np.stack([photos, photos[::-1], photos])
    logits, embedding = cpu_session(graph).run(["logits", "embedding"], {"views": views})
    wanted = whole(views, training=False)
    np.testing.assert_allclose(logits, np.asarray(wanted["logits"]), atol=5e-3)
    np.testing.assert_allclose(embedding, np.asarray(wanted["embedding"]), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("patches", [0, 9])
def test_one_graph_for_two_sides_is_that_of_each(weights: Arrays, patches: int) -> None:
    larger, rng = 84, np.random.default_rng(4)
    head = (rng.normal(size=(2304, 4)) / 50).astype(np.float32), np.zeros(4, np.float32)
    both = vit_views_graph(weights, head, side=SIDE, views=1, blocks=BLOCKS, patches=patches, larger=larger)
    assert read_graph(both).inputs == {"views": (None, 1, None, None, 3)}
    assert (patches_at(larger, patches, SIDE), patches_at(SIDE, patches, SIDE)) == ({0: 0, 9: 24}[patches], patches)
    for side in (SIDE, larger):
        seen = patches_at(side, patches, SIDE)
        alone = vit_views_graph(weights, head, side=side, views=1, blocks=BLOCKS, patches=seen)
        views = rng.integers(0, 256, (1, 1, side, side, 3)).astype(np.uint8)
        views[:, :, : side // 3] = 127
        found, wanted = (cpu_session(graph, 1).run(None, {"views": views}) for graph in (both, alone))
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_other_networks_have_no_graph_of_their_own() -> None:
    inputs = keras.Input((1, 8, 8, 3), dtype="uint8", name="views")
    net = keras.Model(inputs, keras.layers.Flatten()(inputs))
    assert views_graph(net) is None


def test_the_two_halves_are_the_whole(weights: Arrays) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    photo[:, :20] = 127
    whole = cpu_session(vit_features_graph(weights, side=SIDE, blocks=BLOCKS)).run(None, {"photo": photo})[0]
    first = cpu_session(vit_tokens_graph(weights, side=SIDE))
    given = dict(zip(("block_tokens", "inside"), first.run(["block_tokens", "inside"], {"photo": photo}), strict=True))
    rest = cpu_session(vit_rest_graph(weights, side=SIDE, blocks=BLOCKS)).run(None, given)[0]
    np.testing.assert_allclose(rest, whole, atol=1e-5)
    with pytest.raises(ValueError, match="after block 3"):
        vit_rest_graph(weights, side=SIDE, blocks=(2, 5))


def test_with_fewer_patches_it_is_the_keras_network_with_as_many(
    net: keras.Model, weights: Arrays, photos: NDArray[np.uint8]
) -> None:
    fewer = vit_backbone(side=SIDE, blocks=BLOCKS, patches=7)
    fewer.set_weights(net.get_weights())
    graph = vit_features_graph(weights, side=SIDE, blocks=BLOCKS, patches=7, int8=False)
    found = cpu_session(graph).run(["features"], {"photo": photos})[0]
    np.testing.assert_allclose(found, np.asarray(fewer(photos, training=False)), atol=2e-3)
    others = np.abs(found - np.asarray(net(photos, training=False)))
    assert others[:, :384].max() < 2e-3, "the first blocks see all patches"
    assert others[:, 384:768].max() > 0.1
    assert others[:, 1152:1536].max() > 0.1


def test_patches_of_the_specimen_are_looked_at(weights: Arrays) -> None:
    rng = np.random.default_rng(5)
    tokens = rng.normal(size=(1, 17, 384)).astype(np.float32)
    inside = np.full((1, 2, 16), 1 / 16, np.float32)
    inside[0, 1] = np.repeat([0.123, 0.002], 8)  # the upper half of the picture
    rest = cpu_session(vit_rest_graph(weights, side=SIDE, blocks=(5,), patches=8))
    found = rest.run(None, {"block_tokens": tokens, "inside": inside})[0]
    tokens[0, 1 + 8 :] = 0
    np.testing.assert_array_equal(rest.run(None, {"block_tokens": tokens, "inside": inside})[0], found)
    tokens[0, 1 + 7] = 0
    assert not np.allclose(rest.run(None, {"block_tokens": tokens, "inside": inside})[0], found, atol=0.01)


def test_patches_that_are_alike_are_taken_evenly() -> None:
    order = spread_order(4).reshape(4, 4)
    highest = order >= np.sort(order.ravel())[-8]
    assert (highest.sum(axis=0) == 2).all()
    assert (highest.sum(axis=1) == 2).all()
    uneven = spread_order(20)
    assert len(set(uneven.tolist())) == 400
    assert 0 < uneven.min() < uneven.max() == 1


def test_the_two_halves_are_the_whole_with_fewer_patches(weights: Arrays, photos: NDArray[np.uint8]) -> None:
    whole = cpu_session(vit_features_graph(weights, side=SIDE, blocks=BLOCKS, patches=9))
    first = cpu_session(vit_tokens_graph(weights, side=SIDE))
    rest = cpu_session(vit_rest_graph(weights, side=SIDE, blocks=BLOCKS, patches=9))
    for photo in photos:
        tokens, inside = first.run(["block_tokens", "inside"], {"photo": photo[np.newaxis]})
        found = rest.run(None, {"block_tokens": tokens, "inside": inside})[0]
        np.testing.assert_allclose(found, whole.run(None, {"photo": photo[np.newaxis]})[0], atol=1e-5)


def test_the_bundles_graph_has_as_many_patches_as_the_network(weights: Arrays, photos: NDArray[np.uint8]) -> None:
    fewer = vit_backbone(side=SIDE, patches=7)
    rng = np.random.default_rng(4)
    for layer in fewer.layers:
        for weight in layer.weights:
            weight.assign(rng.normal(size=weight.shape) * 0.05 + (weight.name == "gamma"))
    head = LinearHead(("a", "b"), (rng.normal(size=(4608, 2)) / 50).astype(np.float32), np.zeros(2, np.float32))
    whole = multi_view_classifier(fewer, 1, head)
    graph = views_graph(whole)
    assert graph is not None
    found = cpu_session(graph).run(["embedding"], {"views": photos[:, np.newaxis]})[0]
    wanted = np.asarray(whole(photos[:, np.newaxis], training=False)["embedding"])
    assert (found * wanted).sum(axis=1).min() > 0.99
