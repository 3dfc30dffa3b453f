"""Random samples of a stream, and histograms."""

from __future__ import annotations

import math
import random

import pytest

from handlens.dataset.manifest import Row
from handlens.dataset.view.charts import HEIGHT, WIDTH, Histogram
from handlens.dataset.view.sampling import Sample

ROWS = [Row(f"{number:016x}", "quartz", "kept") for number in range(2000)]


def drawn(rows: list[Row], size: int, seed: int) -> list[str]:
    sample = Sample(size, seed)
    for row in rows:
        sample.offer(row)
    return [picked.id for picked in sample.rows()]


def test_a_sample_does_not_depend_on_the_order() -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    assert drawn(ROWS, 30, 7) == drawn(shuffled, 30, 7)
    assert drawn(ROWS, 30, 7) != drawn(ROWS, 30, 8)
    assert drawn(ROWS, 10, 7) == drawn(ROWS, 30, 7)[:10]


def test_a_sample_has_its_size_and_is_fair() -> None:
    assert drawn(ROWS, 0, 0) == []
    assert sorted(drawn(ROWS[:5], 30, 0)) == [row.id for row in ROWS[:5]]
    early = [sum(int(id_, 16) < 1000 for id_ in drawn(ROWS, 100, seed)) for seed in range(30)]
    assert 45 < sum(early) / len(early) < 55


def test_a_histogram_counts_every_number_once() -> None:
    histogram = Histogram("side", [0, 10, 20, 30], ["0", "10", "20", "30"], [0, 3])
    for value in (0, 9.99, 10, 29, 30, 31, -5, math.inf, -math.inf, None, math.nan):
        histogram.add(value)
    assert histogram.counts == [4, 1, 4]
    chart = histogram.chart()
    assert chart is not None
    assert [bar.text for bar in chart.bars] == ["0 to 10: 4", "10 to 20: 1", "20 to 30: 4"]
    assert [bar.height for bar in chart.bars] == pytest.approx([HEIGHT, HEIGHT / 4, HEIGHT])
    assert all(bar.y + bar.height == pytest.approx(HEIGHT) for bar in chart.bars)
    assert [(tick.x, tick.anchor) for tick in chart.ticks] == [(0, "start"), (WIDTH, "end")]


def test_one_among_many_is_seen_and_none_is_not() -> None:
    histogram = Histogram.of_shares("share")
    assert histogram.chart() is None
    for _ in range(100_000):
        histogram.add(0.5)
    histogram.add(0.0)
    chart = histogram.chart()
    assert chart is not None
    assert chart.bars[0].height > 1
    assert chart.bars[1].height == 0
