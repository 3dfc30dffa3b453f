"""Presets of keras-hub as networks: small ones, with random weights, that lie in local folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from handlens.errors import MissingExtraError, UsageError
from handlens.training.classifier import as_onnx, one_view_classifier
from handlens.training.fitting.settings import FitSettings
from handlens.training.networks import UnknownNetworkError, build_network, load_network, network
from handlens.training.networks.hub import BadPresetError, PresetUnreachableError
from handlens.training.pictures_run import fit_run, run_network
from handlens.training.run import load_run
from training.drawn_set import draw_set

SIDE = 64
NOISE = np.random.default_rng(3).integers(0, 256, (3, SIDE, SIDE, 3))
PHOTOS = (NOISE * np.array([0.2, 0.6, 1.0]).reshape(3, 1, 1, 1)).astype(np.uint8)
PER_CHANNEL = {"scale": [0.0171, 0.0175, 0.0174], "offset": [-2.12, -2.04, -1.80]}
EFFICIENTNET = {
    "stackwise_kernel_sizes": [3, 5],
    "stackwise_num_repeats": [1, 2],
    "stackwise_input_filters": [8, 8],
    "stackwise_output_filters": [8, 16],
    "stackwise_expansion_ratios": [1, 4],
    "stackwise_squeeze_and_excite_ratios": [0, 0],
    "stackwise_strides": [1, 2],
    "stackwise_block_types": ["v1", "v1"],
    "stackwise_force_input_filters": [0, 0],
    "stackwise_nores_option": [False, False],
    "stackwise_width_coefficients": [1.0, 1.0],
    "stackwise_depth_coefficients": [1.0, 1.0],
    "activation": "relu6",
}
MOBILENET = {
    "stackwise_expansion": [[16], [24]],
    "stackwise_num_blocks": [1, 1],
    "stackwise_num_filters": [[16], [24]],
    "stackwise_kernel_size": [[3], [3]],
    "stackwise_num_strides": [[2], [2]],
    "stackwise_se_ratio": [[None], [0.25]],
    "stackwise_activation": [["relu"], ["hard_swish"]],
    "stackwise_padding": [[1], [1]],
    "output_num_filters": 32,
    "input_activation": "hard_swish",
    "output_activation": "hard_swish",
    "input_num_filters": 16,
    "depthwise_filters": 8,
    "depthwise_stride": 1,
    "depthwise_residual": False,
    "squeeze_and_excite": 0.5,
    "last_layer_filter": 32,
}


def resnet(hub: Any) -> tuple[Any, Any]:
    backbone = hub.models.ResNetBackbone([64], [7], [64, 64], [1, 1], [1, 2], "basic_block")
    return backbone, hub.layers.ResNetImageConverter(image_size=(SIDE, SIDE), **PER_CHANNEL)


def efficientnet(hub: Any) -> tuple[Any, Any]:
    converter = hub.layers.EfficientNetImageConverter(image_size=(SIDE, SIDE), scale=1 / 127.5, offset=-1.0)
    return hub.models.EfficientNetBackbone(**EFFICIENTNET), converter


def mobilenet(hub: Any) -> tuple[Any, Any]:
    return hub.models.MobileNetBackbone(**MOBILENET), hub.layers.MobileNetImageConverter(scale=1 / 255)


def vit(hub: Any) -> tuple[Any, Any]:
    backbone = hub.models.ViTBackbone((SIDE, SIDE, 3), 16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32)
    return backbone, hub.layers.ViTImageConverter(image_size=(SIDE, SIDE), scale=1 / 127.5, offset=-1.0)


def swin(hub: Any) -> tuple[Any, Any]:
    backbone = hub.models.SwinTransformerBackbone(
        (SIDE, SIDE, 3), patch_size=8, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
    )
    return backbone, hub.layers.SwinTransformerImageConverter(image_size=(SIDE, SIDE), **PER_CHANNEL)


def dino(hub: Any) -> tuple[Any, Any]:
    backbone = hub.models.DINOV2Backbone(16, 1, 16, 2, 32, image_shape=(SIDE, SIDE, 3))
    return backbone, hub.layers.DINOV2ImageConverter(image_size=(SIDE, SIDE))


MAKERS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    maker.__name__: maker for maker in (resnet, efficientnet, mobilenet, vit, swin, dino)
}
Presets = Callable[[str], Path]


@pytest.fixture(scope="module")
def hub() -> Any:
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed: pip install 'handlens[presets]'")


@pytest.fixture(scope="module")
def preset(hub: Any, tmp_path_factory: pytest.TempPathFactory) -> Presets:
    """`preset(kind)`: the folder of a preset, whose weights are the same every time and none of them a beginner's."""
    folder = tmp_path_factory.mktemp("presets")

    def made(kind: str) -> Path:
        if not (folder / kind).exists():
            keras.utils.set_random_seed(9)
            backbone, converter = MAKERS[kind](hub)
            rng = np.random.default_rng(9)
            for weight in backbone.weights:
                if weight.name in ("gamma", "moving_variance", "beta", "moving_mean"):
                    low = 0.5 if weight.name in ("gamma", "moving_variance") else -0.5
                    weight.assign(rng.uniform(low, low + 1, weight.shape))
                elif weight.name == "kernel":  # else little of a picture is left behind a few layers
                    weight.assign(weight * 3)
            backbone.save_to_preset(folder / kind)
            converter.save_to_preset(folder / kind)
        return folder / kind

    return made


def features(net: keras.Model, photos: NDArray[np.uint8] = PHOTOS) -> NDArray[np.float32]:
    """The input of the layer `logits`."""
    return np.asarray(keras.Model(net.input, net.get_layer("logits").input)(photos, training=False))


def trained(net: keras.Model) -> list[str]:
    """Names of layers whose weights would be trained, each once."""
    return list(dict.fromkeys(weight.path.split("/")[-2] for weight in net.trainable_weights))


class TestWithoutTheExtra:
    @pytest.fixture(autouse=True)
    def missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "keras_hub", None)

    def test_what_needs_it_says_so(self, tmp_path: Path) -> None:
        name = "hub:resnet_18_imagenet"
        for wanted in (
            lambda: network(name).side,
            lambda: FitSettings.of(name),
            lambda: build_network(name, 3, side=SIDE),
            lambda: load_network(tmp_path / "model.keras", name),
        ):
            with pytest.raises(MissingExtraError, match=r"pip install 'handlens\[presets\]'") as caught:
                wanted()
            assert caught.value.code == "missing-extra"

    def test_settings_of_a_run_can_be_read(self) -> None:
        stored = FitSettings.of("hub:resnet_18_imagenet", side=SIDE).as_dict()
        assert FitSettings.from_dict(stored).network == "hub:resnet_18_imagenet"

    def test_it_has_the_settings_of_the_other_pretrained_ones(self) -> None:
        found = network("hub:resnet_18_imagenet")
        assert found.pretrained
        assert found.settings == network("lite0").settings

    def test_a_name_with_no_preset(self) -> None:
        with pytest.raises(UnknownNetworkError, match="hub:PRESET"):
            network("hub:")


def test_one_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keras_hub.py").write_text("raise RuntimeError('undefined symbol')\n")
    monkeypatch.delitem(sys.modules, "keras_hub", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"cannot be imported \(undefined symbol\)"):
        build_network("hub:resnet_18_imagenet", 3, side=SIDE)


@pytest.mark.parametrize("kind", ["resnet", "efficientnet", "vit", "swin", "dino"])
def test_features_are_those_of_keras_hub(hub: Any, preset: Presets, kind: str) -> None:
    backbone = hub.models.Backbone.from_preset(str(preset(kind)))
    pixels = hub.layers.ImageConverter.from_preset(str(preset(kind)))(PHOTOS)
    output = np.asarray(backbone({"images": pixels} if kind == "dino" else pixels, training=False))
    tokens = output.reshape(3, -1, output.shape[-1])
    expected = tokens[:, 0] if kind in ("vit", "dino") else tokens.mean(axis=1)
    found = features(build_network(f"hub:{preset(kind)}", 4))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the pictures are told apart


class TestSides:
    def test_the_preset_s_own(self, preset: Presets) -> None:
        assert network(f"hub:{preset('vit')}").side == SIDE
        assert build_network(f"hub:{preset('vit')}", 4).input_shape == (None, SIDE, SIDE, 3)

    def test_224_where_it_does_not_say(self, preset: Presets) -> None:
        assert network(f"hub:{preset('mobilenet')}").side == 224

    def test_another_where_the_backbone_takes_any(self, preset: Presets) -> None:
        assert build_network(f"hub:{preset('resnet')}", 4, side=96).input_shape == (None, 96, 96, 3)

    def test_another_where_it_does_not(self, preset: Presets) -> None:
        with pytest.raises(UsageError, match="64 px, not of 96"):
            build_network(f"hub:{preset('vit')}", 4, side=96)


class TestFreezing:
    def test_all(self, preset: Presets) -> None:
        assert trained(build_network(f"hub:{preset('resnet')}", 4, unfrozen=0)) == ["logits"]

    @pytest.mark.parametrize(
        ("kind", "unfrozen", "expected"),
        [
            ("resnet", 2, ["stack1_block0_1_conv", "stack1_block0_2_conv"]),
            ("resnet", None, ["stack1_block0_0_conv", "stack1_block0_2_conv"]),  # a third of six, rounded up
            ("vit", 3, ["dense_1", "dense_2", "ln"]),
        ],
    )
    def test_all_but_the_last_layers(
        self, preset: Presets, kind: str, unfrozen: int | None, expected: list[str]
    ) -> None:
        found = trained(build_network(f"hub:{preset(kind)}", 4, unfrozen=unfrozen))
        assert found[-1] == "logits"
        assert len(found) == len(expected) + 1
        assert kind == "resnet" or found[:-1] == expected

    def test_none(self, preset: Presets) -> None:
        net = build_network(f"hub:{preset('resnet')}", 4, unfrozen=1000)
        still = [weight.name for weight in net.non_trainable_weights]
        assert set(still) == {"gamma", "beta", "moving_mean", "moving_variance"}
        assert "conv1_conv" in trained(net)

    def test_training_moves_the_late_layers_alone(self, preset: Presets) -> None:
        net = build_network(f"hub:{preset('efficientnet')}", 4, unfrozen=2)
        late = {weight.path for weight in net.trainable_weights}
        before = {weight.path: np.asarray(weight) for weight in net.weights}
        net.compile("adam", "categorical_crossentropy", jit_compile=False)
        net.fit(PHOTOS, np.eye(4)[:3], epochs=2, verbose=0)
        moved = {weight.path for weight in net.weights if np.any(np.asarray(weight) != before[weight.path])}
        assert moved == late
        assert 3 <= len(late) <= 4


def test_mixed_precision_keeps_pixels_whole(preset: Presets) -> None:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        net = build_network(f"hub:{preset('resnet')}", 4)
    finally:
        keras.config.set_dtype_policy(policy)
    plain = build_network(f"hub:{preset('resnet')}", 4)
    assert net.get_layer("normalise").compute_dtype == "float32"
    assert features(net).dtype == "bfloat16"
    expected = features(plain)
    np.testing.assert_allclose(features(net).astype(np.float32), expected, atol=0.03 * expected.max())
    assert [weight.shape for weight in net.weights] == [weight.shape for weight in plain.weights]


@pytest.mark.parametrize("kind", ["vit", "mobilenet"])
def test_keras_and_onnx_agree(preset: Presets, kind: str) -> None:
    net = build_network(f"hub:{preset(kind)}", 4, side=SIDE)
    keras.utils.set_random_seed(1)
    kernel, bias = net.get_layer("logits").get_weights()
    net.get_layer("logits").set_weights([np.random.default_rng(1).normal(size=kernel.shape), bias])
    views = PHOTOS[:, np.newaxis]
    whole = one_view_classifier(net)
    expected = whole(views, training=False)
    session = onnxruntime.InferenceSession(as_onnx(whole), providers=["CPUExecutionProvider"])
    logits, embedding = session.run(["logits", "embedding"], {"views": views})
    np.testing.assert_allclose(logits, np.asarray(expected["logits"]), atol=1e-4)
    np.testing.assert_allclose(embedding, np.asarray(expected["embedding"]), atol=1e-5)
    assert np.ptp(logits, axis=0).max() > 1e-2


def test_a_run_from_photos_to_a_graph(preset: Presets, tmp_path: Path) -> None:
    folder = shutil.copytree(preset("resnet"), tmp_path / "preset")
    settings = FitSettings.of(f"hub:{folder}", epochs=2, batch=8, precision="float32")
    assert (settings.side, settings.optimizer) == (SIDE, "adamw")
    run = fit_run(draw_set(tmp_path / "data").manifest, tmp_path / "run", settings, quiet=True)
    shutil.rmtree(folder)  # a run that is there needs it no more
    net = run_network(load_run(run.folder))
    assert (run.folder / "history.csv").read_text().count("\n") == 3
    logits = np.asarray(keras.Model(net.input, net.get_layer("logits").output)(PHOTOS, training=False))

    # Another process knows keras-hub's layers only if the loader asks for them.
    np.save(tmp_path / "photos.npy", PHOTOS)
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from handlens.training.pictures_run import run_network\n"
        "from handlens.training.run import load_run\n"
        "assert 'keras_hub' not in sys.modules\n"
        "folder = Path(sys.argv[1])\n"
        "net = run_network(load_run(folder / 'run'))\n"
        "np.save(folder / 'found.npy', net(np.load(folder / 'photos.npy'), training=False))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), net(PHOTOS, training=False), atol=1e-6)

    session = onnxruntime.InferenceSession(as_onnx(one_view_classifier(net)), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["logits"], {"views": PHOTOS[:, np.newaxis]})[0], logits, atol=1e-4)


@pytest.mark.usefixtures("hub")
class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("resnet18", "no preset of this name.*did you mean resnet_18_imagenet"),
            ("./no_such_folder", "no such folder"),
            ("bert_base_en", "does not read images"),
            ("kaggle://nobody/nothing", "cannot be used"),
        ],
    )
    def test_names(self, name: str, why: str) -> None:
        with pytest.raises(BadPresetError, match=why) as caught:
            build_network(f"hub:{name}", 4, side=SIDE)
        assert caught.value.code == "bad-preset"

    def test_no_network_connection(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(variable, "http://127.0.0.1:9")
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
        with pytest.raises(PresetUnreachableError, match="identifying photos needs none") as caught:
            FitSettings.of("hub:resnet_18_imagenet")
        assert caught.value.code == "preset-unreachable"

    def test_a_folder_without_the_converter(self, hub: Any, tmp_path: Path) -> None:
        resnet(hub)[0].save_to_preset(tmp_path)
        with pytest.raises(BadPresetError, match=r"image_converter\.json"):
            build_network(f"hub:{tmp_path}", 4, side=SIDE)

    @pytest.mark.parametrize("file", ["config.json", "image_converter.json", "model.weights.h5"])
    def test_a_damaged_folder(self, preset: Presets, tmp_path: Path, file: str) -> None:
        for whole in preset("resnet").iterdir():
            content = whole.read_bytes()
            (tmp_path / whole.name).write_bytes(content[:200] if whole.name == file else content)
        with pytest.raises(BadPresetError, match="cannot be used"):
            build_network(f"hub:{tmp_path}", 4, side=SIDE)

    def test_a_network_of_texts(self, hub: Any, tmp_path: Path) -> None:
        hub.models.BertBackbone(32, 1, 2, 8, 16).save_to_preset(tmp_path)
        with pytest.raises(BadPresetError, match="ImageConverter"):
            build_network(f"hub:{tmp_path}", 4, side=SIDE)

    def test_maps_of_several_sizes(self, hub: Any, tmp_path: Path) -> None:
        encoder = hub.models.ResNetBackbone([64], [7], [64] * 4, [1] * 4, [1, 2, 2, 2], "basic_block")
        hub.models.RetinaNetBackbone(encoder, 3, 4, use_p5=False).save_to_preset(tmp_path)
        hub.layers.RetinaNetImageConverter(scale=1 / 255).save_to_preset(tmp_path)
        with pytest.raises(BadPresetError, match="gives no features"):
            build_network(f"hub:{tmp_path}", 4, side=SIDE)

    def test_pictures_and_texts(self, hub: Any, tmp_path: Path) -> None:
        vision = hub.models.CLIPVisionEncoder(32, 8, 1, 2, 16, image_shape=(SIDE, SIDE, 3))
        text = hub.models.CLIPTextEncoder(32, 8, 8, 1, 2, 16, max_sequence_length=8)
        hub.models.CLIPBackbone(vision, text, projection_dim=8).save_to_preset(tmp_path)
        hub.layers.CLIPImageConverter(image_size=(SIDE, SIDE)).save_to_preset(tmp_path)
        with pytest.raises(BadPresetError, match="it takes other things than RGB"):
            build_network(f"hub:{tmp_path}", 4, side=SIDE)

    def test_one_that_has_no_graph(self, hub: Any, tmp_path: Path) -> None:
        sizes = {"layerwise_num_heads": [1], "layerwise_sr_ratios": [2], "hidden_dims": [8]}
        patches = {"layerwise_patch_sizes": [7], "layerwise_strides": [4]}
        hub.models.MiTBackbone(
            [1], 1, max_drop_path_rate=0.0, image_shape=(SIDE, SIDE, 3), **sizes, **patches
        ).save_to_preset(tmp_path)
        hub.layers.MiTImageConverter().save_to_preset(tmp_path)
        with pytest.raises(BadPresetError, match="cannot be exported"):
            build_network(f"hub:{tmp_path}", 4, side=SIDE)
