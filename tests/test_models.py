"""The networks that lie in models/: the trained `cnn-final`, and the same in 8 bits as a bundle."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from handlens.cli.main import main
from handlens.identifier import ORIGIN_TEN, Identifier
from handlens.service import create_app
from service.running import JPEG, client_of, drawn, encoded

MODELS = Path(__file__).resolve().parent.parent / "models"
KERAS = MODELS / "cnn-final.keras"
INT8 = MODELS / "cnn-final-int8.zip"
PICTURES = [
    encoded(drawn((red, green, blue)), "PNG")
    for red in (30, 110, 190)
    for green in (30, 110, 190)
    for blue in (20, 90, 160)
]


@pytest.fixture(scope="module")
def small() -> Identifier:
    return Identifier.load(INT8)


def test_the_keras_file_is_the_network_and_no_more() -> None:
    assert KERAS.stat().st_size <= 8_000_000
    with zipfile.ZipFile(KERAS) as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
        assert not json.loads(archive.read("config.json"))["compile_config"]  # no optimiser, no loss
    keras = pytest.importorskip("keras", reason="the extra train is not installed")
    net = keras.models.load_model(KERAS)
    assert net.count_params() == 1_823_882
    assert net.input_shape == (None, 96, 96, 3)
    assert net.output_shape == (None, 10)


def test_the_bundle_in_8_bits_agrees_with_keras(small: Identifier) -> None:
    keras = pytest.importorskip("keras", reason="the extra train is not installed")
    net = keras.models.load_model(KERAS)
    logits = keras.Model(net.input, net.get_layer("logits").output)
    views = np.stack([small.views(picture)[1][0] for picture in PICTURES])
    whole = np.asarray(logits(views, training=False))
    in_8_bits = np.concatenate([small.score(one[np.newaxis]).logits for one in views])
    # Drawn pictures are far from what it was trained on; those that it is sure of must not change.
    assert np.corrcoef(whole.ravel(), in_8_bits.ravel())[0, 1] > 0.98
    ordered = np.sort(whole, axis=1)
    sure = ordered[:, -1] - ordered[:, -2] > 0.5
    assert sure.sum() >= 10
    assert (whole.argmax(axis=1) == in_8_bits.argmax(axis=1))[sure].mean() >= 0.9


def test_its_labels_are_the_ten_of_the_origin(small: Identifier) -> None:
    assert small.bundle.labels == tuple(sorted(ORIGIN_TEN))
    assert small.bundle.preprocessing.side == 96
    assert small.bundle.preprocessing.mask == "none"
    assert INT8.stat().st_size <= 2_500_000


def test_identify_answers_with_it(tmp_path: Path, small: Identifier, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(JPEG)
    assert main(["identify", str(photo), "--bundle", str(INT8), "--format", "jsonl"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == small.bundle.name
    assert answer["candidates"] == small.identify(JPEG, name="a.jpg").as_dict()["candidates"]


def test_predict_answers_with_it(small: Identifier) -> None:
    with client_of(create_app(small)) as client:
        answer = client.post("/predict/", json={"image_base64": base64.b64encode(JPEG).decode()}).json()
    best = small.identify(JPEG).candidates[0].name
    assert answer == {"La categoria es": "Quartz (Var: Amethyst)" if best == "amethyst" else best.capitalize()}
