"""Reference specimens: the nearest by embedding, their file, and what refuses a damaged one."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bundles import COLOURS, LABELS, bundle_files, solid, write_bundle
from handlens.bundle import REFERENCES_FILE, BadBundleError, open_bundle
from handlens.cli.main import main
from handlens.explain import explain
from handlens.identifier import Identifier
from handlens.open_set import OpenSet
from handlens.references import BadReferencesError, Reference, References

OPEN_SET = OpenSet(
    mean=np.full(3, 0.5, np.float32),
    deviation=np.full(3, 0.25, np.float32),
    directions=np.eye(3, dtype=np.float32)[:2],
    centre=5.0,
    width=1.0,
    weights=np.zeros(3, np.float32),
    bias=-1.0,
)
"""Looks at red and green only."""
SHOWN = np.array([COLOURS[label] for label in LABELS], np.float64) / 255
REFERENCES = References.of(SHOWN, LABELS, [f"https://photos.example.org/{label} ñ" for label in LABELS], OPEN_SET)


def with_references(folder: Path, **extra: bytes) -> Path:
    files = OPEN_SET.files() | {REFERENCES_FILE: REFERENCES.file(LABELS)} | extra
    return write_bundle(folder, extra=files, open_set=OPEN_SET.numbers())


def test_nearest_by_the_angle_along_the_directions() -> None:
    violet = SHOWN[LABELS.index("amethyst")]
    found = REFERENCES.nearest(violet, OPEN_SET, top=3)
    assert found[0].label == "amethyst"
    assert found[0].similarity == pytest.approx(1, abs=1e-3)
    units = (SHOWN[:, :2] - 0.5) / np.linalg.norm(SHOWN[:, :2] - 0.5, axis=1, keepdims=True)
    cosines = units @ units[LABELS.index("amethyst")]
    order = np.argsort(-cosines, kind="stable")[:3]
    assert [one.label for one in found] == [LABELS[place] for place in order]
    assert [one.similarity for one in found] == pytest.approx(cosines[order].tolist(), abs=0.02)
    assert found[0].source == "https://photos.example.org/amethyst ñ"


def test_equally_near_ones_keep_their_order_and_all_may_be_asked_for() -> None:
    twins = References.of(np.repeat(SHOWN[:1], 3, axis=0), ["quartz"] * 3, ["a", "b", "c"], OPEN_SET)
    assert [one.source for one in twins.nearest(SHOWN[0], OPEN_SET, top=9)] == ["a", "b", "c"]
    middle = twins.nearest(np.full(3, 0.5), OPEN_SET)  # a photo without a direction is like none
    assert [one.similarity for one in middle] == [0, 0, 0]


def test_the_file_gives_the_same() -> None:
    read = References.read(REFERENCES.file(LABELS), LABELS, OPEN_SET)
    assert read.labels == REFERENCES.labels
    assert read.sources == REFERENCES.sources
    assert read.embeddings.tolist() == REFERENCES.embeddings.tolist()
    assert REFERENCES.file(LABELS) == REFERENCES.file(LABELS)


def test_foreign_text_stays_on_its_line() -> None:
    odd = References.of(SHOWN[:1], ["quartz"], ["a\nb\x1b[31m\udcff"], OPEN_SET)
    (source,) = References.read(odd.file(LABELS), LABELS, OPEN_SET).sources
    assert source == "a�b�[31m�"


def test_explanations_name_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = with_references(tmp_path / "b")
    Image.fromarray(solid(COLOURS["almandine"])).save(tmp_path / "red.png")
    found = explain(Identifier.load(bundle, threads=1), tmp_path / "red.png")
    assert found.nearest[0].label == "almandine"
    assert found.as_dict()["nearest"][0] == found.nearest[0].as_dict()
    assert len(found.nearest) == 5
    assert main(["explain", str(tmp_path / "red.png"), "--bundle", str(bundle), "--out", str(tmp_path / "m.png")]) == 0
    told = capsys.readouterr().out
    assert "1.00  almandine  https://photos.example.org/almandine" in told


def test_bundles_without_them_say_nothing(tmp_path: Path) -> None:
    plain = Identifier.load(write_bundle(tmp_path / "plain"), threads=1)
    assert plain.bundle.references() is None
    found = explain(plain, solid(COLOURS["almandine"]))
    assert found.nearest == ()
    assert "nearest" not in found.as_dict()
    # Without an unknown score there are no directions to compare along.
    files = bundle_files(extra={REFERENCES_FILE: REFERENCES.file(LABELS)})
    (tmp_path / "other").mkdir()
    for name, content in files.items():
        (tmp_path / "other" / name).write_bytes(content)
    assert open_bundle(tmp_path / "other").references() is None


def arrays(**changes: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    kept = {
        "embeddings": REFERENCES.embeddings,
        "labels": np.arange(len(LABELS), dtype=np.uint16),
        "sources": np.frombuffer("\n".join("abcdef"[: len(LABELS)]).encode(), np.uint8),
    } | changes
    np.savez(content, **kept)  # type: ignore[arg-type]
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no archive", "cannot be read"),
        (arrays()[:-40], "cannot be read"),
        (arrays(more=np.zeros(1)), "has embeddings, labels, more"),
        (arrays(embeddings=REFERENCES.embeddings[:, :1]), "do not fit the directions"),
        (arrays(embeddings=REFERENCES.embeddings.astype(np.float32)), "do not fit the directions"),
        (arrays(embeddings=REFERENCES.embeddings[:-1]), "not those of the bundle"),
        (arrays(labels=np.full(len(LABELS), len(LABELS), np.uint16)), "not those of the bundle"),
        (arrays(labels=np.arange(len(LABELS), dtype=np.int64)), "not those of the bundle"),
        (arrays(sources=np.frombuffer(b"\xff\xfe", np.uint8)), "no text"),
        (arrays(sources=np.frombuffer(b"a\nb", np.uint8)), "2 sources for 6"),
        (arrays(sources=np.frombuffer(b"a\nb\nc\nd\ne\n\x1b", np.uint8)), "6 sources for 6"),
        (arrays(sources=np.array([None], object)), "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(BadReferencesError, match=told):
        References.read(content, LABELS, OPEN_SET)
    bundle = with_references(tmp_path / "b", **{REFERENCES_FILE: content})
    with pytest.raises(BadBundleError, match=told):
        open_bundle(bundle).references()


def test_a_small_file_that_unpacks_to_much_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("embeddings.npy", bytes(65 * 2**20))
    with pytest.raises(BadReferencesError, match="larger than 64 MiB"):
        References.read(content.getvalue(), LABELS, OPEN_SET)


def test_as_json() -> None:
    assert json.dumps(Reference("quartz", "s", 0.12345678).as_dict()) == (
        '{"label": "quartz", "source": "s", "similarity": 0.123457}'
    )
