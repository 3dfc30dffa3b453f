"""The origin's networks have the published numbers of parameters and the published shape."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from handlens.errors import UsageError
from handlens.training.networks import NETWORKS, UnknownNetworkError, build_network, network
from handlens.training.networks.fused import FusedBatchNormalization

COUNTS = {
    "cnn-1": (1_739_594, 1_736_842),
    "cnn-2": (529_098, 527_114),
    "cnn-3": (1_823_882, 1_821_450),
    "cnn-final": (1_823_882, 1_821_450),
}


@pytest.mark.parametrize(("name", "counts"), COUNTS.items())
@pytest.mark.parametrize("fused", [False, True])
def test_parameters(name: str, counts: tuple[int, int], fused: bool) -> None:
    net = build_network(name, 10, fused=fused)
    trainable = sum(int(np.prod(variable.shape)) for variable in net.trainable_variables)
    assert (net.count_params(), trainable) == counts
    assert net.input_shape == (None, 96, 96, 3)
    assert net.output_shape == (None, 10)


def test_every_convolution_is_followed_by_batch_normalisation_and_pooling() -> None:
    net = build_network("cnn-3", 10)
    kinds = [type(layer).__name__ for layer in net.layers]
    for place, kind in enumerate(kinds):
        if kind == "Conv2D":
            assert net.layers[place].padding == "same"
            assert net.layers[place].activation is keras.activations.relu
            assert kinds[place + 1 : place + 3] == ["BatchNormalization", "MaxPooling2D"]
    assert kinds.index("GlobalAveragePooling2D") > max(place for place, kind in enumerate(kinds) if kind == "Conv2D")
    assert [layer.kernel_size for layer in net.layers if isinstance(layer, layers.Conv2D)] == [
        (5, 5),
        (5, 5),
        (3, 3),
        (3, 3),
    ]


def test_the_final_network_is_the_third_with_a_penalty_and_dropout() -> None:
    third, final = build_network("cnn-3", 10), build_network("cnn-final", 10)
    penalties = [
        getattr(layer.kernel_regularizer, "l2", 0) for layer in final.layers if hasattr(layer, "kernel_regularizer")
    ]
    assert [round(float(value or 0), 6) for value in penalties[:4]] == [0, 0, 0.0015, 0.0015]
    assert final.get_layer("dropout").rate == 0.4
    assert third.get_layer("dropout").rate == 0
    assert not any(float(loss) for loss in third.losses)
    chosen = build_network("cnn-final", 10, l2=0.01, dropout=0.3)
    assert chosen.get_layer("conv4").kernel_regularizer.l2 == pytest.approx(0.01)
    assert chosen.get_layer("dropout").rate == 0.3


def test_fused_normalisation_is_the_same_arithmetic() -> None:
    """Outputs, gradients and moving statistics of a training step, to rounding."""
    import tensorflow as tf

    x = np.random.default_rng(0).normal(2, 3, (8, 6, 6, 5)).astype(np.float32)
    results = []
    for kind in (layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(momentum=0.9)
        layer.build(x.shape)
        layer.gamma.assign(np.arange(1, 6) / 2)
        layer.beta.assign(np.arange(5) - 2.0)
        values = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(values)
            y = layer(values, training=True)
            loss = tf.reduce_sum(tf.sin(y))
        gradients = tape.gradient(loss, [values, layer.gamma.value, layer.beta.value])
        results.append([y, layer.moving_mean, layer.moving_variance, *gradients, layer(values, training=False)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["lite0", "lite2"])
def test_transfer_begins_with_the_pretrained_features(name: str) -> None:
    from handlens.training.lite import lite_backbone
    from handlens.training.weights import load_weights

    net = build_network(name, 4, side=96)
    backbone = lite_backbone(name, side=96)
    load_weights(backbone, name)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    features = keras.Model(net.input, net.get_layer("logits").input)
    np.testing.assert_allclose(
        np.asarray(features(pictures, training=False)), np.asarray(backbone(pictures, training=False)), atol=1e-5
    )
    np.testing.assert_allclose(np.asarray(net(pictures, training=False)), 0.25, atol=0.1)


def test_what_is_unfrozen() -> None:
    def trainable(**chosen: int) -> list[str]:
        net = build_network("lite0", 3, side=64, **chosen)  # type: ignore[arg-type]
        return [layer.name for layer in net.layers if layer.trainable_variables]

    assert trainable(unfrozen=0) == ["logits"]
    assert trainable(unfrozen=1) == [
        "block15_expand",
        "block15_depthwise",
        "block15_project",
        "head",
        "logits",
    ]
    assert len(trainable()) > len(trainable(unfrozen=1))
    assert not any(name.endswith("_bn") for name in trainable())


def test_wrong_wishes() -> None:
    with pytest.raises(UnknownNetworkError, match=r"cnn-9.*cnn-final"):
        network("cnn-9")
    with pytest.raises(UsageError, match="two classes"):
        build_network("cnn-2", 1)
    with pytest.raises(UsageError, match="l2"):
        build_network("lite0", 3, l2=0.1)
    with pytest.raises(UsageError, match="unfrozen"):
        build_network("cnn-2", 3, unfrozen=2)
    assert all(network(name).side in (96, 224, 260) for name in NETWORKS)
