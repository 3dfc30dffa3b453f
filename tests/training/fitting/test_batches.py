"""Batches are a function of seed, epoch and step; validation photos come unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from handlens.training.fitting.batches import TrainingBatches, clean_batches
from handlens.training.fitting.parts import label_columns
from handlens.training.fitting.pictures import Pictures
from handlens.training.fitting.settings import FitSettings
from training.fitting.drawn import SMALL, small_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return small_pictures(tmp_path_factory.mktemp("batches"))


def batches(pictures: Pictures, settings: FitSettings = SMALL) -> TrainingBatches:
    labels = sorted({sample.label for sample in pictures.samples})
    truth = label_columns(pictures.samples, labels)
    return TrainingBatches(pictures, np.arange(len(truth)), truth, len(labels), settings)


def test_the_same_epoch_and_step_give_the_same_batch(pictures: Pictures) -> None:
    one, two = batches(pictures), batches(pictures)
    for ours, theirs in zip(one.batch(2, 1), two.batch(2, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (one.batch(2, 1)[0] != one.batch(3, 1)[0]).any()
    assert (one.batch(2, 1)[0] != one.batch(2, 0)[0]).any()
    assert (one.batch(2, 1)[0] != batches(pictures, SMALL.but(seed=4)).batch(2, 1)[0]).any()


def test_an_epoch_shows_a_photo_once_at_most(pictures: Pictures) -> None:
    plain = batches(pictures, SMALL.but(augment=()))
    seen = np.concatenate([plain.batch(0, step)[0] for step in range(plain.steps)])
    assert len(seen) == plain.steps * SMALL.batch > len(pictures) - SMALL.batch
    assert len(np.unique(seen.reshape(len(seen), -1), axis=0)) == len(seen)


def test_weights_make_every_label_count_the_same(pictures: Pictures) -> None:
    whole = batches(pictures, SMALL.but(augment=(), batch=len(pictures)))
    _, targets, weights = whole.batch(0, 0)
    np.testing.assert_allclose((targets * weights[:, None]).sum(axis=0), len(pictures) / targets.shape[1], rtol=1e-5)
    _, _, even = batches(pictures, SMALL.but(augment=(), class_weights=False)).batch(0, 0)
    np.testing.assert_allclose(even, 1)


def test_smoothed_targets_and_blended_ones_sum_to_one(pictures: Pictures) -> None:
    _, targets, _ = batches(pictures, SMALL.but(label_smoothing=0.2, augment=("mixup", "cutmix"))).batch(0, 0)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    assert targets.min() > 0.01


def test_the_data_set_is_the_batches_of_the_epoch_it_is_asked_in(pictures: Pictures) -> None:
    made, epoch = batches(pictures), 0
    dataset = made.dataset(lambda: epoch)
    for epoch in (0, 1, 5):
        shown = [part[0].numpy() for part in dataset]
        assert len(shown) == made.steps
        for step, ours in enumerate(shown):
            np.testing.assert_array_equal(ours, made.batch(epoch, step)[0])


def test_a_failure_while_making_a_batch_is_told(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    made = batches(pictures)
    monkeypatch.setattr(TrainingBatches, "batch", lambda *_: 1 / 0)
    with pytest.raises(tf.errors.OpError, match="division by zero"):
        list(made.dataset(lambda: 0))


def test_validation_photos_are_as_they_are(pictures: Pictures) -> None:
    places = np.array([5, 2, 9])
    truth = np.array([1, 0, 2])
    [(shown, targets)] = list(clean_batches(pictures, places, truth, 3))
    np.testing.assert_array_equal(shown.numpy(), pictures.at(places))
    np.testing.assert_array_equal(targets.numpy(), np.eye(3)[truth])
