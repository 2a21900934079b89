"""The baseline that BiCSE is measured against: the most salient characters, wherever they stand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from toxitrace.errors import ConfigError
from toxitrace.spans.merge import merge_spans
from toxitrace.spans.scored import ScoredSpan, scale_saliency, score_bounds


def topk(saliency: npt.ArrayLike, separators: npt.ArrayLike, ratio: float = 0.25) -> list[ScoredSpan]:
    """Mark the ⌈ρ n⌉ most salient characters of a text; runs of them become spans (methods.md 1.3).

    Args:
        saliency: (n',) one value per character; see ``scale_saliency`` for odd values.
        separators: (n',) true where a character is never marked; n counts the others.
        ratio: ρ, the share of characters to mark, above 0 and at most 1; 0.2 to 0.3 is usual.

    Returns:
        Sorted spans; ties go to the leftmost character; [] where nothing is salient.

    Raises:
        ConfigError: ``ratio`` is out of range.
        ValueError: ``saliency`` and ``separators`` are not one-dimensional and equally long.

    >>> topk([0.1, 0.8, 1.0, 0.2], [False] * 4, ratio=0.5)
    [ScoredSpan(start=1, end=3, score=0.9)]
    """
    if not 0.0 < ratio <= 1.0:
        raise ConfigError(f"top-k ratio is {ratio}; expected a share above 0 and at most 1")
    masked = np.asarray(separators, dtype=np.bool_)
    scaled = scale_saliency(saliency, masked)
    if not scaled.any():
        return []
    allowed = np.flatnonzero(~masked)
    # 0.07 * 100 is 7.000000000000001 in floats; without the slack ⌈·⌉ would be one too many.
    k = math.ceil(ratio * allowed.size - 1e-9)
    top = allowed[np.argsort(-scaled[allowed], kind="stable")[: max(k, 1)]]
    return score_bounds(scaled.tolist(), merge_spans((i, i + 1) for i in top.tolist()))
