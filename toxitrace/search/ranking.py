"""The best k of many scores, equal ones in order of their row. N rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64


def best_rows(scores: NDArray[np.float32], k: int, above: float = -np.inf) -> NDArray[np.intp]:
    """Rows of the ``k`` highest scores, best first; of equal scores the lower row, at the k-th place too.

    Args:
        scores: (N,)
        above: only scores higher than this count.

    Returns:
        (at most k,)

    >>> best_rows(np.array([1, 3, 2, 3, 2], np.float32), 3).tolist()
    [1, 3, 2]
    """
    bound = _bound(scores, k)
    rows = np.flatnonzero(scores >= bound if bound > above else scores > above)
    found = scores[rows]
    if len(found) > k:
        kth_best = np.partition(found, len(found) - k)[len(found) - k]
        better, equal = np.flatnonzero(found > kth_best), np.flatnonzero(found == kth_best)
        kept = np.sort(np.concatenate([better, equal[: k - len(better)]]))
        rows, found = rows[kept], found[kept]
    return rows[np.argsort(-found, kind="stable")]


def _bound(scores: NDArray[np.float32], k: int) -> float:
    """At most the k-th best: the k-th best of the maxima of N / 64 sets, far quicker to find than the k-th best."""
    n_sets = len(scores) // _BLOCK
    if n_sets <= k:
        return -np.inf
    maxima = scores[: n_sets * _BLOCK].reshape(_BLOCK, n_sets).max(axis=0)  # (64, N / 64) -> (N / 64,)
    return float(np.partition(maxima, n_sets - k)[n_sets - k])
