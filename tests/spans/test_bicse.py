"""BiCSE against a slow, literal reading of its rules, and against spans worked out by hand."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.settings import BiCSEParams
from toxitrace.spans import ScoredSpan, bicse


def brute_force(g: list[Fraction], sep: list[bool], p: BiCSEParams) -> list[tuple[int, int]]:
    """methods.md 1.3 word by word, on exact fractions and sets of characters."""
    n = len(g)
    covered: set[int] = set()
    spans: list[set[int]] = []

    def is_cliff(b: int, span: set[int]) -> bool:
        if not 0 <= b < n or sep[b] or b in covered:
            return True
        ref = sum((g[i] for i in span), Fraction(0)) / len(span)
        return g[b] < Fraction(p.floor) or (ref - g[b]) / ref > Fraction(p.cliff)

    for seed in sorted(
        (i for i in range(n) if not sep[i] and g[i] > 0 and g[i] >= Fraction(p.seed)), key=lambda i: (-g[i], i)
    ):
        if seed in covered:
            continue
        span, sides = {seed}, [-1, +1]
        while sides:
            for side in list(sides):
                b = (min(span) if side < 0 else max(span)) + side
                if is_cliff(b, span):
                    sides.remove(side)
                else:
                    span.add(b)
        covered |= span
        spans.append(span)

    def joinable() -> set[int] | None:
        for a in spans:
            for b in spans:
                between = range(max(a) + 1, min(b))
                if a is not b and max(a) < min(b) and len(between) <= p.gap and not any(sep[i] for i in between):
                    return a | b | set(between)
        return None

    while (union := joinable()) is not None:
        spans = [span for span in spans if not span & union] + [union]

    def mean(span: set[int]) -> Fraction:
        return sum((g[i] for i in span), Fraction(0)) / len(span)

    spans.sort(key=min)
    best = max(spans, key=mean, default=None)
    return [(min(s), max(s) + 1) for s in spans if s is best or len(s) >= p.min_chars]


EIGHTHS = st.integers(0, 8).map(lambda k: k / 8)
PARAMS = st.builds(
    BiCSEParams, seed=EIGHTHS, cliff=EIGHTHS, floor=EIGHTHS, gap=st.integers(0, 3), min_chars=st.integers(1, 4)
)
# Sixty-fourths under a maximum of exactly 1 stay exact through scaling, sums and products: no rounding decides a cliff.
CHARACTERS = st.lists(st.tuples(st.integers(0, 64), st.integers(0, 7).map(lambda k: k == 0)), max_size=40)


@given(CHARACTERS, st.integers(0, 40), PARAMS)
@settings(max_examples=150, deadline=None)
def test_bicse_finds_the_spans_that_a_literal_reading_of_its_rules_finds(
    characters: list[tuple[int, bool]], peak: int, params: BiCSEParams
) -> None:
    characters.insert(min(peak, len(characters)), (64, False))
    values = [k / 64 for k, _ in characters]
    separators = [stop for _, stop in characters]
    found = bicse(np.array(values), np.array(separators), params)
    assert [span.bounds for span in found] == brute_force([Fraction(v) for v in values], separators, params)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), PARAMS)
@settings(max_examples=150, deadline=None)
def test_bicse_agrees_with_the_literal_reading_on_ragged_saliency(seed: int, n: int, params: BiCSEParams) -> None:
    rng = np.random.default_rng(seed)
    saliency = rng.exponential(3.0, n).astype(np.float32)
    separators = rng.random(n) < 0.15
    found = bicse(saliency, separators, params)
    if separators.all():
        assert found == []
        return
    exact = [Fraction(float(v)) for v in saliency]
    top = max(v for v, stop in zip(exact, separators, strict=True) if not stop)
    expected = brute_force([v / top for v in exact], separators.tolist(), params)
    assert [span.bounds for span in found] == expected


@given(CHARACTERS, PARAMS)
@settings(max_examples=150, deadline=None)
def test_spans_are_sorted_apart_and_free_of_separators(characters: list[tuple[int, bool]], params: BiCSEParams) -> None:
    separators = np.array([stop for _, stop in characters], dtype=bool)
    found = bicse(np.array([k for k, _ in characters], dtype=float), separators, params)
    assert all(0 <= span.start < span.end <= len(characters) for span in found)
    assert all(left.end < right.start for left, right in itertools.pairwise(found))
    assert not any(separators[span.start : span.end].any() for span in found)
    assert all(0.0 < span.score <= 1.0 for span in found)


@given(CHARACTERS, PARAMS)
@settings(max_examples=150, deadline=None)
def test_the_best_span_of_a_text_survives_every_minimum_length(
    characters: list[tuple[int, bool]], params: BiCSEParams
) -> None:
    saliency = np.array([k for k, _ in characters], dtype=float)
    separators = np.array([stop for _, stop in characters], dtype=bool)
    loose = BiCSEParams(params.seed, params.cliff, params.floor, params.gap, 1)
    strict = BiCSEParams(params.seed, params.cliff, params.floor, params.gap, 99)
    everything = bicse(saliency, separators, loose)
    expected = [max(everything, key=lambda span: span.score)] if everything else []
    assert bicse(saliency, separators, strict) == expected


@given(CHARACTERS, PARAMS, st.sampled_from([0.25, 2.0, 1024.0]))
@settings(max_examples=100, deadline=None)
def test_the_scale_of_the_saliency_does_not_matter(
    characters: list[tuple[int, bool]], params: BiCSEParams, factor: float
) -> None:
    saliency = np.array([k for k, _ in characters], dtype=float)
    separators = np.array([stop for _, stop in characters], dtype=bool)
    assert bicse(saliency * factor, separators, params) == bicse(saliency, separators, params)


def test_two_hills_with_a_valley_give_two_spans() -> None:
    hills = [0.05, 0.7, 0.9, 0.8, 0.1, 0.05, 0.1, 0.6, 1.0, 0.1]
    found = bicse(hills, [False] * 10)
    assert [span.bounds for span in found] == [(1, 4), (7, 9)]
    assert [span.score for span in found] == pytest.approx([0.8, 0.8])


def test_a_narrow_valley_is_bridged_but_not_across_punctuation() -> None:
    hills = [1.0, 0.0, 0.8]
    assert [span.bounds for span in bicse(hills, [False] * 3)] == [(0, 3)]
    assert [span.bounds for span in bicse(hills, [False, True, False])] == [(0, 1), (2, 3)]


def test_the_score_of_a_joined_span_counts_the_gap() -> None:
    assert bicse([1.0, 0.0, 0.5], [False] * 3) == [ScoredSpan(0, 3, 0.5)]


def test_the_reference_is_the_mean_of_the_span_so_far_on_both_sides() -> None:
    # Seed 1.0; left 0.6 joins (fall 0.4), mean 0.8; right 0.4 joins (fall 0.5), mean 2/3; 0.32 falls by 0.52: a cliff.
    saliency = [0.32, 0.6, 1.0, 0.4, 0.32]
    assert [span.bounds for span in bicse(saliency, [False] * 5, BiCSEParams(seed=0.9, gap=0))] == [(1, 4)]


def test_a_side_that_met_a_cliff_stays_closed() -> None:
    # 0.45 is a cliff for the seed alone; once 0.5 has joined on the right (mean 0.75) it would not be one.
    saliency = [0.45, 1.0, 0.5]
    assert [span.bounds for span in bicse(saliency, [False] * 3, BiCSEParams(seed=0.9, gap=0))] == [(1, 3)]


def test_the_floor_stops_the_scan_even_without_a_cliff() -> None:
    params = BiCSEParams(seed=1.0, cliff=1.0, floor=0.3, gap=0)
    assert [span.bounds for span in bicse([0.29, 0.3, 1.0], [False] * 3, params)] == [(1, 3)]


def test_a_separator_stops_the_scan_when_nothing_else_does() -> None:
    params = BiCSEParams(seed=0.5, cliff=1.0, floor=0.0, gap=5)
    found = bicse([1.0, 1.0, 1.0, 1.0, 1.0], [False, False, True, False, False], params)
    assert [span.bounds for span in found] == [(0, 2), (3, 5)]


def test_a_peak_on_punctuation_does_not_shrink_the_words() -> None:
    assert bicse([1.0, 100.0], [False, True]) == [ScoredSpan(0, 1, 1.0)]


@pytest.mark.parametrize(
    ("saliency", "separators"),
    [
        ([], []),
        ([0.0, 0.0], [False, False]),
        ([1.0, 2.0], [True, True]),
        ([-1.0, -2.0], [False, False]),
        ([np.nan, np.inf], [False, False]),
        ([0.0, 3.0], [False, True]),
    ],
)
def test_a_text_without_usable_saliency_has_no_spans(saliency: list[float], separators: list[bool]) -> None:
    assert bicse(saliency, separators, BiCSEParams(seed=0.0, floor=0.0, cliff=1.0)) == []


def test_odd_values_count_as_no_evidence() -> None:
    found = bicse([np.nan, 2.0, np.inf, -5.0, 2.0], [False] * 5, BiCSEParams(gap=0))
    assert found == [ScoredSpan(1, 2, 1.0), ScoredSpan(4, 5, 1.0)]


def test_the_smallest_and_the_largest_floats_are_scaled_without_overflow() -> None:
    assert bicse([5e-324, 5e-324], [False] * 2) == [ScoredSpan(0, 2, 1.0)]
    assert bicse([1.7e308, 1.7e308], [False] * 2) == [ScoredSpan(0, 2, 1.0)]


def test_saliency_and_separators_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\) and separators \(3,\)"):
        bicse([1.0, 2.0], [False] * 3)
