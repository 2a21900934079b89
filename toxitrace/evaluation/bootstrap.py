"""Percentile bootstrap over texts, vectorised: a resample is a row of counts, never a copy of the data.

Symbols: R resamples · n texts · k statistics per text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

N_RESAMPLES = 1000
LEVEL = 0.95
# Counts held at once; 2^22 eight-byte numbers are 32 MiB.
_CHUNK_CELLS = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value with its bootstrap interval; NaN where the value is not defined on the data."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; NaN becomes null, which JSON can hold."""
        parts = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if math.isnan(part) else part for name, part in parts.items()}

    @classmethod
    def undefined(cls) -> Interval:
        """The interval of a value that the data does not define, for example AUROC of one class."""
        return cls(math.nan, math.nan, math.nan)


def resample_counts(n: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Draw n of n texts with replacement, R times, and count how often each was drawn.

    Yields:
        (r, n) blocks of counts, R rows in all, every row summing to n. The draws depend on ``n`` and
        ``seed`` alone, so two statistics bootstrapped over the same texts are paired.

    >>> [block.sum(axis=1).tolist() for block in resample_counts(5, n_resamples=2)]
    [[5.0, 5.0]]
    """
    rng = np.random.default_rng(seed)
    per_block = max(1, _CHUNK_CELLS // max(n, 1))
    for done in range(0, n_resamples, per_block):
        rows = min(per_block, n_resamples - done)
        drawn = rng.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def bootstrap_counts(
    statistic: Callable[[Floats], Floats],
    n: int,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """Bootstrap a statistic of weighted texts, such as AUROC.

    Args:
        statistic: (r, n) counts -> (r,) values; a text with count 2 stands in the sample twice.
        n: number of texts; with 0 the interval is undefined.
        n_resamples: R.
        seed: of the draws.
        level: share of the resampled values inside the interval.

    Returns:
        The statistic on the data itself and the percentiles over the resamples that define it
        (a resample may hold one class only).
    """
    if n == 0:
        return Interval.undefined()
    value = float(statistic(np.ones((1, n)))[0])
    if math.isnan(value):
        return Interval.undefined()
    draws = np.concatenate([statistic(counts) for counts in resample_counts(n, n_resamples, seed)])
    draws = draws[~np.isnan(draws)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]) if draws.size else (math.nan, math.nan)
    return Interval(value, float(low), float(high))


def bootstrap_sums(
    rows: npt.ArrayLike,
    statistic: Callable[[Floats], Floats],
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """Bootstrap a statistic of summed per-text statistics, such as a pooled F1 from tp, fp and fn.

    Args:
        rows: (n, k) sufficient statistics, one row per text.
        statistic: (r, k) sums over the texts of a resample -> (r,) values.
        n_resamples: R.
        seed: of the draws.
        level: share of the resampled values inside the interval.

    >>> bootstrap_sums([[1.0, 1.0]] * 8, lambda sums: sums[:, 0] / sums[:, 1])
    Interval(value=1.0, low=1.0, high=1.0)
    """
    table = np.asarray(rows, dtype=np.float64)
    return bootstrap_counts(lambda counts: statistic(counts @ table), len(table), n_resamples, seed, level)


def bootstrap_indices(
    statistic: Callable[[npt.NDArray[np.intp]], float],
    n: int,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """Bootstrap any statistic of the chosen texts, one call per resample: slow, for what cannot be summed.

    Args:
        statistic: (n,) sorted indices into the texts, repeats included -> value or NaN.
        n: number of texts; with 0 the interval is undefined.
        n_resamples: R.
        seed: of the draws, the same as in ``bootstrap_counts``.
        level: share of the resampled values inside the interval.
    """
    positions = np.arange(n)

    def on_counts(counts: Floats) -> Floats:
        return np.array([statistic(np.repeat(positions, row.astype(np.intp))) for row in counts])

    return bootstrap_counts(on_counts, n, n_resamples, seed, level)
