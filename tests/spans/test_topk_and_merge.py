"""The top-k baseline and the joining of stretches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.errors import ConfigError
from toxitrace.spans import merge_spans, topk

BOUNDS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=8)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30), st.integers(1, 100))
@settings(deadline=None)
def test_topk_marks_the_highest_characters_and_no_other(characters: list[tuple[int, bool]], percent: int) -> None:
    allowed = [i for i, (_, stop) in enumerate(characters) if not stop]
    found = topk([v for v, _ in characters], [stop for _, stop in characters], percent / 100)
    marked = [i for span in found for i in range(span.start, span.end)]
    if not any(characters[i][0] for i in allowed):
        assert marked == []
        return
    k = -(-percent * len(allowed) // 100)
    assert marked == sorted(sorted(allowed, key=lambda i: (-characters[i][0], i))[:k])


def test_topk_is_not_fooled_by_float_rounding() -> None:
    assert math.ceil(0.07 * 100) == 8
    assert sum(span.end - span.start for span in topk(np.arange(100), np.zeros(100), 0.07)) == 7


def test_topk_never_joins_across_a_separator() -> None:
    assert [span.bounds for span in topk([1, 1, 1], [False, True, False], 1.0)] == [(0, 1), (2, 3)]


def test_a_topk_ratio_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ratio is 1\.5"):
        topk([1.0], [False], 1.5)


@given(BOUNDS)
@settings(deadline=None)
def test_merging_keeps_every_character_and_adds_none(bounds: list[tuple[int, int]]) -> None:
    merged = merge_spans(bounds)
    assert {i for s, e in merged for i in range(s, e)} == {i for s, e in bounds for i in range(s, e)}
    assert all(left[1] < right[0] for left, right in itertools.pairwise(merged))


@given(BOUNDS, st.integers(0, 4))
@settings(deadline=None)
def test_merging_twice_changes_nothing(bounds: list[tuple[int, int]], gap: int) -> None:
    once = merge_spans(bounds, gap)
    assert merge_spans(once, gap) == once


def test_merging_bridges_gaps_up_to_the_limit_only() -> None:
    assert merge_spans([(0, 1), (3, 4), (7, 8)], gap=2) == [(0, 4), (7, 8)]


def test_merging_never_bridges_a_separator() -> None:
    assert merge_spans([(0, 1), (2, 3)], gap=3, separators=[False, True, False]) == [(0, 1), (2, 3)]
