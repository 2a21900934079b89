"""Span scores against hand-worked numbers and the laws of methods.md 1.9."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.errors import DataError
from toxitrace.evaluation import score_spans, silence

SPANS = st.lists(st.tuples(st.integers(0, 15), st.integers(1, 5)).map(lambda p: (p[0], p[0] + p[1])), max_size=4)
CORPUS = st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=6)


def test_a_hand_worked_corpus() -> None:
    predicted = [[(0, 2), (5, 6)], [], [(3, 5)], []]
    gold = [[(1, 4)], [(0, 2)], [(3, 5)], []]
    scores = score_spans(predicted, gold, n_resamples=10)
    # tp 1 + 0 + 2, fp 2, fn 2 + 2.
    assert scores.character_precision.value == pytest.approx(3 / 5)
    assert scores.character_recall.value == pytest.approx(3 / 7)
    assert scores.character_f1.value == pytest.approx(6 / 12)
    assert scores.iou.value == pytest.approx(3 / 9)
    # Spans: 2 of 3 predicted touch gold, 2 of 3 gold are touched; one is exact.
    assert scores.overlap_f1.value == pytest.approx(2 / 3)
    assert scores.exact_f1.value == pytest.approx(2 / 6)
    # Per text: 2/6, 0, 1, and 1 for two empty sides.
    assert scores.text_f1.value == pytest.approx((1 / 3 + 0 + 1 + 1) / 4)
    assert (scores.n_texts, scores.n_predicted, scores.n_gold) == (4, 3, 3)


@given(CORPUS)
@settings(deadline=None)
def test_iou_is_f1_over_two_minus_f1(corpus: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]]) -> None:
    scores = score_spans([p for p, _ in corpus], [g for _, g in corpus], n_resamples=3)
    f1 = scores.character_f1.value
    assert scores.iou.value == pytest.approx(f1 / (2 - f1))


@given(CORPUS)
@settings(deadline=None)
def test_character_scores_agree_with_sklearn_on_character_labels(
    corpus: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    marks = np.zeros((2, len(corpus), 20), dtype=int)
    for i, sides in enumerate(corpus):
        for side, spans in enumerate(sides):
            for start, end in spans:
                marks[side, i, start:end] = 1
    scores = score_spans([p for p, _ in corpus], [g for _, g in corpus], n_resamples=3)
    predicted, gold = marks.reshape(2, -1)
    empty = 1.0 if not marks.any() else 0.0
    assert scores.character_f1.value == pytest.approx(metrics.f1_score(gold, predicted, zero_division=empty))
    assert scores.iou.value == pytest.approx(metrics.jaccard_score(gold, predicted, zero_division=empty))


def test_marking_everything_has_full_overlap_and_poor_characters() -> None:
    gold = [[(2, 4)], [(0, 1), (6, 7)]]
    scores = score_spans([[(0, 10)], [(0, 10)]], gold, n_resamples=10)
    assert scores.overlap_f1.value == 1.0
    assert scores.character_f1.value == pytest.approx(8 / 24)


def test_gold_spans_that_overlap_or_touch_count_as_one() -> None:
    scores = score_spans([[(0, 5)]], [[(3, 5), (0, 2), (2, 4)]], n_resamples=2)
    assert scores.n_gold == 1
    assert scores.exact_f1.value == 1.0


def test_a_span_given_twice_counts_once() -> None:
    assert score_spans([[(0, 1), (0, 1)]], [[(0, 1)]], n_resamples=2).n_predicted == 1


def test_nothing_predicted_scores_zero_and_nothing_to_find_scores_one() -> None:
    missed = score_spans([[]], [[(0, 1)]], n_resamples=2)
    assert missed.character_f1.value == missed.overlap_f1.value == missed.exact_f1.value == missed.text_f1.value == 0.0
    agreed = score_spans([[]], [[]], n_resamples=2)
    assert agreed.character_f1.value == agreed.overlap_f1.value == agreed.exact_f1.value == agreed.text_f1.value == 1.0


def test_end_to_end_empties_the_texts_predicted_clean() -> None:
    assert silence([[(0, 1)], [(2, 3)]], [False, True]) == [[], [(2, 3)]]


def test_the_interval_holds_the_value_and_comes_from_texts() -> None:
    rng = np.random.default_rng(0)
    gold = [[(0, 4)] for _ in range(100)]
    predicted = [[(int(start), int(start) + 4)] for start in rng.integers(0, 5, 100)]
    interval = score_spans(predicted, gold).character_f1
    assert interval.low < interval.value < interval.high
    # All texts are equally long, so pooled F1 is the mean of text F1 and its spread the standard error.
    each = np.array([max(0, 4 - span[0][0]) / 4 for span in predicted])
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * each.std() / 10, rel=0.1)


def test_scores_are_ready_for_json() -> None:
    row = json.loads(json.dumps(score_spans([[(0, 1)]], [[(0, 1)]], n_resamples=2).to_dict()))
    assert row["character_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert row["n_texts"] == 1


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([[(3, 3)]], [[]], r"text 0 has the span \[3, 3\)"),
        ([[]], [[(-1, 2)]], r"text 0 has the span \[-1, 2\)"),
        ([[]], [], "1 texts have predicted spans and 0 gold spans"),
    ],
)
def test_unusable_spans_are_named(
    predicted: list[list[tuple[int, int]]], gold: list[list[tuple[int, int]]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        score_spans(predicted, gold)
