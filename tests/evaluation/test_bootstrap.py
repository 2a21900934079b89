"""The bootstrap against textbook intervals and against resampling by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from toxitrace.evaluation import Interval, bootstrap_counts, bootstrap_indices, bootstrap_sums
from toxitrace.evaluation.bootstrap import Floats, resample_counts


def mean(sums: Floats) -> Floats:
    return sums[:, 0] / sums[:, 1]


def test_the_interval_of_a_mean_is_close_to_the_normal_one() -> None:
    sample = np.random.default_rng(1).normal(3.0, 2.0, 400)
    interval = bootstrap_sums(np.stack([sample, np.ones(400)], 1), mean, n_resamples=4000)
    half = 1.96 * sample.std() / math.sqrt(400)
    assert interval.value == pytest.approx(sample.mean())
    assert interval.low == pytest.approx(sample.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(sample.mean() + half, abs=0.02)


def test_sums_counts_and_indices_give_the_same_interval() -> None:
    sample = np.random.default_rng(2).exponential(1.0, 50)
    rows = np.stack([sample, np.ones(50)], 1)
    by_sums = bootstrap_sums(rows, mean, 200, seed=7)
    by_counts = bootstrap_counts(lambda counts: counts @ sample / counts.sum(axis=1), 50, 200, seed=7)
    by_indices = bootstrap_indices(lambda chosen: float(sample[chosen].mean()), 50, 200, seed=7)
    for other in (by_counts, by_indices):
        assert (other.value, other.low, other.high) == pytest.approx((by_sums.value, by_sums.low, by_sums.high))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    rows = np.stack([np.arange(30.0), np.ones(30)], 1)
    assert bootstrap_sums(rows, mean, 100, seed=3) == bootstrap_sums(rows, mean, 100, seed=3)
    assert bootstrap_sums(rows, mean, 100, seed=3) != bootstrap_sums(rows, mean, 100, seed=4)


def test_drawing_in_blocks_gives_every_resample_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toxitrace.evaluation.bootstrap._CHUNK_CELLS", 25)
    blocks = list(resample_counts(10, n_resamples=7))
    assert [len(block) for block in blocks] == [2, 2, 2, 1]
    assert all((block.sum(axis=1) == 10).all() for block in blocks)


def test_resamples_that_do_not_define_the_statistic_are_left_out() -> None:
    def share(sums: Floats) -> Floats:
        return np.where(sums[:, 1] > 0, sums[:, 0] / np.maximum(sums[:, 1], 1), np.nan)

    interval = bootstrap_sums([[1, 1], [0, 0], [0, 0]], share, 200)
    assert interval == Interval(1.0, 1.0, 1.0)


def test_no_texts_give_an_undefined_interval_that_json_can_hold() -> None:
    interval = bootstrap_sums(np.zeros((0, 2)), mean)
    assert math.isnan(interval.value)
    assert json.dumps(interval.to_dict()) == '{"value": null, "low": null, "high": null}'
