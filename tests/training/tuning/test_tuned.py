"""Tuning on drawn pictures: from tokens to a bundle, and what a killed run finds again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from handlens.bundle import open_bundle
from handlens.cli.main import main
from handlens.errors import UsageError
from handlens.identifier import Identifier
from handlens.selftest import run_self_test
from handlens.training.card import model_card
from handlens.training.features import Features
from handlens.training.frozen import frozen_network, weights_of
from handlens.training.head import HeadSettings, LinearHead
from handlens.training.run import FrozenData, Run, TrainSettings, load_run, read_split
from handlens.training.thorough_fit import thorough_logits
from handlens.training.tuning import loop, tokens
from handlens.training.tuning.lite_trunk import LiteTrunk
from handlens.training.tuning.looks import LARGER, random_looks
from handlens.training.tuning.settings import TuneSettings
from handlens.training.tuning.teacher import Teacher
from handlens.training.tuning.tuned import TunedSource
from handlens.training.tuning.vit_trunk import VitTrunk
from handlens.training.vit import BACKGROUND
from training.drawn_set import draw_set

VIEW = ("--look", "box", "--side", "56", "--patches", "9")
FLAGS = ("--network", "vits14", "--method", "tune", "--nuisance", "2", *VIEW)
SHORT = ("--epochs", "2", "--batch", "8", "--unfrozen", "1", "--rate", "3e-4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    drawn = draw_set(folder / "data")
    with threadpool_limits(1):
        assert main(["train", str(drawn.manifest), "--out", str(folder / "run"), *FLAGS, *SHORT]) == 0
        assert main(["evaluate", str(folder / "run"), "--protocol", "leave-one-fold-out", "--field"]) == 0
        assert main(["export", str(folder / "run"), "--out", str(folder / "bundle"), "--name", "drawn-tuned"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load_run(folder / "run")


def trained_head(data: FrozenData) -> LinearHead | None:
    assert isinstance(data.source, TunedSource)
    return data.source.head


def settings_of(run: Run) -> TrainSettings:
    assert isinstance(run.settings, TrainSettings)
    return run.settings


def test_the_run_remembers_how_it_was_made(run: Run) -> None:
    settings = settings_of(run)
    assert settings.tune == TuneSettings(epochs=2, batch=8, unfrozen=1, rate=3e-4)
    assert settings.mirror is False
    assert settings.patches == 9


def test_the_bundle_answers_with_the_features_of_the_tuned_network(run: Run, folder: Path) -> None:
    identifier, settings = Identifier.load(folder / "bundle"), settings_of(run)
    assert run_self_test(identifier).passed
    frozen = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    chosen = frozen.places(settings)
    data = frozen.seen_by(chosen, settings)
    with threadpool_limits(1):
        head = data.head(chosen, settings.head)
    assert np.abs(data.plain - frozen.plain).max() > 0.05
    for place in (0, len(data.samples) - 1):
        _, views = identifier.views(data.samples[place].path)
        logits = identifier.score(views).logits[0]
        np.testing.assert_allclose(logits, head.logits(data.plain[place : place + 1])[0], atol=1e-3)


def test_only_the_last_block_was_trained(run: Run) -> None:
    settings = settings_of(run)
    frozen = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    source = frozen.seen_by(frozen.places(settings), settings).source
    before, after = weights_of(frozen.source.network()), weights_of(source.network())
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {name.partition("_")[0] for name in moved} == {"block11"}
    assert len(moved) == 12


def test_every_fold_has_a_network_that_did_not_see_it(run: Run) -> None:
    # Three folds and the run's own.
    assert len(list((run.folder / "tuned").glob("*.npz"))) == 4


def test_the_card_says_what_was_trained(folder: Path) -> None:
    card = open_bundle(folder / "bundle").card
    assert "the weights of its first 11 blocks frozen" in card
    assert "Its last 1 blocks were trained" in card
    assert "it looks at 9 patches of 14 px" in card
    assert "rate 0.0003" in card
    assert "every label counted the same" in card
    assert "every label counts the same" in card


def test_the_card_says_how_frequent_labels_are_dealt_with(run: Run) -> None:
    settings = settings_of(run)
    assert settings.tune is not None
    head = replace(settings.head, balance=0.0, adjust=1.25)
    natural = replace(settings, head=head, tune=replace(settings.tune, balance=0.5))
    report = json.loads((run.folder / "evaluation" / "report.json").read_text(encoding="utf-8"))
    card = model_card("natural", replace(run, settings=natural), report, None)
    assert "every photo counted by the inverse frequency of its label to the power 0.5" in card
    assert "every photo counts the same" in card
    assert "lose 1.25 times the logarithm of how frequent their label is" in card


def test_a_second_time_nothing_is_computed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(run)

    monkeypatch.setattr(loop, "tune", _never)
    monkeypatch.setattr("handlens.training.tuning.tuned.tune", _never)
    monkeypatch.setattr(tokens, "_make", _never)
    monkeypatch.setattr(VitTrunk, "features", _never)
    data = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    assert len(data.seen_by(data.places(settings), settings).plain) == len(data.samples)


def test_another_head_is_fitted_on_the_network_that_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(run)

    monkeypatch.setattr("handlens.training.tuning.tuned.tune", _never)
    data = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    chosen = data.places(settings)
    other = replace(settings, head=replace(settings.head, balance=0.0, adjust=1.0))
    with threadpool_limits(1):
        seen = data.seen_by(chosen, other)
        assert not np.array_equal(seen.head(chosen, other.head).weights, seen.head(chosen, settings.head).weights)
    assert settings.tune is not None
    assert isinstance(data.source, TunedSource)
    frozen = replace(data.source, settings=replace(settings.tune, balance=0.0))
    with pytest.raises(AssertionError, match="computed again"):
        replace(data, source=frozen).seen_by(chosen, other)


def test_a_head_that_is_half_the_trained_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(run)
    data = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    chosen = data.places(settings)
    half = replace(settings, head=replace(settings.head, trained=0.5, balance=0.5, adjust=0.75))
    with monkeypatch.context() as patch:
        patch.setattr("handlens.training.tuning.tuned.tune", _never)  # the trained head is kept with the network
        seen = data.seen_by(chosen, half)
    source = seen.source
    assert isinstance(source, TunedSource)
    assert source.head is not None
    assert not seen.has_own_head
    with threadpool_limits(1):
        fitted, both = seen.fit(chosen, half.head), seen.head(chosen, half.head)
        look, elsewhere = seen.look_head(2 * seen.plain, chosen, half.head), source.embeddings(seen.plain)
        alone = replace(seen, source=replace(source, head=None)).look_head(2 * seen.plain, chosen, half.head)
    np.testing.assert_allclose(both.weights, (fitted.weights + source.head.weights) / 2, atol=1e-6)
    np.testing.assert_allclose(both.bias, (fitted.bias + source.head.bias) / 2, atol=1e-6)
    # Training weighed all frequencies away (balance 1): a quarter of their logarithm is left of 0.5 and 0.75.
    less = data.seen_by(chosen, replace(half, head=replace(half.head, adjust=0.5))).source
    assert isinstance(less, TunedSource)
    assert less.head is not None
    counts = np.unique([data.samples[place].label for place in chosen], return_counts=True)[1]
    np.testing.assert_allclose(less.head.bias - source.head.bias, 0.25 * np.log(counts / counts.sum()), atol=1e-5)
    # Of another view it reads embeddings.
    trained = 2 * look.logits(elsewhere) - alone.logits(elsewhere)
    wanted = elsewhere @ source.head.weights * np.linalg.norm(2 * seen.plain[chosen], axis=1).mean() + source.head.bias
    np.testing.assert_allclose(trained, wanted, atol=1e-3)


def test_both_heads_teach_labels_as_frequent_as_a_pupil_sees_them(run: Run) -> None:
    settings = settings_of(run)
    data = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    half = replace(settings, head=replace(settings.head, trained=0.5, balance=0.0, adjust=1.25))
    chosen = data.places(settings)
    with threadpool_limits(1):
        natural, alike = (
            np.log(Teacher(data, half, (), 0.7, balance).lesson(chosen).learnt.probabilities) for balance in (0.0, 1.0)
        )
    counts = np.unique([data.samples[place].label for place in chosen], return_counts=True)[1]
    shares, less = np.log(counts / counts.sum()), natural - alike
    np.testing.assert_allclose(
        less - less.mean(axis=1, keepdims=True), np.tile(shares - shares.mean(), (len(less), 1)), atol=2e-3
    )


def test_a_network_that_was_kept_without_its_head_is_trained_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(run)
    data = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    chosen = data.places(settings)
    assert isinstance(data.source, TunedSource)
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tokens").symlink_to(run.folder / "tokens")
    for kept in (run.folder / "tuned").glob("*.npz"):
        with np.load(kept) as arrays:
            np.savez(tmp_path / "tuned" / kept.name, **{name: arrays[name] for name in arrays if "own" not in name})
    moved = replace(data, source=replace(data.source, folder=tmp_path))
    both = replace(settings, head=replace(settings.head, trained=0.5))
    with monkeypatch.context() as patch:
        patch.setattr("handlens.training.tuning.tuned.tune", _never)
        assert trained_head(moved.seen_by(chosen, settings)) is None
        with pytest.raises(AssertionError, match="computed again"):
            moved.seen_by(chosen, both)
    with threadpool_limits(1):
        first = trained_head(moved.seen_by(chosen, both))
    monkeypatch.setattr("handlens.training.tuning.tuned.tune", _never)
    again = trained_head(moved.seen_by(chosen, both))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.weights, again.weights)


def test_rates_that_fall_and_a_trained_head_in_a_bundle(folder: Path, tmp_path: Path) -> None:
    source = str(folder / "data" / "manifest.csv")
    flags = (*FLAGS, *SHORT, "--unfrozen", "2", "--layer-decay", "0.5", "--trained", "0.25", "--thorough")
    with threadpool_limits(1):
        assert main(["train", source, "--out", str(tmp_path / "run"), *flags]) == 0
        assert main(["evaluate", str(tmp_path / "run"), "--protocol", "leave-one-fold-out"]) == 0
        assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "bundle"), "--name", "drawn-both"]) == 0
    run, identifier = load_run(tmp_path / "run"), Identifier.load(tmp_path / "bundle")
    settings = settings_of(run)
    assert settings.tune == TuneSettings(epochs=2, batch=8, unfrozen=2, rate=3e-4, layer_decay=0.5)
    assert settings.head.trained == 0.25
    assert run_self_test(identifier).passed
    assert "rate 0.0003 and 0.5 of it in each block before" in identifier.bundle.card
    assert "Its logits are 25 % those of the head that was trained with the blocks" in identifier.bundle.card
    data = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    chosen = data.places(settings)
    seen = data.seen_by(chosen, settings)
    with threadpool_limits(1):
        head = seen.head(chosen, settings.head)
        _, thorough = thorough_logits(seen, chosen, np.array([0]), settings)
    path = data.samples[0].path
    logits = identifier.score(identifier.views(path)[1]).logits[0]
    np.testing.assert_allclose(logits, head.logits(seen.plain[:1])[0], atol=1e-3)
    # A bundle scales what a thorough look says, to be calibrated as the usual one.
    answer = identifier.identify(path, thorough=True)
    assert answer.candidates[0].name == seen.head(chosen, settings.head).labels[int(thorough[0].argmax())]


def test_early_blocks_move_less() -> None:
    one = VitTrunk("vits14", 56, 3, 9).rest(weights_of(frozen_network("vits14", 56, 9)), 0.4)
    parts = loop._blocks(one, 0.5)
    assert [part for part, _ in parts] == [0.25, 0.5, 1.0]
    assert [len(variables) for _, variables in parts] == [12, 12, 12]
    assert {variable.path.partition("_")[0] for variable in parts[0][1]} == {"block09"}
    assert [(part, len(variables)) for part, variables in loop._blocks(one, 1.0)] == [(1.0, 36)]
    lite = LiteTrunk("lite0", 64, 2).rest(weights_of(frozen_network("lite0", 64, 0)), 1.0)
    assert [part for part, _ in loop._blocks(lite, 0.5)] == [0.5, 1.0]
    assert sum(len(variables) for _, variables in loop._blocks(lite, 0.5)) == len(lite.trainable_variables)


def _never(*_: object, **__: object) -> None:
    raise AssertionError("computed again")


def test_damaged_tokens_are_made_again(run: Run, tmp_path: Path) -> None:
    settings = settings_of(run)
    data = read_split(run.source, "train", settings, run.folder, mirror=False, quiet=True)
    source = data.source
    assert isinstance(source, TunedSource)
    own = TunedSource(source.name, source.preprocessing, tmp_path, source.settings, source.listed, quiet=True)
    whole = own.features(source.listed)
    for damaged in (tmp_path / "tokens").rglob("*-tokens.npy"):
        damaged.write_bytes(damaged.read_bytes()[:500])
    for path in (tmp_path / "features").glob("*.npy"):
        path.write_bytes(b"\x93NUMPY")
    again = own.features(source.listed)
    np.testing.assert_array_equal(whole.values, again.values)
    assert whole.failures == again.failures != ()  # the broken photo


def test_some_of_the_listed_photos(run: Run) -> None:
    data = read_split(run.source, "train", settings_of(run), run.folder, mirror=False, quiet=True)
    some: Features = data.source.features(data.samples[3:7])
    np.testing.assert_array_equal(some.values, data.plain[3:7])


def test_random_looks_are_the_same_for_a_name_and_leave_the_background() -> None:
    view = np.full((round(LARGER * 56),) * 2 + (3,), BACKGROUND, np.uint8)
    view[20:60, 20:60] = (200, 60, 40)
    looks = random_looks(view, 56, 5, "a.jpg")
    assert looks.shape == (5, 56, 56, 3)
    np.testing.assert_array_equal(looks, random_looks(view, 56, 5, "a.jpg"))
    assert not np.array_equal(looks, random_looks(view, 56, 5, "b.jpg"))
    assert len({look.tobytes() for look in looks}) == 5
    shares = [(np.abs(look.astype(int) - BACKGROUND).max(axis=-1) <= 2).mean() for look in looks]
    assert 0.1 < np.mean(shares) < 0.9
    assert random_looks(view, 56, 0, "a.jpg").shape == (0, 56, 56, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"unfrozen": 0},
        {"unfrozen": 9},
        {"epochs": 0},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"batch": 0},
        {"label_smoothing": 1.0},
        {"kept": 0.0},
        {"looks": 0},
        {"seed": -1},
        {"decay": -1.0},
        {"balance": 1.5},
        {"layer_decay": 0.0},
        {"layer_decay": 1.1},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        TuneSettings(**wrong)  # type: ignore[arg-type]


def test_what_cannot_be_tuned() -> None:
    tune = TuneSettings()
    with pytest.raises(UsageError, match="cnn-1 cannot be tuned"):
        TrainSettings(network="cnn-1", mirror=False, tune=tune)
    with pytest.raises(UsageError, match="3 views"):
        TrainSettings(network="vits14", mirror=False, tune=tune)
    with pytest.raises(UsageError, match="mirrored"):
        TrainSettings(network="vits14", look="box", tune=tune)
    with pytest.raises(UsageError, match="trained head"):
        TrainSettings(network="vits14", mirror=False, look="box", head=HeadSettings(trained=0.5))
    with pytest.raises(UsageError, match="trained head"):
        TrainSettings(
            network="vits14", mirror=False, look="box", tune=tune, teacher="x", head=HeadSettings(trained=0.5)
        )
    with pytest.raises(UsageError, match="share"):
        HeadSettings(trained=1.0)


@pytest.mark.parametrize(
    ("network", "patches", "why"), [("vits14", 257, "8 to 256"), ("vits14", 7, "8"), ("lite2", 9, "lite2")]
)
def test_patches_that_there_are_not(network: str, patches: int, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        TrainSettings(network=network, patches=patches)
