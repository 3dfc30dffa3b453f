"""Kept weights: whole, fitting, and refused in one sentence when they are not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.training import weights
from handlens.training.lite import lite_backbone
from handlens.training.weights import WEIGHTS_FOLDER, MissingWeightsError, load_weights, weights_digest


@pytest.fixture(scope="module")
def net() -> keras.Model:
    return lite_backbone("lite0", side=32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "WEIGHTS_FOLDER", tmp_path)
    return tmp_path


def arrays_of(net: keras.Model) -> dict[str, NDArray[Any]]:
    return {
        f"{layer.name}/{variable.name}": np.asarray(variable.value)
        for layer in net.layers
        for variable in layer.weights
    }


def save(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    np.savez(folder / "lite0.npz", allow_pickle=True, **arrays)


def test_loaded_arrays_are_in_the_network(folder: Path, net: keras.Model) -> None:
    rng = np.random.default_rng(5)
    arrays = {name: rng.normal(size=value.shape).astype(np.float32) for name, value in arrays_of(net).items()}
    save(folder, arrays)
    load_weights(net, "lite0")
    after = arrays_of(net)
    for name, value in arrays.items():
        np.testing.assert_array_equal(after[name], value)


def test_kept_weights_of_lite2_are_the_ones_its_digest_names() -> None:
    content = (WEIGHTS_FOLDER / "lite2.npz").read_bytes()
    assert weights_digest("lite2") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("variant", ["lite1", "lite9", ""])
def test_variant_without_weights(net: keras.Model, variant: str) -> None:
    with pytest.raises(MissingWeightsError, match="no pretrained weights are kept"):
        load_weights(net, variant)
    with pytest.raises(MissingWeightsError):
        weights_digest(variant)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00"])
def test_another_file_under_the_name(folder: Path, net: keras.Model, content: bytes) -> None:
    (folder / "lite0.npz").write_bytes(content)
    with pytest.raises(MissingWeightsError):
        load_weights(net, "lite0")


def test_a_lone_array_is_refused(folder: Path, net: keras.Model) -> None:
    np.save(folder / "lite0.npy", np.zeros(3))
    (folder / "lite0.npy").rename(folder / "lite0.npz")
    with pytest.raises(MissingWeightsError):
        load_weights(net, "lite0")


def test_a_truncated_file_is_refused(folder: Path, net: keras.Model) -> None:
    save(folder, arrays_of(net))
    path = folder / "lite0.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MissingWeightsError):
        load_weights(net, "lite0")


def test_damage_inside_the_archive_is_refused(folder: Path, net: keras.Model) -> None:
    save(folder, arrays_of(net))
    path = folder / "lite0.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(MissingWeightsError):
        load_weights(net, "lite0")


def test_a_missing_and_a_surplus_array(folder: Path, net: keras.Model) -> None:
    arrays = arrays_of(net)
    save(folder, {name: value for name, value in arrays.items() if name != "stem/kernel"})
    with pytest.raises(MissingWeightsError, match="stem/kernel is on one side only"):
        load_weights(net, "lite0")
    save(folder, arrays | {"stem/bias": np.zeros(32, np.float32)})
    with pytest.raises(MissingWeightsError, match="stem/bias is on one side only"):
        load_weights(net, "lite0")


def test_an_array_of_another_shape(folder: Path, net: keras.Model) -> None:
    save(folder, arrays_of(net) | {"head/kernel": np.zeros((1, 1, 320, 640), np.float32)})
    with pytest.raises(MissingWeightsError, match="head/kernel has another shape"):
        load_weights(net, "lite0")


class Reveals:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_pickles_are_not_opened(folder: Path, net: keras.Model) -> None:
    arrays = arrays_of(net)
    arrays["stem/kernel"] = np.array([Reveals(folder / "unpickled")], dtype=object)
    save(folder, arrays)
    with pytest.raises(MissingWeightsError):
        load_weights(net, "lite0")
    assert not (folder / "unpickled").exists()
    # The trap is set: a reader that allows pickles falls into it.
    with np.load(folder / "lite0.npz", allow_pickle=True) as opened:
        opened["stem/kernel"]
    assert (folder / "unpickled").exists()


def test_eight_bits_without_their_scale(folder: Path, net: keras.Model) -> None:
    arrays = arrays_of(net)
    kernel = arrays.pop("head/kernel")
    packed = np.zeros_like(kernel, dtype=np.int8)
    save(folder, arrays | {"head/kernel.q": packed})
    with pytest.raises(MissingWeightsError, match=r"head/kernel\.q has no head/kernel\.scale"):
        load_weights(net, "lite0")
    scale = np.ones(len(kernel[0, 0, 0]), np.float32)
    save(folder, arrays | {"head/kernel.q": packed, "head/kernel.scale": scale})
    load_weights(net, "lite0")
    assert not np.any(net.get_layer("head").kernel)
