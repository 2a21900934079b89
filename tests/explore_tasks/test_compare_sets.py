from __future__ import annotations

import math

import numpy as np
import pytest

from toxitrace.errors import ConfigError, DataError
from toxitrace.explore import Judged
from toxitrace.explore.tasks.compare import Yardstick, common_items, differences, figures, measured
from toxitrace.explore.tasks.intervals import jackknife, rate_differences, rate_intervals, rate_names, rate_rows

CLUSTERS = {f"i{n}": n for n in range(30)}
IDS = sorted(CLUSTERS)
YARD = Yardstick(CLUSTERS, frozenset(IDS), n_toxic=60, base_rate=0.1, n_resamples=200)


def one(n: int, *, toxic: int) -> Judged:
    """Four results, so many of them toxic, found by no other query."""
    return Judged(f"笨蛋{n}", tuple(f"{n}-{i}" for i in range(4)), tuple(i < toxic for i in range(4)))


def test_rows_hold_sums_of_each_clusters_queries() -> None:
    rows = rate_rows({3: [one(0, toxic=4), one(1, toxic=1)]}, [2, 3], thresholds=[0.5])
    assert rate_names([0.5]) == ["qhr", "qhr@0.5", "mean_tihr", "mean_precision_at_10"]
    assert rows.tolist() == [[0.0] * 5, [2.0, 2.0, 1.0, 1.25, pytest.approx(0.5)]]


def test_rates_are_over_queries_and_their_intervals_over_clusters() -> None:
    found = measured({n: [one(n, toxic=4 * (n % 2))] for n in range(30)}, IDS, 0, YARD)
    assert found.intervals["qhr"].value == found.metrics.qhr == 0.5
    assert 0.3 < found.intervals["qhr"].low < 0.5 < found.intervals["qhr"].high < 0.7
    assert figures(found)["qhr"].startswith("0.500 [0.")
    # all queries of one cluster: nothing to draw from, however many there are
    lumped = measured({0: [one(n, toxic=4 * (n % 2)) for n in range(30)]}, ["i0"], 0, YARD)
    assert (lumped.intervals["qhr"].low, lumped.intervals["qhr"].high) == (0.5, 0.5)


def test_differences_are_paired_by_cluster() -> None:
    hard, easy = (
        measured({n: [one(n, toxic=min(4, n % 3 + more))] for n in range(30)}, IDS, 0, YARD) for more in (0, 1)
    )
    apart = differences(easy, hard, YARD)["mean_tihr"]
    assert (apart.value, apart.low, apart.high) == pytest.approx((0.25, 0.25, 0.25))
    assert hard.intervals["mean_tihr"].high - hard.intervals["mean_tihr"].low > 0.05


def test_a_set_without_queries_has_figures_and_no_intervals() -> None:
    found = measured({}, IDS, 30, YARD)
    assert found.metrics.n_queries == 0
    assert math.isnan(found.intervals["qhr"].value)
    assert figures(found)["qhr"] == "0.000"
    assert figures(found)["items without a query"] == "30"


def test_the_yields_interval_is_that_of_a_sum_when_nothing_is_found_twice() -> None:
    found = measured({n: [one(n, toxic=n % 3)] for n in range(30)}, IDS, 0, YARD)
    yields = found.intervals["new_toxic_per_100_queries"]
    assert yields.value == found.metrics.new_toxic_per_100_queries == 100.0
    expected = 2.093 * 100 * np.std([n % 3 for n in range(30)], ddof=1) / math.sqrt(30)
    assert yields.high - yields.value == pytest.approx(expected, rel=0.35)


def test_the_jackknife_needs_as_many_clusters_as_groups() -> None:
    assert math.isnan(jackknife(range(5), len).low)
    assert jackknife(range(5), len).value == 5
    assert jackknife(range(40), lambda kept: float(len(kept))).low == 40.0


def test_draws_depend_on_the_seed_alone() -> None:
    rows = rate_rows({n: [one(n, toxic=n % 4)] for n in range(20)}, list(range(20)))
    assert rate_intervals(rows, rate_names(), seed=1) == rate_intervals(rows, rate_names(), seed=1)
    assert rate_differences(rows, rows, rate_names())["qhr"].high == 0.0


def test_sets_are_compared_on_the_same_items() -> None:
    sets = {"a": {"x": ["笨蛋"], "y": []}, "b": {"y": ["骗子"]}}
    assert common_items(sets) == ["y"]
    with pytest.raises(DataError, match="b has no row for 1 of 2 items"):
        common_items(sets, ["x", "y"])
    with pytest.raises(DataError, match="no item"):
        common_items({"a": {"x": []}, "b": {"y": []}})


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [
        ("k", 0, "--k"),
        ("budget", 0, "--budget"),
        ("n_resamples", 0, "--resamples"),
        ("thresholds", (1.0,), "--thresholds"),
    ],
)
def test_a_yardstick_out_of_range_is_refused(name: str, value: object, flag: str) -> None:
    with pytest.raises(ConfigError, match=flag):
        Yardstick(CLUSTERS, frozenset(), **{name: value})  # type: ignore[arg-type]
