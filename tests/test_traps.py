"""The traps that the origin of this project fell into, as far as they concern serving: a test for each.

Those of training (augmented validation images, no test set, near-duplicates across the split) have theirs in
tests/training.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundles import COLOURS, LABELS, solid, write_bundle
from commands import KILL_AFTER, environment, run
from handlens.bundle import open_bundle
from handlens.identifier import ORIGIN_TEN, Identification, Identifier
from handlens.photo import PhotoError
from handlens.service import create_app
from handlens.views import Preprocessing, View
from odd_files import encode
from service.running import client_of


def test_labels_stand_in_the_order_of_the_network_and_are_never_sorted(tmp_path: Path) -> None:
    """Labels were sorted for training and stood in another order in serving."""
    assert list(LABELS) != sorted(LABELS)
    orders = (LABELS, tuple(reversed(LABELS)), tuple(sorted(LABELS)))
    for number, labels in enumerate(orders):
        identifier = Identifier.load(write_bundle(tmp_path / str(number), labels=labels))
        assert identifier.bundle.labels == labels
        for label in labels:
            assert identifier.identify(solid(COLOURS[label])).candidates[0].name == label


def test_the_bundle_that_ships_keeps_its_order(identifier: Identifier) -> None:
    """Its self-test was computed from the training graph: one pair of labels exchanged would show."""
    labels, picture = identifier.bundle.labels, solid((200, 120, 40))
    assert list(labels) == identifier.bundle.manifest["labels"]
    _, views = identifier.views(picture)
    logits = identifier.score(views).logits[0]
    answer = identifier.identify(picture, top=len(labels))
    assert [one.name for one in answer.candidates] == [labels[place] for place in np.argsort(-logits, kind="stable")]


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_red_is_red_and_not_blue(tiny: Identifier, image_format: str) -> None:
    """Channels were exchanged (BGR) in serving. The tiny graph reads red as almandine and blue as azurite."""
    for label in ("almandine", "azurite"):
        data = encode(Image.fromarray(solid(COLOURS[label])), image_format)
        _, views = tiny.views(data)
        np.testing.assert_allclose(views[1].mean(axis=(0, 1)), COLOURS[label], atol=6)  # the crop, unpadded
        assert tiny.identify(data).decision.name == label


DOOR_PREPROCESSING = Preprocessing(48, (View("crop", 0.25),), fill=9, resampling="lanczos")


@pytest.fixture(scope="module")
def centred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that looks at the very centre only, so that any other preprocessing gives another answer."""
    path = tmp_path_factory.mktemp("centred") / "b"
    return write_bundle(path, preprocessing=DOOR_PREPROCESSING, temperature=3.0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A red centre in a blue frame."""
    rgb = solid(COLOURS["azurite"], 200, 160)
    rgb[60:100, 80:120] = COLOURS["almandine"]
    path = tmp_path / "target.png"
    Image.fromarray(rgb).save(path)
    return path


def through_python(bundle: Path, photo: Path) -> Any:
    return Identifier.load(bundle).identify(photo).as_dict()


def through_many(bundle: Path, photo: Path) -> Any:
    [answer] = Identifier.load(bundle).identify_each([photo])
    assert isinstance(answer, Identification)
    return answer.as_dict()


def through_http(bundle: Path, photo: Path) -> Any:
    with client_of(create_app(Identifier.load(bundle))) as client:
        response = client.post("/v1/identify", files={"photos": ("target.png", photo.read_bytes())})
    assert response.status_code == 200, response.text
    return response.json()


def through_command(bundle: Path, photo: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "handlens", "identify", str(photo), "--format", "jsonl"],
        capture_output=True,
        env=environment(bundle),
        timeout=KILL_AFTER,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("door", [through_python, through_many, through_http, through_command])
def test_every_door_uses_the_preprocessing_of_the_bundle(
    door: Any, centred: Path, target: Path, tmp_path: Path
) -> None:
    """Training looked at 96 masked pixels, serving at 224 unmasked ones."""
    expected = Identifier.load(centred, threads=1).identify(np.asarray(Image.open(target))).as_dict()
    assert expected["decision"]["name"] == "almandine"
    other = write_bundle(tmp_path / "other", preprocessing=Preprocessing(48, (View("padded"),)))
    assert Identifier.load(other).identify(target).decision.name == "azurite", "the preprocessing must matter"
    answer = door(centred, target)
    assert answer | {"photo": "photo"} == expected


LOCALISER = ("specimen.py", "specimen_localiser.py", "specimen_mask.py")


def test_no_door_has_a_preprocessing_of_its_own() -> None:
    """In serving, views are made, pixels resampled and sessions opened in these places and no others."""
    source = Path(open_bundle.__code__.co_filename).parent
    serving = [path for path in source.rglob("*.py") if not {"dataset", "training", "evaluation"} & set(path.parts)]
    for call, homes in (
        ("make_views(", {"views.py", "viewer.py"}),
        ("InferenceSession(", {"onnx_session.py"}),
        ("cpu_session(", {"onnx_session.py", "model.py", "specimen_localiser.py"}),
        # The localiser stretches the photo for itself, and its mask; what it looks at is no view.
        (".resize(", {"views.py", "explain.py", "photo_pixels.py", *LOCALISER}),
    ):
        users = {path.name for path in serving if call in path.read_text(encoding="utf-8")}
        assert users, call
        assert users <= homes, f"{call}) is also used in {sorted(users - homes)}"


def test_nothing_is_asked_of_a_network(tmp_path: Path, tiny_bundle: Path) -> None:
    """URLs were fetched with a faked User-Agent. At run time no socket is opened, no host is looked up."""
    script = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    if event.startswith(('socket.', 'urllib.', 'http.', 'ftplib.', 'smtplib.')):\n"
        "        raise SystemExit(f'network: {event}')\n"
        "sys.addaudithook(refuse)\n"
        "from handlens.cli.main import main\n"
        "sys.exit(main())\n"
    )
    photo = tmp_path / "a.png"
    Image.fromarray(solid(COLOURS["azurite"])).save(photo)
    for arguments in (["identify", str(photo)], ["explain", str(photo), "--out", str(tmp_path / "m.png")], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            env=environment(tiny_bundle),
            timeout=KILL_AFTER,
        )
        assert done.returncode == 0, (arguments, done.stderr, done.stdout)
    trap = "import socket\nsocket.create_connection(('127.0.0.1', 9))"
    caught = subprocess.run([sys.executable, "-c", script.replace("sys.exit(main())", trap)], capture_output=True)
    assert b"network: socket." in caught.stderr, "the hook itself must work"


def test_a_missing_photo_is_a_typed_error_at_every_door(tiny: Identifier, tmp_path: Path, capsys: Any) -> None:
    """It was answered with status 500."""
    missing = tmp_path / "gone.jpg"
    with pytest.raises(PhotoError) as caught:
        tiny.identify(missing)
    assert caught.value.code == "not-found"
    [error] = tiny.identify_each([missing])
    assert isinstance(error, PhotoError)
    assert error.code == "not-found"
    assert run("identify", missing, "--format", "jsonl", "--bundle", str(tiny.bundle.path)) == 1
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "not-found"
    ten = Identifier.load(write_bundle(tmp_path / "ten", labels=ORIGIN_TEN))
    with client_of(create_app(ten)) as client:
        for response in (
            client.post("/v1/identify", files={"among": (None, "quartz")}),
            client.post("/predict", json={}),
            client.post("/predict/", json={"image_base64": ""}),
        ):
            assert 400 <= response.status_code < 500, (response.url, response.text)
            assert response.json()["code"]
