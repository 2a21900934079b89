"""Between tokens and characters: T tokens, n characters, half-open offsets in code points of the raw text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt


def tokens_to_chars(
    values: npt.NDArray[np.floating[Any]],
    starts: npt.NDArray[np.integer[Any]],
    ends: npt.NDArray[np.integer[Any]],
    n_chars: int,
) -> npt.NDArray[np.floating[Any]]:
    """Copy each token's value to every character it covers.

    Args:
        values: (T,) one number per token.
        starts: (T,) first character of each token.
        ends: (T,) character after its last.
        n_chars: length of the raw text.

    Returns:
        (n_chars,) of the values' float type: the largest value where tokens overlap, 0 where no token is.

    Raises:
        ValueError: the arrays differ in length, or a token lies outside the text.

    >>> tokens_to_chars(np.array([0.2, 0.9]), np.array([0, 2]), np.array([2, 3]), 4).tolist()
    [0.2, 0.2, 0.9, 0.0]
    """
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    _check(starts, ends, n_chars)
    if values.shape != starts.shape:
        raise ValueError(f"{values.shape} values for {starts.shape} tokens; expected one value per token")
    sizes = np.asarray(ends - starts, dtype=np.int64)
    token_of = np.repeat(np.arange(len(sizes)), sizes)  # (T,) -> (sum of sizes,)
    chars = np.arange(len(token_of)) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
    result = np.full(n_chars, -np.inf, dtype=values.dtype)
    np.maximum.at(result, chars, values[token_of])
    covered = np.zeros(n_chars, dtype=np.bool_)
    covered[chars] = True
    result[~covered] = 0.0
    return result


def spans_to_token_mask(
    spans: Iterable[tuple[int, int]],
    starts: npt.NDArray[np.integer[Any]],
    ends: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.bool_]:
    """Mark the tokens that share a character with a span.

    Args:
        spans: half-open character ranges, in any order, overlapping or not.
        starts: (T,) first character of each token.
        ends: (T,) character after its last.

    Returns:
        (T,) bool.

    >>> spans_to_token_mask([(1, 2)], np.array([0, 2]), np.array([2, 3])).tolist()
    [True, False]
    """
    rows = sorted((start, end) for start, end in spans if start < end)
    if not rows:
        return np.zeros(len(starts), dtype=np.bool_)
    table = np.array(rows, dtype=np.int64)  # (S, 2)
    furthest_end = np.maximum.accumulate(table[:, 1])
    n_before = np.searchsorted(table[:, 0], ends, side="left")  # spans that begin before the token ends
    reach = np.where(n_before > 0, furthest_end[n_before - 1], np.iinfo(np.int64).min)
    mask: npt.NDArray[np.bool_] = (reach > starts) & (ends > starts)
    return mask


def chars_to_token_mask(
    char_mask: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.integer[Any]],
    ends: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.bool_]:
    """Mark the tokens that cover at least one marked character.

    Args:
        char_mask: (n_chars,) bool.
        starts: (T,) first character of each token.
        ends: (T,) character after its last.

    Returns:
        (T,) bool.

    Raises:
        ValueError: a token lies outside the text.

    >>> chars_to_token_mask(np.array([False, True, False]), np.array([0, 2]), np.array([2, 3])).tolist()
    [True, False]
    """
    _check(starts, ends, len(char_mask))
    n_marked = np.concatenate(([0], np.cumsum(char_mask, dtype=np.int64)))  # (n_chars + 1,) before each character
    mask: npt.NDArray[np.bool_] = n_marked[ends] > n_marked[starts]
    return mask


def _check(starts: npt.NDArray[np.integer[Any]], ends: npt.NDArray[np.integer[Any]], n_chars: int) -> None:
    if starts.shape != ends.shape or starts.ndim != 1:
        raise ValueError(f"token starts {starts.shape} and ends {ends.shape} differ in shape; expected (T,) both")
    if len(starts) and (starts.min() < 0 or ends.max() > n_chars or (ends < starts).any()):
        raise ValueError(f"a token lies outside a text of {n_chars} characters, or ends before it starts")
