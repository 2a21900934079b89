"""How sure the figures of a set of queries are: intervals over clusters of items, and differences of two sets. Pure.

Rates are means over queries: their clusters are drawn with replacement (bootstrap). Counts of distinct things are not:
a cluster drawn twice finds nothing new the second time, so that every resample would find less than the data. Those get
a delete-a-group jackknife instead: the figure without each of G groups of clusters in turn.

Symbols: C clusters · m rates · G groups.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from toxitrace.evaluation.bootstrap import N_RESAMPLES, Interval, bootstrap_sums
from toxitrace.explore.query_metrics import THRESHOLDS
from toxitrace.explore.rewards import Judged

Floats = npt.NDArray[np.float64]
N_GROUPS = 20
# Two-sided 95 % quantile of Student's t with N_GROUPS - 1 degrees of freedom.
_T_19 = 2.093


def rate_names(thresholds: Sequence[float] = THRESHOLDS) -> list[str]:
    """What the columns of `rate_rows` behind the first one are.

    >>> rate_names([0.5])
    ['qhr', 'qhr@0.5', 'mean_tihr', 'mean_precision_at_10']
    """
    return ["qhr", *(f"qhr@{p:g}" for p in thresholds), "mean_tihr", "mean_precision_at_10"]


def rate_rows(
    judged: Mapping[int, Sequence[Judged]], clusters: Sequence[int], thresholds: Sequence[float] = THRESHOLDS
) -> Floats:
    """Sums over each cluster's queries.

    Args:
        judged: cluster -> its queries; clusters may be missing.
        clusters: the order of the rows, equal for sets that are compared.
        thresholds: p of QHR@p.

    Returns:
        (C, 1 + m): number of queries, then a sum for each of `rate_names`.
    """
    rows = np.zeros((len(clusters), 1 + len(rate_names(thresholds))))
    for row, cluster in enumerate(clusters):
        for one in judged.get(cluster, ()):
            rows[row] += [1, one.hit > 0, *(one.tihr > p for p in thresholds), one.tihr, one.precision_at_10]
    return rows


def rate_intervals(
    rows: Floats, names: Sequence[str], *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Every rate with its bootstrap interval over clusters.

    >>> rate_intervals(np.array([[1.0, 1.0]] * 8), ["qhr"])["qhr"]
    Interval(value=1.0, low=1.0, high=1.0)
    """
    return {
        name: bootstrap_sums(rows, lambda sums, column=column: _ratio(sums, 0, column), n_resamples, seed)  # type: ignore[misc]
        for column, name in enumerate(names, start=1)
    }


def rate_differences(
    first: Floats, second: Floats, names: Sequence[str], *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """First minus second, with intervals over the same draws of clusters.

    Args:
        first, second: (C, 1 + m) rows of the same clusters, see `rate_rows`.
    """
    both = np.concatenate([first, second], axis=1)  # (C, 2 + 2m)
    shift = first.shape[1]

    def difference(sums: Floats, column: int) -> Floats:
        return _ratio(sums, 0, column) - _ratio(sums, shift, shift + column)

    return {
        name: bootstrap_sums(both, lambda sums, column=column: difference(sums, column), n_resamples, seed)  # type: ignore[misc]
        for column, name in enumerate(names, start=1)
    }


def jackknife(
    clusters: Collection[int], statistic: Callable[[frozenset[int]], float], *, seed: int = 0, n_groups: int = N_GROUPS
) -> Interval:
    """A figure of the clusters with its delete-a-group jackknife interval (Kott 2001).

    Args:
        clusters: C of them; with fewer than G the interval is undefined, the value is not.
        statistic: of a set of clusters.
        seed: deals the clusters out to groups.
        n_groups: G.

    >>> jackknife(range(40), lambda kept: 100.0)
    Interval(value=100.0, low=100.0, high=100.0)
    """
    every = sorted(set(clusters))
    value = statistic(frozenset(every))
    if len(every) < n_groups:
        return Interval(value, math.nan, math.nan)
    random.Random(seed).shuffle(every)
    parts = [every[i::n_groups] for i in range(n_groups)]
    without = np.array([statistic(frozenset(every) - set(part)) for part in parts])
    half = _T_19 * math.sqrt((n_groups - 1) / n_groups * float(((without - without.mean()) ** 2).sum()))
    return Interval(value, value - half, value + half)


def _ratio(sums: Floats, below: int, above: int) -> Floats:
    """(r, k) sums -> (r,); NaN where a resample has no query."""
    n = sums[:, below]
    rates: Floats = np.divide(sums[:, above], n, out=np.full(len(sums), math.nan), where=n > 0)
    return rates
