"""Manifests and class folders: what they may hold, and one sentence for all that they may not."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import SHARED_PHOTOS
from handlens.identifier import ORIGIN_TEN
from handlens.training.samples import BadSamplesError, Sample, digest, read_samples, with_split

HEADER = "file,label,group,split,fold,usable\n"


def manifest(folder: Path, text: str | bytes) -> Path:
    path = folder / "manifest.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def refusal(source: Path) -> str:
    with pytest.raises(BadSamplesError) as caught:
        read_samples(source)
    assert str(source) in caught.value.detail
    return caught.value.detail


def test_every_column(tmp_path: Path) -> None:
    path = manifest(tmp_path, HEADER + "train/a.jpg,quartz,g1,field,commons,no\n")
    assert read_samples(path) == [
        Sample(tmp_path / "train/a.jpg", "train/a.jpg", "quartz", "g1", "field", "commons", usable=False)
    ]


def test_only_the_needed_columns(tmp_path: Path) -> None:
    path = manifest(tmp_path, "label,file\nquartz,a.jpg\n")
    assert read_samples(path) == [Sample(tmp_path / "a.jpg", "a.jpg", "quartz", "a.jpg", "train", "", usable=True)]


def test_empty_values_have_the_same_meaning_as_no_column(tmp_path: Path) -> None:
    full = read_samples(manifest(tmp_path, HEADER + "a.jpg,quartz,,,,\n"))
    assert full == read_samples(manifest(tmp_path, "file,label\na.jpg,quartz\n"))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_line_ends_and_accents(tmp_path: Path, mark: bytes, end: str) -> None:
    text = f"file,label{end}fotos/ágata.jpg,ágata{end}".encode()
    (sample,) = read_samples(manifest(tmp_path, mark + text))
    assert (sample.file, sample.label) == ("fotos/ágata.jpg", "ágata")


def test_blank_lines_do_not_count(tmp_path: Path) -> None:
    samples = read_samples(manifest(tmp_path, "file,label\n\na.jpg,quartz\n\n\nb.jpg,agate\n\n"))
    assert [sample.file for sample in samples] == ["a.jpg", "b.jpg"]


def test_spaces_around_values_make_no_second_label(tmp_path: Path) -> None:
    samples = read_samples(manifest(tmp_path, HEADER + "a.jpg, quartz,g1,train,x, no \nb.jpg,quartz ,g1 ,train,x,No\n"))
    assert {sample.label for sample in samples} == {"quartz"}
    assert {sample.group for sample in samples} == {"g1"}
    assert not any(sample.usable for sample in samples)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'file' is missing"),
        ("label\nquartz\n", "'file' is missing"),
        ("file,name\na.jpg,quartz\n", "'label' is missing"),
        ("a.jpg,quartz\n", "'file' is missing"),
        (HEADER, "no labelled photo"),
        (HEADER + "a.jpg,quartz\n,,,,,\n", "line 3 has no file or no label"),
        (HEADER + "a.jpg,  \n", "line 2 has no file or no label"),
        (HEADER + "a.jpg\n", "line 2 has no file or no label"),
        (HEADER + "/etc/a.jpg,quartz\n", "not below the manifest"),
        (HEADER + "../a.jpg,quartz\n", "not below the manifest"),
        (HEADER + "train/../../a.jpg,quartz\n", "not below the manifest"),
        (HEADER + "a.jpg,quartz,g1\na.jpg,quartz,g2\n", "listed twice"),
        (b"file,label\nfoto.jpg,\xe1gata\n", "not UTF-8"),
        (HEADER.encode("utf-16"), "not UTF-8"),
        (HEADER + "a.jpg," + "x" * 200_000 + "\n", "cannot be read"),
    ],
)
def test_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in refusal(manifest(tmp_path, text))


def test_nothing_there(tmp_path: Path) -> None:
    assert "no manifest and no folder" in refusal(tmp_path / "none.csv")


def test_class_folders(tmp_path: Path) -> None:
    for name in ("quartz/b.jpg", "quartz/deep/a.PNG", "agate/c.jpeg", "agate/notes.txt", ".cache/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loose.jpg").touch()
    samples = read_samples(tmp_path)
    assert {(sample.file, sample.label) for sample in samples} == {
        ("agate/c.jpeg", "agate"),
        ("quartz/b.jpg", "quartz"),
        ("quartz/deep/a.PNG", "quartz"),
    }
    for sample in samples:
        assert sample.path == tmp_path / sample.file
        assert (sample.group, sample.split, sample.fold, sample.usable) == (sample.file, "train", "", True)


def test_a_class_without_photos_is_named(tmp_path: Path) -> None:
    (tmp_path / "quartz").mkdir()
    (tmp_path / "quartz" / "a.jpg").touch()
    (tmp_path / "agate").mkdir()
    (tmp_path / "agate" / "notes.txt").touch()
    with pytest.raises(BadSamplesError, match="agate: the class has no photo"):
        read_samples(tmp_path)


def test_a_folder_without_classes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert "no labelled photo" in refusal(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX file names can be other than text")
def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe1gata")
    folder.mkdir()
    (folder / "a.jpg").touch()
    with pytest.raises(BadSamplesError, match="no label"):
        read_samples(tmp_path)


def some(count: int = 4) -> list[Sample]:
    return [
        Sample(Path(f"{n}.jpg"), f"{n}.jpg", f"l{n % 2}", f"g{n}", "train" if n % 2 else "field", "", usable=True)
        for n in range(count)
    ]


def test_with_split() -> None:
    assert [sample.file for sample in with_split(some(), "field")] == ["0.jpg", "2.jpg"]
    assert with_split(some(), "others") == []


def test_digest_does_not_depend_on_the_order_or_the_place() -> None:
    samples = some()
    assert digest(samples) == digest(samples[::-1])
    assert digest(samples) == digest([replace(sample, path=Path("/elsewhere") / sample.file) for sample in samples])


@pytest.mark.parametrize("change", [{"file": "9.jpg"}, {"label": "l9"}, {"group": "g9"}, {"usable": False}])
def test_digest_depends_on_what_is_learnt(change: dict[str, object]) -> None:
    samples = some()
    assert digest(samples) != digest([replace(samples[0], **change), *samples[1:]])  # type: ignore[arg-type]
    assert digest(samples) != digest(samples[1:])


@pytest.mark.real_photos
def test_the_real_manifest() -> None:
    source = SHARED_PHOTOS / "manifest.csv"
    if not source.is_file():
        pytest.skip("no real photos here: ../shared/data/photos is not part of the project")
    samples = read_samples(source)
    train = with_split(samples, "train")
    assert len(train) == 3134
    assert min(Counter(sample.label for sample in train).values()) >= 7
    assert len({sample.label for sample in train}) == 89
    assert sum(sample.usable and sample.label in ORIGIN_TEN for sample in train) == 713
    assert {sample.fold for sample in train} == {"minerobo", "kaggle-minet", "fuse-flickr", "commons", "rest"}
    assert len(with_split(samples, "others")) == 3234
    assert len(with_split(samples, "field")) == 143
    assert all(sample.path.is_file() for sample in samples)
