"""Joining stretches of characters that lie close together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def merge_spans(
    bounds: Iterable[tuple[int, int]], gap: int = 0, separators: Sequence[bool] | None = None
) -> list[tuple[int, int]]:
    """Join stretches that overlap, touch, or lie at most ``gap`` characters apart.

    Args:
        bounds: half-open ``[start, end)`` pairs in any order.
        gap: characters that may lie between two joined stretches; 0 joins only what overlaps or touches.
        separators: (n,) true where the character keeps its neighbours apart (methods.md 1.3).

    Returns:
        Sorted stretches, more than ``gap`` characters or a separator between any two of them.

    >>> merge_spans([(6, 7), (0, 2), (3, 4)], gap=1)
    [(0, 4), (6, 7)]
    """
    merged: list[tuple[int, int]] = []
    for start, end in sorted(bounds):
        if merged:
            left, right = merged[-1]
            if start - right <= gap and not (separators is not None and any(separators[right:start])):
                merged[-1] = (left, max(right, end))
                continue
        merged.append((start, end))
    return merged
