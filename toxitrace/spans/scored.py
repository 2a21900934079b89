"""A stretch of characters with the weight of its evidence, and the scale that weight is measured on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class ScoredSpan(NamedTuple):
    """A half-open stretch ``[start, end)`` of characters; ``score`` is its mean scaled saliency in [0, 1]."""

    start: int
    end: int
    score: float

    @property
    def bounds(self) -> tuple[int, int]:
        """The offsets alone, as the span metrics take them."""
        return self.start, self.end


def scale_saliency(saliency: npt.ArrayLike, separators: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Divide a text's saliency by its largest value over the characters that are no separators.

    Separators become 0, so a peak on a comma neither seeds a span nor shrinks the rest. NaN, infinite
    and negative values count as 0: they carry no evidence. A text without positive saliency stays all 0.

    Args:
        saliency: (n,) one value per character, on any scale.
        separators: (n,) true where the character is punctuation, space or otherwise never part of a span.

    Returns:
        (n,) values in [0, 1]: ĝ of methods.md 1.2, at character level.

    Raises:
        ValueError: the two are not one-dimensional and equally long.

    >>> scale_saliency([2.0, 9.0, 4.0], [False, True, False]).tolist()
    [0.5, 0.0, 1.0]
    """
    values = np.asarray(saliency, dtype=np.float64)
    masked = np.asarray(separators, dtype=np.bool_)
    if values.ndim != 1 or values.shape != masked.shape:
        raise ValueError(
            f"saliency has shape {values.shape} and separators {masked.shape}; expected one value per character in both"
        )
    usable = (values > 0) & (values < np.inf) & ~masked
    scaled: npt.NDArray[np.float64] = np.where(usable, values, 0.0)
    top = scaled.max(initial=0.0)
    if top > 0:
        scaled /= top
    return scaled


def score_bounds(scaled: list[float], bounds: Iterable[tuple[int, int]]) -> list[ScoredSpan]:
    """Give each stretch the mean of its characters' scaled saliency."""
    return [ScoredSpan(start, end, sum(scaled[start:end]) / (end - start)) for start, end in bounds]


def best_of(scaled: list[float], bounds: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The stretch with the highest mean scaled saliency, the leftmost on ties."""

    def mean(bound: tuple[int, int]) -> float:
        return sum(scaled[bound[0] : bound[1]]) / (bound[1] - bound[0])

    return max(bounds, key=mean)
