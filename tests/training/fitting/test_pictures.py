"""Photos are decoded once, as serving would see them; broken ones are listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlens.photo import Photo, read_photo
from handlens.specimen import whole_frame
from handlens.training.fitting import pictures as module
from handlens.training.fitting.pictures import read_pictures
from handlens.training.samples import read_samples, with_split
from handlens.views import make_views
from training.drawn_set import draw_set
from training.fitting.drawn import SMALL


def test_pictures_are_the_views_of_serving_and_broken_photos_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)  # several files
    drawn = draw_set(tmp_path / "drawn")
    samples = with_split(read_samples(drawn.manifest), "train")
    found = read_pictures(samples, SMALL.preprocessing, tmp_path / "kept", quiet=True)
    assert len(found) == drawn.train
    assert [failure[0] for failure in found.failures] == [drawn.broken]
    assert found.failures[0][1] == "truncated-image"
    for place in (0, 8, len(found) - 1):
        photo = read_photo(found.samples[place].path, needed_side=SMALL.preprocessing.needed_side)
        views = make_views(photo.rgb, whole_frame(photo.rgb), SMALL.preprocessing)
        np.testing.assert_array_equal(found.at(np.array([place]))[0], views[0])
    part = found.subset(np.array([3, 20]))
    np.testing.assert_array_equal(part.at(np.arange(2)), found.at(np.array([3, 20])))
    assert part.samples == (found.samples[3], found.samples[20])


def test_what_is_kept_is_used_and_what_is_damaged_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_set(tmp_path / "drawn")
    samples = with_split(read_samples(drawn.manifest), "train")
    first = read_pictures(samples, SMALL.preprocessing, tmp_path / "kept", quiet=True)
    whole = np.array(first.at(np.arange(len(first))))
    [file] = (tmp_path / "kept").rglob("*.npy")
    reads = []

    def counted(*given: Any, **named: Any) -> Photo:
        reads.append(given)
        return read_photo(*given, **named)

    monkeypatch.setattr(module, "read_photo", counted)
    kept = read_pictures(samples, SMALL.preprocessing, tmp_path / "kept", quiet=True)
    assert not reads
    assert kept.failures == first.failures
    del first, kept
    file.write_bytes(file.read_bytes()[:-100])
    again = read_pictures(samples, SMALL.preprocessing, tmp_path / "kept", quiet=True)
    assert len(reads) == len(samples)
    np.testing.assert_array_equal(again.at(np.arange(len(again))), whole)
    assert not list((tmp_path / "kept").rglob("*.partial"))
