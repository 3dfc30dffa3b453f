"""Features on disk: a killed run goes on, damage is repaired, and what could not be read is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from handlens.photo import read_photo
from handlens.training import features as module
from handlens.training.features import Backbone, Features, extract
from handlens.training.samples import Sample
from handlens.views import Preprocessing, View

SIDE = 16
PREPROCESSING = Preprocessing(SIDE, (View("padded"), View("crop", 0.5)))
CHUNK = 4


def graph() -> bytes:
    """Mean red, green and blue of the left half of a view, then of all of it: 6 features that mirroring changes."""
    left = numpy_helper.from_array(np.array([0, 0, 0, 0], np.int64), "start")
    half = numpy_helper.from_array(np.array([9999, SIDE, SIDE // 2, 3], np.int64), "end")
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    nodes = [
        helper.make_node("Cast", ["photo"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["pixels", "start", "end"], ["left"]),
        helper.make_node("ReduceMean", ["left", "axes"], ["a"], keepdims=0),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["b"], keepdims=0),
        helper.make_node("Concat", ["a", "b"], ["features"], axis=1),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "halves",
            [helper.make_tensor_value_info("photo", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 6])],
            [left, half, axes],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@dataclass
class Work:
    """A folder of photos, and a record of what was read and how often a session was wanted."""

    folder: Path
    samples: list[Sample] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    sessions: int = 0

    def add(self, name: str, pixels: NDArray[np.uint8] | None) -> Sample:
        path = self.folder / "photos" / name
        path.parent.mkdir(exist_ok=True)
        if pixels is None:
            path.write_bytes(b"no picture")
        else:
            Image.fromarray(pixels).save(path)
        sample = Sample(path, name, "quartz", name, "train", "", usable=True)
        self.samples.append(sample)
        return sample

    def extract(self, *, mirrored: bool = False, identity: str = "halves") -> Features:
        self.read.clear()
        self.sessions = 0

        def counted() -> bytes:
            self.sessions += 1
            return graph()

        return extract(
            self.samples, Backbone(identity, counted), PREPROCESSING, self.kept, mirrored=mirrored, quiet=True
        )

    @property
    def kept(self) -> Path:
        return self.folder / "features"

    def files(self) -> list[Path]:
        return sorted(self.kept.rglob("*.npz"))


def picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Ten photos, in chunks of four."""
    found = Work(tmp_path)
    for number in range(10):
        found.add(f"{number}.png", picture(number))

    def recorded(path: Path, *, name: str, needed_side: int) -> object:
        found.read.append(name)
        return read_photo(path, name=name, needed_side=needed_side)

    monkeypatch.setattr(module, "read_photo", recorded)
    monkeypatch.setattr(module, "_CHUNK", CHUNK)
    return found


def test_values_and_their_order(work: Work) -> None:
    found = work.extract()
    assert found.values.shape == (10, 2 * 6)
    assert found.values.dtype == np.float32
    assert found.read.all()
    assert found.failures == ()
    for number, row in enumerate(found.values):
        # The second view is the centre square of half the shorter side, 12 pixels, enlarged to 16.
        enlarged = Image.fromarray(picture(number)).resize((SIDE, SIDE), Image.Resampling.BICUBIC, (10, 6, 22, 18))
        expected = np.asarray(enlarged, np.float64)
        np.testing.assert_allclose(row[9:12], expected.mean((0, 1)), atol=1e-3)
        np.testing.assert_allclose(row[6:9], expected[:, : SIDE // 2].mean((0, 1)), atol=1e-3)


def test_kept_features_are_not_made_again(work: Work) -> None:
    first = work.extract()
    assert sorted(work.read) == [f"{number}.png" for number in range(10)]
    again = work.extract()
    assert work.read == []
    assert work.sessions == 0
    np.testing.assert_array_equal(first.values, again.values)


def test_a_killed_run_goes_on(work: Work) -> None:
    first = work.extract()
    files = work.files()
    assert [file.name for file in files] == ["00000.npz", "00001.npz", "00002.npz"]
    files[1].unlink()
    files[2].unlink()
    # What a kill in the middle of a write leaves behind.
    (files[1].parent / ".00001.npz").write_bytes(files[0].read_bytes()[:100])
    again = work.extract()
    assert sorted(work.read) == ["4.png", "5.png", "6.png", "7.png", "8.png", "9.png"]
    np.testing.assert_array_equal(first.values, again.values)
    assert [file.name for file in work.files()] == ["00000.npz", "00001.npz", "00002.npz"]


@pytest.mark.parametrize("damage", ["cut", "empty", "bit", "other arrays", "fewer photos", "text"])
def test_a_damaged_file_is_made_again(work: Work, damage: str) -> None:
    first = work.extract()
    path = work.files()[1]
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-200])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "bit":
        content[200] ^= 0xFF
        path.write_bytes(content)
    elif damage == "other arrays":
        np.savez(path, something=np.zeros(4))
    elif damage == "fewer photos":
        np.savez(path, features=first.values[:2], read=first.read[:2], failures=np.zeros((0, 3), np.str_))
    else:
        path.write_text("no arrays")
    again = work.extract()
    assert sorted(work.read) == ["4.png", "5.png", "6.png", "7.png"]
    np.testing.assert_array_equal(first.values, again.values)
    work.extract()
    assert work.read == []


def test_unreadable_photos_are_listed_in_order_and_zero(work: Work) -> None:
    work.samples.insert(2, work.add("broken.png", None))
    work.samples.pop()
    missing = Sample(work.folder / "gone.png", "gone.png", "quartz", "g", "train", "", usable=True)
    work.samples.insert(7, missing)
    found = work.extract()
    assert [(name, code) for name, code, _ in found.failures] == [
        ("broken.png", "not-an-image"),
        ("gone.png", "not-found"),
    ]
    assert np.flatnonzero(~found.read).tolist() == [2, 7]
    assert not found.values[~found.read].any()
    assert found.values[found.read].any(axis=1).all()
    # The neighbours of an unreadable photo keep their own features.
    alone = Work(work.folder / "alone")
    alone.samples = [sample for sample in work.samples if sample.file not in ("broken.png", "gone.png")]
    np.testing.assert_allclose(alone.extract().values, found.values[found.read], atol=1e-4)


def test_a_resumed_run_says_the_same_of_unreadable_photos(work: Work) -> None:
    work.add("broken.png", None)
    first = work.extract()
    assert first.failures
    again = work.extract()
    assert work.read == []
    assert again.failures == first.failures


def test_a_chunk_without_any_readable_photo(work: Work) -> None:
    for number in range(2):
        work.samples.pop(0)
        work.add(f"broken{number}.png", None)
    work.samples = work.samples[: 2 * CHUNK] + work.samples[-2:]
    found = work.extract()
    assert found.values.shape == (10, 12)
    assert np.flatnonzero(~found.read).tolist() == [8, 9]


def test_no_readable_photo_at_all(work: Work) -> None:
    work.samples = []
    work.add("broken.png", None)
    found = work.extract()
    assert not found.read.any()
    assert found.values.shape == (1, 12)


def test_mirrored_features_are_those_of_mirrored_pictures(work: Work) -> None:
    plain, mirrored = work.extract(), work.extract(mirrored=True)
    assert len(work.read) == 10
    flipped = Work(work.folder / "flipped")
    flipped.folder.mkdir()
    for number in range(10):
        flipped.add(f"{number}.png", np.ascontiguousarray(picture(number)[:, ::-1]))
    # Resampling may round a pixel the other way.
    np.testing.assert_allclose(flipped.extract().values, mirrored.values, atol=0.5)
    assert np.abs(plain.values - mirrored.values).max() > 2
    # Mirrored and plain features are kept apart.
    np.testing.assert_array_equal(work.extract().values, plain.values)


def test_other_networks_preprocessing_and_photos_have_other_features(work: Work) -> None:
    work.extract()
    work.extract(identity="other weights")
    assert len(work.read) == 10
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(work.samples[0].path)
    changed = work.extract()
    assert len(work.read) == 10
    assert not changed.values[0].any()
    work.samples = work.samples[::-1]
    assert not work.extract().values[9].any()
    work.samples = [replace(sample, label="agate", group="g") for sample in work.samples]
    work.extract()
    assert work.read == []  # a corrected label costs nothing
