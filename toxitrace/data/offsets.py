"""Spans as sorted, disjoint ``(start, end)`` pairs, and where strings occur in a text."""

from __future__ import annotations

from collections.abc import Iterable

Offsets = tuple[tuple[int, int], ...]


def merge_offsets(spans: Iterable[tuple[int, int]]) -> Offsets:
    """Sort spans and merge those that overlap or touch (the gold rule of methods.md, section 1.9).

    >>> merge_offsets([(4, 6), (0, 2), (5, 7), (7, 8)])
    ((0, 2), (4, 8))
    """
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def occurrences(text: str, needle: str) -> list[tuple[int, int]]:
    """Every place where ``needle`` occurs, overlapping ones included; an empty needle occurs nowhere.

    >>> occurrences("哈哈哈", "哈哈")
    [(0, 2), (1, 3)]
    """
    found: list[tuple[int, int]] = []
    start = text.find(needle) if needle else -1
    while start >= 0:
        found.append((start, start + len(needle)))
        start = text.find(needle, start + 1)
    return found


def gap_between(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Characters between two spans; 0 where they overlap or touch.

    >>> gap_between((0, 2), (5, 6)), gap_between((5, 6), (2, 5))
    (3, 0)
    """
    return max(0, max(a[0], b[0]) - min(a[1], b[1]))
