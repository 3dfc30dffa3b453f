"""The localiser's training: what is held out, what is kept, how answers are judged, and a whole run on drawn stones."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from handlens.errors import UsageError
from handlens.photo import read_photo
from handlens.specimen_localiser import Localiser
from handlens.training.classifier import as_onnx
from handlens.training.localiser import fit as fit_module
from handlens.training.localiser.data import (
    BadMasksError,
    MaskedPhoto,
    hold_outs,
    photos_digest,
    read_masked_photos,
    teacher_mask,
)
from handlens.training.localiser.export import export_localiser, half_stored
from handlens.training.localiser.figures import Thresholds, choose_thresholds, figures, figures_table, overlaps
from handlens.training.localiser.fit import FitSettings, fit, predict
from handlens.training.localiser.maps import VARIANTS, Maps, make_maps
from handlens.training.localiser.net import LocaliserNet, localiser_net, served_net
from handlens.training.localiser.report import report
from handlens.training.localiser.run import Answers, LocaliserRun, cross_validate, read_answers, train_everything

SIDE = 96
GRID = SIDE // 4


def row(number: int, split: str, fold: str, origin: str, group: str = "") -> dict[str, str]:
    file = f"{split}/quartz/{number:03d}.png"
    return {"file": file, "split": split, "group": group or f"g{number}", "fold": fold, "origin": origin}


def drawn(number: int) -> tuple[Image.Image, Image.Image]:
    """A stone of one colour before a background of another, and its mask in 16 greys as a palette picture."""
    rng = np.random.default_rng(number)
    left, top = rng.uniform(0.05, 0.45, 2)
    right, bottom = np.array([left, top]) + rng.uniform(0.35, 0.5, 2)
    dark = bool(rng.random() < 0.5)
    back, front = rng.integers(200, 250, 3), rng.integers(20, 120, 3)
    picture = Image.new("RGB", (160, 120), tuple(map(int, front if dark else back)))
    ImageDraw.Draw(picture).ellipse(
        [left * 160, top * 120, right * 160, bottom * 120], fill=tuple(map(int, back if dark else front))
    )
    mask = Image.new("P", (128, 128), 0)
    mask.putpalette([grey for level in range(16) for grey in (17 * level,) * 3])
    ImageDraw.Draw(mask).ellipse([left * 128, top * 128, right * 128, bottom * 128], fill=15)
    return picture, mask


def write_set(folder: Path, rows: list[dict[str, str]]) -> tuple[Path, Path]:
    photos, masks = folder / "photos", folder / "masks"
    for number, entry in enumerate(rows):
        picture, mask = drawn(number)
        for place, image in ((photos / entry["file"], picture), (masks / entry["file"], mask)):
            place.parent.mkdir(parents=True, exist_ok=True)
            image.save(place)
    manifest = photos / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "split", "group", "fold", "origin"])
        writer.writeheader()
        writer.writerows(rows)
    return manifest, masks


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[MaskedPhoto, ...]:
    rows = [row(n, "train", "studio" if n % 2 else "field-trip", f"person{n % 2}") for n in range(24)]
    return tuple(read_masked_photos(*write_set(tmp_path_factory.mktemp("set"), rows)))


@pytest.fixture(scope="module")
def net() -> LocaliserNet:
    return localiser_net(side=SIDE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, where maps are kept for all tests: each graph that is made takes seconds."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def maps(photos: tuple[MaskedPhoto, ...], net: LocaliserNet, folder: Path) -> Maps:
    return make_maps(photos, net, folder / "maps", quiet=True)


# --- what is held out


def odd_set() -> list[dict[str, str]]:
    return [
        row(0, "train", "minerobo", "minerobo"),
        row(1, "others", "", "minerobo"),
        row(2, "train", "commons", "wikimedia"),
        row(3, "train", "commons", "geodil-wikimedia"),
        row(4, "others", "", "wikimedia"),
        row(5, "others", "", "afro523"),
        row(6, "train", "commons", "afro523"),
        row(7, "train", "rest", "joao"),
        row(8, "others", "", "nobody-else"),
        row(9, "field", "", "pascual"),
    ]


def test_every_photo_is_judged_once_by_a_network_that_knows_nothing_of_its_origin(tmp_path: Path) -> None:
    photos = read_masked_photos(*write_set(tmp_path, odd_set()))
    plans = {plan.name: plan for plan in hold_outs(photos)}
    assert list(plans) == ["commons", "minerobo", "rest", "afro523", "wikimedia"]
    assert np.sum([plan.judged for plan in plans.values()], axis=0).tolist() == [1] * 9
    for plan in plans.values():
        seen = {photo.origin for photo, out in zip(photos, plan.held_out, strict=True) if not out}
        judged = {photo.origin for photo, here in zip(photos, plan.judged, strict=True) if here}
        assert not seen & judged
    assert np.flatnonzero(plans["commons"].judged).tolist() == [2, 3, 6]
    assert np.flatnonzero(plans["commons"].held_out).tolist() == [2, 3, 4, 5, 6]
    assert np.flatnonzero(plans["rest"].judged).tolist() == [7, 8]
    assert np.flatnonzero(plans["wikimedia"].judged).tolist() == [4]


def test_the_split_field_is_never_read(tmp_path: Path) -> None:
    assert "field" not in {photo.split for photo in read_masked_photos(*write_set(tmp_path, odd_set()))}


def test_a_group_in_two_origins_is_refused(tmp_path: Path) -> None:
    rows = [row(0, "train", "a", "one", "same"), row(1, "train", "b", "two", "same")]
    with pytest.raises(BadMasksError, match="'same' lies in two origins"):
        hold_outs(read_masked_photos(*write_set(tmp_path, rows)))


def test_an_origin_in_two_folds_is_refused(tmp_path: Path) -> None:
    rows = [row(0, "train", "a", "one"), row(1, "train", "b", "one")]
    with pytest.raises(BadMasksError, match="'one' lies in two folds"):
        hold_outs(read_masked_photos(*write_set(tmp_path, rows)))


def test_masks_are_read_in_grey_and_checked(tmp_path: Path) -> None:
    manifest, masks = write_set(tmp_path, odd_set()[:1])
    (photo,) = read_masked_photos(manifest, masks)
    assert set(np.unique(teacher_mask(photo))) == {0, 255}
    before = photos_digest([photo])
    Image.new("L", (64, 64)).save(photo.mask)
    assert photos_digest([photo]) != before
    with pytest.raises(BadMasksError, match=r"is \(64, 64\)"):
        teacher_mask(photo)
    photo.mask.write_bytes(b"no picture")
    with pytest.raises(BadMasksError, match="cannot be read"):
        teacher_mask(photo)


def test_manifests_that_cannot_be_used(tmp_path: Path) -> None:
    manifest, masks = write_set(tmp_path, odd_set()[:1])
    with pytest.raises(BadMasksError, match="no mask of any photo"):
        read_masked_photos(manifest, tmp_path / "elsewhere")
    with pytest.raises(BadMasksError, match="cannot be read"):
        read_masked_photos(tmp_path / "none.csv", masks)
    manifest.write_text("file,split\n", encoding="utf-8")
    with pytest.raises(BadMasksError, match="'group' is missing"):
        read_masked_photos(manifest, masks)


# --- maps


def test_maps_are_those_of_the_network(photos: tuple[MaskedPhoto, ...], net: LocaliserNet, maps: Maps) -> None:
    assert len(maps.chunks) == len(VARIANTS)
    plain = maps.at([0, 1, 2], [0, 0, 0])
    pixels = np.stack([np.asarray(Image.fromarray(read_photo(p.path).rgb).resize((SIDE, SIDE), 2)) for p in photos[:3]])
    for name, values in net.encoder(pixels, training=False).items():
        np.testing.assert_allclose(plain[name], np.asarray(values), atol=0.05)
    np.testing.assert_array_equal(maps.at([2], [1])["mask"], plain["mask"][2:, :, ::-1])


def test_kept_maps_are_not_made_again_and_lost_ones_are_made_the_same(
    photos: tuple[MaskedPhoto, ...], net: LocaliserNet, maps: Maps, folder: Path
) -> None:
    files = sorted((folder / "maps").rglob("*.npy"))
    assert len(files) == len(VARIANTS)
    times, contents = [file.stat().st_mtime_ns for file in files], files[-1].read_bytes()
    assert files[-1].parent.name == "zoomed1"
    files[-1].unlink()
    make_maps(photos, net, folder / "maps", quiet=True)
    assert [file.stat().st_mtime_ns for file in files[:-1]] == times[:-1]
    assert files[-1].read_bytes() == contents  # drawn at random, and the same in every run


# --- figures


def answers_of(photos: tuple[MaskedPhoto, ...], shift: int = 0, fills: float = 0.0) -> Answers:
    """The teacher's masks as answers, moved right by some cells of 128."""
    grids = [np.roll(teacher_mask(photo), shift, axis=1).astype(np.float32) / 255 for photo in photos]
    count = len(photos)
    return Answers(np.arange(count), np.full(count, "x"), np.stack(grids), np.full(count, fills, np.float32))


def test_figures_of_a_teacher_that_answers_itself(photos: tuple[MaskedPhoto, ...]) -> None:
    answers = answers_of(photos)
    overlap = overlaps(photos, answers, 0.5)
    found = figures(answers, overlap, Thresholds(0.5, 0.5), np.ones(len(photos), np.bool_))
    assert (found.photos, found.judged, found.empty) == (24, 24, 0)
    assert found.iou == found.median == found.worst_decile == found.answer_iou == 1
    assert "precision" not in found.as_dict()


def test_the_intersection_over_union_of_a_shifted_mask(photos: tuple[MaskedPhoto, ...]) -> None:
    shifted = np.roll(teacher_mask(photos[0]), 7, axis=1) >= 128
    teacher = teacher_mask(photos[0]) >= 128
    expected = np.sum(shifted & teacher) / np.sum(shifted | teacher)
    assert overlaps(photos, answers_of(photos, 7), 0.5).iou[0] == pytest.approx(expected)


def test_a_teacher_is_sure_where_little_of_its_mask_is_half_grey(tmp_path: Path) -> None:
    photos = tuple(read_masked_photos(*write_set(tmp_path, [row(n, "train", "a", "one") for n in range(2)])))
    greys = np.zeros((128, 128), np.uint8)
    greys[:50, :100] = 255
    greys[50:60, :90] = 120  # 900 half-grey cells beside 5,000 of the mask
    Image.fromarray(greys).save(photos[0].mask)
    greys[60, :100] = 120  # 1,000
    Image.fromarray(greys).save(photos[1].mask)
    overlap = overlaps(photos, answers_of(photos), 0.5)
    assert overlap.unsure.tolist() == pytest.approx([0.18, 0.2])
    assert overlap.sure.tolist() == [True, False]


def test_answers_that_it_fills_the_frame_are_counted_apart(tmp_path: Path) -> None:
    photos = tuple(read_masked_photos(*write_set(tmp_path, [row(n, "train", "a", "one") for n in range(4)])))
    for photo in photos[:2]:
        Image.new("L", (128, 128)).save(photo.mask)
    answers = replace(answers_of(photos), fills=np.array([0.9, 0.9, 0.9, 0.1], np.float32))
    overlap = overlaps(photos, answers, 0.5)
    found = figures(answers, overlap, Thresholds(0.5, 0.5), np.ones(4, np.bool_))
    assert (found.judged, found.empty) == (2, 2)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == 1
    assert found.iou == 1
    assert found.answer_iou == pytest.approx((overlap.teacher_area[2] + 1) / 2)
    assert choose_thresholds(photos, answers).fills <= 0.9
    assert "66.7 %" in figures_table({"a": found})


def test_the_served_thresholds_are_one_half(net: LocaliserNet) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)
    plain = net.decoder(net.encoder(photo, training=False), training=False)
    probability = 1 / (1 + np.exp(-np.asarray(plain["mask"])))
    threshold = float(np.median(probability))
    served = served_net(net, mask_threshold=threshold, fills_threshold=0.3)(photo, training=False)
    clear = np.abs(probability - threshold) > 1e-4
    np.testing.assert_array_equal((np.asarray(served["mask"]) >= 0.5)[clear], (probability >= threshold)[clear])
    assert clear.mean() > 0.2


# --- files


def test_half_stored_weights_halve_the_file_and_hardly_change_the_answer(net: LocaliserNet) -> None:
    graph = as_onnx(served_net(net, mask_threshold=0.4, fills_threshold=0.5))
    small = half_stored(graph)
    assert len(small) < 0.55 * len(graph)
    photo = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)

    def mask(content: bytes) -> NDArray[np.float32]:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["mask"], {"photo": photo})[0])

    np.testing.assert_allclose(mask(small), mask(graph), atol=0.01)


# --- a whole run


def test_a_run_from_photos_to_a_localiser_that_finds_drawn_stones(
    tmp_path: Path, photos: tuple[MaskedPhoto, ...], maps: Maps, folder: Path
) -> None:
    run = LocaliserRun(folder, photos, FitSettings(epochs=30), SIDE, quiet=True)
    with pytest.raises(UsageError, match="no hold-out is done"):
        read_answers(run)
    with pytest.raises(UsageError, match="'elsewhere' is no hold-out: there are field-trip, studio"):
        cross_validate(run, only=["elsewhere"])
    cross_validate(run, only=["studio"])
    answers = read_answers(run)
    assert {photos[place].fold for place in answers.places} == {"studio"}
    kept = (run.folder / "held-out" / "studio.npz").stat().st_mtime_ns
    cross_validate(run, only=["studio"])
    assert (run.folder / "held-out" / "studio.npz").stat().st_mtime_ns == kept
    found = report(run)
    sure = ["train, teacher sure", "everything, teacher sure"]
    assert list(found.rows) == ["train: studio", "train, all", sure[0], "everything", sure[1]]
    assert found.rows["everything"].iou > 0.5  # a mask of everything has 0.2

    net = train_everything(replace(run, settings=FitSettings(epochs=1)))
    localiser = export_localiser(run, net, found.thresholds, found.rows, tmp_path / "out", name="drawn")
    assert Localiser.load(tmp_path / "out").settings == localiser.settings
    assert localiser.settings.grid == GRID
    assert "| train: studio | 12 | 12 |" in (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")


class KilledError(Exception):
    """Stands for the end of a process."""


def test_a_killed_training_goes_on_after_its_last_whole_epoch(
    tmp_path: Path, maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, settings = np.arange(4), FitSettings(epochs=3)
    began: list[int] = []
    start_at = fit_module._Batches.start_at

    def start_or_die(batches: fit_module._Batches, epoch: int) -> None:
        began.append(epoch)
        if epoch == 2 and began.count(2) == 1:
            raise KilledError
        start_at(batches, epoch)

    monkeypatch.setattr(fit_module._Batches, "start_at", start_or_die)
    with pytest.raises(KilledError):
        fit(localiser_net(side=SIDE), maps, places, tmp_path / "fit", settings, quiet=True)
    assert not (tmp_path / "fit" / "decoder.weights.h5").exists()
    began.clear()
    began.append(2)  # so that it is not killed again
    trained = localiser_net(side=SIDE)
    fit(trained, maps, places, tmp_path / "fit", settings, quiet=True)
    assert began == [2, 0, 2]  # 0 is where every training begins before it is told better
    assert (tmp_path / "fit" / "decoder.weights.h5").is_file()
    assert not (tmp_path / "fit" / "under-way").exists()
    # Finished, it is loaded and not done again, whatever the settings.
    answer = predict(trained, maps, places)[0]
    other = localiser_net(side=SIDE)
    assert not np.allclose(predict(other, maps, places)[0], answer)
    fit(other, maps, places, tmp_path / "fit", FitSettings(epochs=50), quiet=True)
    np.testing.assert_allclose(predict(other, maps, places)[0], answer, atol=1e-6)
    assert began == [2, 0, 2]
