"""`open_bundle`: what a good bundle gives, and that every way of being wrong is a BadBundleError."""

from __future__ import annotations

import builtins
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bundles import (
    COLOURS,
    LABELS,
    MASKED_PREPROCESSING,
    PREPROCESSING,
    REMOVED,
    WITHOUT_OPENCV,
    bundle_files,
    edit_manifest,
    graph_bytes,
    model_proto,
    solid,
    write_archive,
    write_bundle,
)
from commands import KILL_AFTER, environment, run
from handlens import bundle_files as on_disk
from handlens.bundle import (
    CARD,
    GRAPH,
    MANIFEST,
    MAX_BYTES,
    MAX_MANIFEST_BYTES,
    BadBundleError,
    Bundle,
    Thresholds,
    open_bundle,
)
from handlens.bundle_files import SHIPPED, default_bundle_path
from handlens.errors import MissingExtraError
from handlens.identifier import Identifier
from handlens.selftest import run_self_test
from handlens.views import Preprocessing, View


def refusal(path: Any, words: str = "") -> str:
    """What `open_bundle` says against this path; `words` must be in it."""
    with pytest.raises(BadBundleError) as caught:
        open_bundle(path)
    assert caught.value.code == "bad-bundle"
    assert words in caught.value.detail
    return caught.value.detail


def check_good(bundle: Bundle, path: Path) -> None:
    assert bundle.path == path
    assert bundle.name == "tiny-1"
    assert bundle.labels == LABELS
    assert bundle.preprocessing == PREPROCESSING
    assert bundle.temperature == 1
    assert bundle.thresholds == Thresholds(0.6, 0.6, 0.6)
    assert bundle.set_quantile == 0.9
    assert bundle.graph == graph_bytes()
    assert bundle.manifest["prediction_set"]["coverage"] == 0.9


def test_a_directory(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b")
    check_good(open_bundle(path), path)
    check_good(open_bundle(str(path)), path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive(tmp_path: Path, compression: int) -> None:
    path = write_archive(tmp_path / "b.zip", bundle_files(), compression)
    check_good(open_bundle(path), path)


def test_further_files_belong_to_it_when_they_are_listed(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b", extra={"references.npz": b"\x93 not looked into"})
    assert open_bundle(path).labels == LABELS


def test_the_environment_names_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDLENS_BUNDLE", raising=False)
    in_package = default_bundle_path()
    assert in_package.parts[-3:] == ("handlens", "bundles", "default")
    monkeypatch.setenv("HANDLENS_BUNDLE", "")
    assert default_bundle_path() == in_package
    path = write_bundle(tmp_path / "b")
    monkeypatch.setenv("HANDLENS_BUNDLE", str(path))
    check_good(open_bundle(), path)
    other = write_bundle(tmp_path / "other", name="other-1")
    assert open_bundle(other).name == "other-1"
    monkeypatch.setenv("HANDLENS_BUNDLE", str(tmp_path / "gone"))
    refusal(None, "no bundle here")


# Directories


@pytest.mark.parametrize("name", SHIPPED)
def test_a_bundle_in_the_package_is_known_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_bundle(name)
    assert found.path.name == name
    assert run_self_test(Identifier(found)).passed
    monkeypatch.setenv("HANDLENS_BUNDLE", name)
    assert default_bundle_path() == found.path
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / name)
    assert open_bundle(name).name == found.name
    assert open_bundle(f"./{name}").name != found.name  # a folder of that name
    assert open_bundle(Path(name)).name != found.name


def in_a_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle where the package has its default one."""
    monkeypatch.setattr(on_disk, "_HERE", folder)
    monkeypatch.setattr(on_disk, "_reading", {})
    monkeypatch.delenv("HANDLENS_BUNDLE", raising=False)
    (folder / "bundles").mkdir()
    return write_bundle(folder / "bundles" / "default")


def test_what_was_read_ahead_is_used_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = in_a_package(tmp_path, monkeypatch)
    on_disk.read_ahead()
    on_disk.read_ahead()  # nothing more
    on_disk._reading[path].join()
    (path / GRAPH).write_bytes(b"another")
    check_good(open_bundle(), path)
    refusal(None, "model.onnx is damaged")


def test_what_could_not_be_read_ahead_is_told_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_a_package(tmp_path, monkeypatch)
    shutil.rmtree(path)
    on_disk.read_ahead()
    refusal(None, "no bundle here")
    write_bundle(path)
    check_good(open_bundle(), path)


def test_only_the_bundles_of_the_package_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_package(tmp_path, monkeypatch)
    monkeypatch.setenv("HANDLENS_BUNDLE", str(write_bundle(tmp_path / "other")))
    on_disk.read_ahead()
    assert not on_disk._reading


def test_the_small_bundle_is_small() -> None:
    assert sum(file.stat().st_size for file in open_bundle("small").path.iterdir()) <= 8e6
    assert sum(file.stat().st_size for file in open_bundle("default").path.iterdir()) <= 45e6


def test_no_bundle(tmp_path: Path) -> None:
    refusal(tmp_path / "gone", "no bundle here")
    refusal(tmp_path, "bundle.json is missing")
    refusal("with\0zero", "no bundle here")
    refusal("n" * 300)


@pytest.mark.parametrize("name", [MANIFEST, GRAPH, CARD])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    path = write_bundle(tmp_path / "b")
    (path / name).unlink()
    refusal(path, f"{name!r} is listed but missing" if name != MANIFEST else "bundle.json is missing")


def test_an_extra_file(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b")
    (path / "weights.pkl").write_bytes(b"x")
    refusal(path, "'weights.pkl' is there but not listed")


@pytest.mark.parametrize("name", [GRAPH, CARD])
def test_a_damaged_file(tmp_path: Path, name: str) -> None:
    path = write_bundle(tmp_path / "b")
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    (path / name).write_bytes(content)
    refusal(path, f"{name} is damaged")


def test_a_link_is_no_file_of_a_bundle(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b")
    (path / CARD).rename(tmp_path / CARD)
    (path / CARD).symlink_to(tmp_path / CARD)
    refusal(path, f"{CARD!r} is not a plain file")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_a_folder_and_a_pipe_are_no_files_of_a_bundle(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = write_bundle(tmp_path / "b")
    make(path / "odd")
    refusal(path, "'odd' is not a plain file")


def test_a_pipe_is_no_bundle(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refusal(tmp_path / "pipe", "no bundle here")


def test_a_directory_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b")
    with (path / "huge.bin").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a file with a hole: it takes no space
    refusal(path, "larger than 400 MiB")


# Archives


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil", "sub/evil", "..\\evil", "C:\\evil", "..", ".", "sub/", "a/../../b"]
)
def test_names_that_lead_out_of_an_archive(tmp_path: Path, name: str) -> None:
    path = write_archive(tmp_path / "b.zip", bundle_files(extra={name: b"x"}))
    refusal(path, "outside the bundle")


def test_nothing_is_ever_unpacked_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive(tmp_path / "b.zip", bundle_files())
    opened: list[str] = []
    real_open = builtins.open

    def watched(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        opened.append(mode)
        return real_open(file, mode, *rest, **options)

    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(zipfile.ZipFile, "extract", None)
    monkeypatch.setattr(zipfile.ZipFile, "extractall", None)
    open_bundle(path)
    assert not [mode for mode in opened if set(mode) & set("wax+")]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "b.zip", bundle_files())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD, b"another")
    refusal(path, "names a file twice")


def test_an_archive_with_the_folder_around_the_files(tmp_path: Path) -> None:
    refusal(write_archive(tmp_path / "b.zip", {f"b/{name}": data for name, data in bundle_files().items()}))


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\3\4" + bytes(99), b"\x1f\x8b\x08 gzip", bytes(5000)])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(content)
    refusal(tmp_path / "b.zip", "cannot be read as a bundle")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_without_a_bound_on_what_comes_out(tmp_path: Path, compression: int) -> None:
    refusal(write_archive(tmp_path / "b.zip", bundle_files(), compression), "deflate")


def set_in_archive(path: Path, name: str, *, local: tuple[int, bytes], central: tuple[int, bytes]) -> None:
    """Writes bytes into the two headers of one file, at offsets from the headers' beginnings."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(name).header_offset
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\1\2"
    for place, (offset, value) in ((start, local), (at, central)):
        data[place + offset : place + offset + len(value)] = value
    path.write_bytes(data)


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "b.zip", bundle_files())
    set_in_archive(path, GRAPH, local=(6, b"\1\0"), central=(8, b"\1\0"))
    refusal(path, "encrypted")


def test_an_archive_that_declares_too_much(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "b.zip", bundle_files())
    size = struct.pack("<I", MAX_BYTES + 1)
    set_in_archive(path, CARD, local=(22, size), central=(24, size))
    refusal(path, "larger than 400 MiB")


@pytest.mark.parametrize("name", [MANIFEST, GRAPH])
def test_an_archive_that_declares_less_than_it_holds_is_read_no_further(tmp_path: Path, name: str) -> None:
    """300 MiB of zeros in 300 KiB, said to be 10 bytes: memory must not grow with what is there."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, content in bundle_files().items():
            if file != name:
                archive.writestr(file, content)
        with archive.open(name, "w") as out:
            for _ in range(300):
                out.write(bytes(2**20))
    size = struct.pack("<I", 10)
    set_in_archive(path, name, local=(22, size), central=(24, size))
    tracemalloc.start()
    try:
        refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20, "more was unpacked than was declared"


def test_damaged_archives_raise_nothing_else(tmp_path: Path) -> None:
    good = write_archive(tmp_path / "good.zip", bundle_files()).read_bytes()
    chance, path, refused = random.Random(5), tmp_path / "b.zip", 0
    for number in range(400):
        data = bytearray(good)
        if number % 2:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.choice((1, 4, 30))):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            open_bundle(path)
        except BadBundleError:
            refused += 1
    assert refused > 300


# bundle.json


def written(tmp_path: Path, manifest: bytes) -> Path:
    path = write_bundle(tmp_path / "b")
    (path / MANIFEST).write_bytes(manifest)
    return path


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"format": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"{}", "bundle format None"),
        (b'{"format": 2}', "bundle format 2: this version reads format 1"),
        (b'{"format": "1"}', "bundle format '1'"),
        (b'{"format": 1}', "does not list model.onnx"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, manifest: bytes, words: str) -> None:
    refusal(written(tmp_path, manifest), words)


def test_a_manifest_over_the_limit_is_not_parsed(tmp_path: Path) -> None:
    padding = b" " * MAX_MANIFEST_BYTES
    path = write_bundle(tmp_path / "b")
    manifest = (path / MANIFEST).read_bytes()
    (path / MANIFEST).write_bytes(manifest + padding[len(manifest) :])
    open_bundle(path)
    (path / MANIFEST).write_bytes(manifest + padding)
    refusal(path, "bundle.json is larger than 16 MiB")


NEEDED = ("format", "name", "labels", "preprocessing", "temperature", "thresholds", "prediction_set", "files")
ANYTHING: list[Any] = [REMOVED, None, [], {}, "", "x", ["x"], {"x": 1}, -1, 0, True, 10**400]
ANYTHING += [float("nan"), float("inf"), 1e999, [[]], "a" * 5000]


@pytest.mark.parametrize("key", NEEDED)
def test_every_needed_key_is_checked_for_every_kind_of_value(tmp_path: Path, key: str) -> None:
    path = write_bundle(tmp_path / "b")
    right = json.loads((path / MANIFEST).read_text())[key]
    for value in ANYTHING:
        if (key, value) not in (("format", True), ("name", "x")):  # which these may well be
            refusal(edit_manifest(path, **{key: value}))
    check_good(open_bundle(edit_manifest(path, **{key: right})), path)


@pytest.mark.parametrize("rank", ["variety", "species", "group"])
@pytest.mark.parametrize("value", [None, "0.5", True, -0.1, 0, 1.01, float("nan"), [0.5], 10**400])
def test_thresholds_are_shares(tmp_path: Path, rank: str, value: Any) -> None:
    thresholds = {"variety": 0.5, "species": 0.5, "group": 0.5}
    open_bundle(write_bundle(tmp_path / "good", thresholds=thresholds))
    refusal(write_bundle(tmp_path / "b", thresholds=thresholds | {rank: value}))


def test_thresholds_are_of_the_three_ranks(tmp_path: Path) -> None:
    refusal(write_bundle(tmp_path / "a", thresholds={"variety": 0.5, "species": 0.5}), "thresholds")
    four = {"variety": 0.5, "species": 0.5, "group": 0.5, "unknown": 0.5}
    refusal(write_bundle(tmp_path / "b", thresholds=four), "thresholds")


@pytest.mark.parametrize("value", [None, "0.9", True, -0.01, 1.01, float("nan"), [], 10**400])
def test_the_quantile_is_a_share(tmp_path: Path, value: Any) -> None:
    for number, good in enumerate((0, 1, 0.5)):
        assert open_bundle(write_bundle(tmp_path / str(number), prediction_set={"quantile": good})).set_quantile == good
    refusal(write_bundle(tmp_path / "b", prediction_set={"quantile": value}))


@pytest.mark.parametrize("value", ["1", 0, -1, float("inf")])
def test_the_temperature_is_positive_and_finite(tmp_path: Path, value: Any) -> None:
    refusal(write_bundle(tmp_path / "b", temperature=value), "temperature" if value != "1" else "'1' is no number")


RESERVED = ("unknown", "origin-ten")
NO_TEXTS: list[Any] = [None, 3, [], {}, True]


@pytest.mark.parametrize(
    "label",
    ["", " ", " quartz", "a" * 101, "quartz\n", "\x1b[2Jquartz", "qu\u202eartz", "\ud800", *RESERVED, *NO_TEXTS],
)
def test_labels_are_names_that_can_be_shown(tmp_path: Path, label: Any) -> None:
    path = edit_manifest(write_bundle(tmp_path / "b"), labels=[*LABELS[:2], label, *LABELS[3:]])
    assert refusal(path, "no name for a label").isprintable()


@pytest.mark.parametrize("name", ["tiny\n", "\x1b]0;title\x07", "a" * 101])
def test_the_name_can_be_shown(tmp_path: Path, name: str) -> None:
    refusal(write_bundle(tmp_path / "b", name=name), "no name")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:-1], "logits (None, 6) for 5 labels"),
        ((*LABELS, "pyrite"), "logits (None, 6) for 7 labels"),
        ((*LABELS[:-1], "quartz"), "different names"),
        (["quartz"], "two or more"),
        ("quartz", "no list"),
        (dict.fromkeys(LABELS, 1), "no list"),
    ],
)
def test_labels_and_graph_agree(tmp_path: Path, labels: Any, words: str) -> None:
    refusal(edit_manifest(write_bundle(tmp_path / "b"), labels=labels), words)


@pytest.mark.parametrize(
    "other",
    [
        Preprocessing(64, PREPROCESSING.views),
        Preprocessing(32, (View("padded"),)),
        Preprocessing(32, (View("padded"), View("crop"), View("crop", 0.5))),
    ],
)
def test_views_and_graph_agree(tmp_path: Path, other: Preprocessing) -> None:
    refusal(write_bundle(tmp_path / "b", graph=graph_bytes(), preprocessing=other), "the graph takes")


def test_the_graph_takes_any_number_of_photos_and_nothing_else(tmp_path: Path) -> None:
    fixed = model_proto()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    refusal(write_bundle(tmp_path / "a", graph=fixed.SerializeToString()), "the graph takes")
    two = model_proto()
    two.graph.input.add().CopyFrom(two.graph.input[0])
    two.graph.input[1].name = "mask"
    refusal(write_bundle(tmp_path / "b", graph=two.SerializeToString()), "the graph takes")
    renamed = model_proto()
    renamed.graph.input[0].name = "pixels"
    refusal(write_bundle(tmp_path / "c", graph=renamed.SerializeToString()), "the graph takes")


@pytest.mark.parametrize("output", [0, 1])
def test_both_outputs_are_there(tmp_path: Path, output: int) -> None:
    model = model_proto()
    del model.graph.output[output]
    refusal(write_bundle(tmp_path / "b", graph=model.SerializeToString()), ("logits", "embedding")[output])


def test_external_data_is_refused(tmp_path: Path) -> None:
    model = model_proto()
    model.graph.initializer[0].data_location = 1
    refusal(write_bundle(tmp_path / "b", graph=model.SerializeToString()), "external data")


@pytest.mark.parametrize("graph", [b"", b"no graph", bytes(100)])
def test_other_bytes_are_no_graph(tmp_path: Path, graph: bytes) -> None:
    refusal(write_bundle(tmp_path / "b", graph=graph), "ONNX graph")


def test_files_outside_the_directory_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    files = json.loads(bundle_files()[MANIFEST])["files"]
    for number, name in enumerate(("../secret", str(tmp_path / "secret"), "")):
        refusal(write_bundle(tmp_path / str(number), files=files | {name: "0" * 64}), "listed but missing")


# The origin's mask


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    pytest.importorskip("cv2", reason="OpenCV is not installed: it comes with the extra 'dataset'")
    return write_bundle(tmp_path / "masked", preprocessing=MASKED_PREPROCESSING)


def test_a_bundle_with_the_mask_opens_where_opencv_is_and_says_that_it_has_one(masked: Path, capsys: Any) -> None:
    assert open_bundle(masked).preprocessing == MASKED_PREPROCESSING
    assert run("bundle", "show", masked) == 0
    assert json.loads(capsys.readouterr().out)["preprocessing"]["mask"] == "origin"
    assert run("bundle", "verify", masked) == 0
    assert run("doctor", "--bundle", masked) == 0
    assert "self-test    passed" in capsys.readouterr().out


def test_a_mask_with_other_views_is_refused(masked: Path) -> None:
    stored = json.loads((masked / MANIFEST).read_text())["preprocessing"]
    refusal(edit_manifest(masked, preprocessing=stored | {"views": [{"kind": "padded"}]}), "one view")
    refusal(edit_manifest(masked, preprocessing=stored | {"mask": "none"}), "mask 'none'")


def test_a_bundle_with_the_mask_is_refused_where_opencv_is_missing(
    masked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "handlens.dataset.prepare.origin_mask", raising=False)
    archive = write_archive(tmp_path / "b.zip", bundle_files(preprocessing=MASKED_PREPROCESSING))
    for path in (masked, archive):
        with pytest.raises(MissingExtraError) as caught:
            open_bundle(path)
        assert caught.value.code == "missing-extra"
        assert caught.value.detail.startswith(f"{path}: ")
        assert caught.value.detail.endswith("pip install 'handlens[dataset]'")
    open_bundle(write_bundle(tmp_path / "unmasked"))
    (masked / GRAPH).write_bytes(b"damaged")
    refusal(masked, "damaged")


@pytest.mark.parametrize(
    "command",
    [
        "identify a.png --bundle",
        "explain a.png --out m.png --bundle",
        "bundle show",
        "bundle verify",
        "doctor --bundle",
        "serve --port 0 --bundle",
    ],
)
def test_every_command_says_which_extra_is_missing(masked: Path, tmp_path: Path, command: str) -> None:
    Image.fromarray(solid(COLOURS["azurite"])).save(tmp_path / "a.png")
    code = WITHOUT_OPENCV + "from handlens.cli.main import main; sys.exit(main())"
    given = [sys.executable, "-c", code, *command.split(), str(masked)]
    done = subprocess.run(given, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=KILL_AFTER)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert f"{masked}: the origin's mask needs OpenCV" in said
    assert "pip install 'handlens[dataset]'" in said
    assert "Traceback" not in said
    assert not (tmp_path / "m.png").exists()


# No pickle


def test_no_module_that_runs_code_from_files_is_imported_in_the_core() -> None:
    """References in a bundle are .npz; nothing that opens one may allow pickled objects."""
    source = Path(open_bundle.__code__.co_filename).parent
    serving = [
        path for path in source.rglob("*.py") if not {"training", "evaluation"} & set(path.relative_to(source).parts)
    ]
    assert len(serving) > 20
    for path in serving:
        text = path.read_text(encoding="utf-8")
        if path.name == "ray_engine.py":  # what Ray's own processes send each other, never a file
            text = text.replace("import pickle\n", "")
        for word in ("import pickle", "allow_pickle", "joblib", "marshal", "shelve", "eval(", "exec("):
            assert word not in text, f"{path.name}: {word}"


def test_a_pickle_in_a_bundle_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    import pickle

    trap = pickle.dumps(Trap())
    open_bundle(write_bundle(tmp_path / "a", extra={"references.npz": trap}))
    refusal(write_bundle(tmp_path / "b", graph=trap))
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists(), "the trap itself must work"
    shutil.rmtree(tmp_path / "sprung")
