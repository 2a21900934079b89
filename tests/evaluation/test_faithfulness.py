"""Faithfulness on models so simple that the right answer is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.errors import DataError
from toxitrace.evaluation import score_faithfulness
from toxitrace.evaluation.faithfulness import mask_inside, mask_outside, random_spans

TEXTS = ["今天你真是个大笨蛋啊好吧", "笨蛋今天天气好像还不错的", "我们明天一起去公园散步吧笨蛋"]
SPANS = [[(7, 9)], [(0, 2)], [(12, 14)]]


def sees_the_word(texts: list[str]) -> np.ndarray:
    return np.array([0.9 if "笨蛋" in text else 0.1 for text in texts])


def test_spans_that_carry_the_verdict_are_comprehensive_and_sufficient() -> None:
    result = score_faithfulness(TEXTS, SPANS, sees_the_word, n_resamples=50)
    assert result.comprehensiveness.value == pytest.approx(0.8)
    assert result.sufficiency.value == pytest.approx(0.0)
    assert result.flip_rate.value == 1.0
    assert result.comprehensiveness_random.value < 0.8
    assert result.comprehensiveness_gain.value == pytest.approx(0.8 - result.comprehensiveness_random.value)
    assert result.sufficiency_gain.value == pytest.approx(-result.sufficiency_random.value)


def test_spans_beside_the_point_change_nothing() -> None:
    result = score_faithfulness(TEXTS, [[(0, 2)], [(4, 6)], [(0, 2)]], sees_the_word, n_resamples=50)
    assert result.comprehensiveness.value == 0.0
    assert result.sufficiency.value == pytest.approx(0.8)
    assert result.flip_rate.value == 0.0


def test_random_stretches_hit_as_often_as_they_should() -> None:
    # 5 characters, a span of 1: a random stretch hits the one that counts in a fifth of all placements.
    texts, spans = ["甲乙丙丁戊"] * 200, [[(0, 1)]] * 200

    def sees_the_first(variants: list[str]) -> np.ndarray:
        return np.array([1.0 if text[0] == "甲" else 0.0 for text in variants])

    result = score_faithfulness(texts, spans, sees_the_first, n_random=10, n_resamples=50)
    assert result.flip_rate_random.value == pytest.approx(0.2, abs=0.03)


def test_texts_without_spans_are_skipped_and_counted() -> None:
    result = score_faithfulness([*TEXTS, "你好"], [*SPANS, []], sees_the_word, n_resamples=10)
    assert (result.n_texts, result.n_skipped, result.n_flagged) == (3, 1, 3)


def test_flips_are_counted_over_flagged_texts_only() -> None:
    result = score_faithfulness([TEXTS[0], "今天天气不错"], [SPANS[0], [(0, 1)]], sees_the_word, n_resamples=10)
    assert (result.n_flagged, result.flip_rate.value) == (1, 1.0)


def test_without_any_span_everything_is_undefined() -> None:
    result = score_faithfulness(["你好"], [[]], sees_the_word)
    assert math.isnan(result.comprehensiveness.value)
    assert json.loads(json.dumps(result.to_dict()))["flip_rate"]["value"] is None


def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (score_faithfulness(TEXTS, SPANS, sees_the_word, n_resamples=20, seed=5) for _ in range(2))
    assert first == second


def test_the_model_is_asked_once() -> None:
    calls: list[int] = []

    def counting(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        return sees_the_word(texts)

    score_faithfulness(TEXTS, SPANS, counting, n_random=2, n_resamples=5)
    assert calls == [3 * (1 + 3 + 3)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 10), st.integers(0, 1000))
@settings(deadline=None)
def test_random_stretches_are_as_long_and_do_not_overlap(lengths: list[int], free: int, seed: int) -> None:
    ends = np.cumsum(lengths)
    spans = [(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]
    placed = random_spans(sum(lengths) + free, spans, np.random.default_rng(seed))
    assert sorted(end - start for start, end in placed) == sorted(lengths)
    covered = [i for start, end in placed for i in range(start, end)]
    assert len(set(covered)) == len(covered) == sum(lengths)
    assert min(covered) >= 0
    assert max(covered) < sum(lengths) + free


@given(st.text(min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_masking_keeps_the_length_and_splits_the_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    inside, outside = mask_inside(text, [(start, end)]), mask_outside(text, [(start, end)])
    assert len(inside) == len(outside) == len(text)
    assert inside[:start] + outside[start:end] + inside[end:] == text


@pytest.mark.parametrize(
    ("spans", "mask", "message"),
    [
        ([[(0, 99)]], "□", r"text 0 of 2 characters has the span \[0, 99\)"),
        ([], "□", "1 texts and spans for 0"),
        ([[(0, 1)]], "[MASK]", r"mask is '\[MASK\]'"),
    ],
)
def test_unusable_input_is_named(spans: list[list[tuple[int, int]]], mask: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score_faithfulness(["你好"], spans, sees_the_word, mask=mask)


def test_a_model_that_answers_too_few_texts_is_refused() -> None:
    with pytest.raises(DataError, match="expected one for each of"):
        score_faithfulness(TEXTS, SPANS, lambda texts: [0.5])
