"""Bidirectional Cliff Scan and Extraction: saliency of characters -> contiguous spans (methods.md 1.3).

Note: reconstruction. The paper names the method and its purpose; the rules are ours. Where they leave a
choice, this file takes it as follows:

* seeds of equal saliency are taken from left to right, and a character without saliency is never a seed;
* the scan alternates, one character to the left, one to the right; the reference is the mean of all
  characters of the span so far, both sides included; a side that met a cliff stays closed;
* a separator, the edge of the text and a character of an earlier span stop the scan whatever the thresholds
  (two spans that touch are then joined, their gap being 0);
* the best span is the one with the highest mean saliency, the leftmost on ties, after joining.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toxitrace.settings import BiCSEParams
from toxitrace.spans.merge import merge_spans
from toxitrace.spans.scored import ScoredSpan, best_of, scale_saliency, score_bounds

# Below every allowed floor, so one comparison stops the scan at edges, separators and taken characters alike.
_WALL = -1.0


def bicse(saliency: npt.ArrayLike, separators: npt.ArrayLike, params: BiCSEParams | None = None) -> list[ScoredSpan]:
    """Extract the contiguous stretches of a text that carry its saliency.

    Args:
        saliency: (n,) one value per character on any scale; see ``scale_saliency`` for odd values.
        separators: (n,) true where a character (punctuation, space) ends every span.
        params: thresholds on saliency scaled to a maximum of 1; None takes the defaults.

    Returns:
        Sorted spans that neither overlap nor touch and hold no separator; [] where nothing is salient.

    Raises:
        ValueError: ``saliency`` and ``separators`` are not one-dimensional and equally long.

    >>> text = "你真是个笨蛋，走开"
    >>> saliency = [0.1, 0.1, 0.0, 0.2, 0.8, 1.0, 0.9, 0.1, 0.6]
    >>> [text[span.start : span.end] for span in bicse(saliency, [char == "，" for char in text])]
    ['笨蛋', '开']
    """
    params = params or BiCSEParams()
    masked = np.asarray(separators, dtype=np.bool_)
    scaled = scale_saliency(saliency, masked).tolist()
    stops: list[bool] = masked.tolist()
    bounds = merge_spans(scan_cliffs(scaled, stops, params), params.gap, stops)
    return score_bounds(scaled, drop_short(scaled, bounds, params.min_chars))


def scan_cliffs(scaled: list[float], separators: list[bool], params: BiCSEParams) -> list[tuple[int, int]]:
    """Grow a span from every seed up to the cliffs on both sides: the seed and scan rules.

    Plain floats in lists: on texts of 50 characters this is many times faster than numpy scalars.
    The sort of the seeds dominates, O(n log n); every character joins one span at most.

    Args:
        scaled: saliency in [0, 1] as ``scale_saliency`` gives it.
        separators: true where the scan always stops.
        params: ``seed``, ``cliff`` and ``floor`` are read here.

    Returns:
        ``[start, end)`` pairs in the order of their seeds; they may touch but never overlap.
    """
    cliff, floor, least = params.cliff, params.floor, params.seed
    # One wall on either side shifts every position by one.
    open_values = [_WALL, *(_WALL if stop else value for value, stop in zip(scaled, separators, strict=True)), _WALL]
    seeds = [i for i, value in enumerate(open_values) if value >= least and value > 0]
    seeds.sort(key=open_values.__getitem__, reverse=True)  # stable also in reverse: ties stay left to right
    bounds: list[tuple[int, int]] = []
    for seed in seeds:
        total = open_values[seed]
        if total == _WALL:
            continue
        open_values[seed] = _WALL
        left, right, n_chars = seed - 1, seed + 1, 1
        left_open = right_open = True
        while left_open or right_open:
            if left_open:
                value = open_values[left]
                # (ref - value) / ref > cliff with ref = total / n_chars, freed of its divisions.
                if value < floor or total - value * n_chars > cliff * total:
                    left_open = False
                else:
                    open_values[left] = _WALL
                    total += value
                    n_chars += 1
                    left -= 1
            if right_open:
                value = open_values[right]
                if value < floor or total - value * n_chars > cliff * total:
                    right_open = False
                else:
                    open_values[right] = _WALL
                    total += value
                    n_chars += 1
                    right += 1
        bounds.append((left, right - 1))
    return bounds


def drop_short(scaled: list[float], bounds: list[tuple[int, int]], min_chars: int) -> list[tuple[int, int]]:
    """Keep the stretches of at least ``min_chars`` characters, and the best one whatever its length."""
    if min_chars <= 1 or not bounds:
        return bounds
    best = best_of(scaled, bounds)
    return [bound for bound in bounds if bound[1] - bound[0] >= min_chars or bound == best]
