from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.data import Example, drop_duplicate_texts, merge_offsets
from toxitrace.data.offsets import gap_between, occurrences
from toxitrace.errors import DataError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id is ''"),
        ({"id": 3}, "id is 3"),
        ({"text": None}, "text is NoneType"),
        ({"label": 7}, "label is 7"),
        ({"label": True}, "label is True"),
        ({"spans": ((0, 3),)}, "does not fit its text of 2"),
        ({"spans": ((1, 1),)}, "does not fit"),
        ({"spans": ((-1, 1),)}, "does not fit"),
        ({"spans": ((0, 2), (1, 2))}, "begins before"),
    ],
)
def test_an_example_refuses_impossible_values(change: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"id": "a", "text": "你好", "label": 0}
    with pytest.raises(DataError, match=message):
        Example(**{**fields, **change})


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6))))
def test_merging_keeps_the_characters_and_leaves_gaps(pairs: list[tuple[int, int]]) -> None:
    spans = [(start, start + length) for start, length in pairs]
    merged = merge_offsets(spans)
    assert {i for a, b in merged for i in range(a, b)} == {i for a, b in spans for i in range(a, b)}
    assert all(left[1] < right[0] for left, right in pairwise(merged))


@given(st.text("ab", max_size=12), st.text("ab", max_size=3))
def test_occurrences_are_all_windows_that_equal_the_needle(text: str, needle: str) -> None:
    size = len(needle)
    windows = [(i, i + size) for i in range(len(text) - size + 1) if size and text[i : i + size] == needle]
    assert occurrences(text, needle) == windows


@given(st.tuples(st.integers(0, 9), st.integers(1, 5)), st.tuples(st.integers(0, 9), st.integers(1, 5)))
def test_the_gap_counts_the_characters_between(a: tuple[int, int], b: tuple[int, int]) -> None:
    first, second = sorted([range(a[0], sum(a)), range(b[0], sum(b))], key=lambda r: r.start)
    between = set(range(first.stop, second.start))
    assert gap_between((a[0], sum(a)), (b[0], sum(b))) == len(between)


def test_texts_held_elsewhere_are_dropped_too() -> None:
    train = [Example("a", "一", 0), Example("b", "二", 1)]
    kept, dropped = drop_duplicate_texts(train, against=[Example("dev", "一", 0)])
    assert ([e.id for e in kept], [e.id for e in dropped]) == (["b"], ["a"])
