"""What every metric of this room accepts: finite scores, labels 0 and 1, equally many of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toxitrace.errors import DataError


def read_labels(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Check labels and return them as integers.

    Returns:
        (n,) 0 or 1.

    Raises:
        DataError: there are none, or one is neither 0 nor 1.

    >>> read_labels([True, 0, 1.0]).tolist()
    [1, 0, 1]
    """
    values = np.asarray(labels)
    if values.ndim != 1 or values.size == 0:
        raise DataError(f"labels have shape {values.shape}; expected at least one label in one dimension")
    wrong = np.flatnonzero((values != 0) & (values != 1))
    if wrong.size:
        raise DataError(f"label {wrong[0]} is {values[wrong[0]]}; expected 0 (not toxic) or 1 (toxic)")
    return values.astype(np.int64)


def read_scores(
    scores: npt.ArrayLike, labels: npt.ArrayLike, *, probability: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Check scores against their labels and return both as arrays.

    Args:
        scores: (n,) one finite number per label.
        labels: (n,) 0 or 1.
        probability: whether the scores must lie in [0, 1].

    Raises:
        DataError: they differ in number, or a score is not finite or no probability.
    """
    truth = read_labels(labels)
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != truth.shape:
        raise DataError(f"scores have shape {values.shape} and labels {truth.shape}; expected one score per label")
    wrong = np.flatnonzero(~np.isfinite(values) | (probability & ((values < 0) | (values > 1))))
    if wrong.size:
        expected = "a probability from 0 to 1" if probability else "a finite number"
        raise DataError(f"score {wrong[0]} is {values[wrong[0]]}; expected {expected}")
    return values, truth
