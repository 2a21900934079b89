import math

import pytest

from toxitrace.annotate.agreement import Difference, compare
from toxitrace.annotate.agreement_tables import figures, marked, top_strings
from toxitrace.data import Example, SpanAnnotation
from toxitrace.errors import DataError

EXAMPLES = [
    Example("a", "你真是个笨蛋", 1),
    Example("b", "闭上你的臭嘴", 1),
    Example("c", "今天天气不错", 0),
    Example("d", "笨蛋，走开", 1),
    Example("e", "没人看过", 1),
]


def notes(**spans: tuple[tuple[int, int], ...]) -> dict[str, SpanAnnotation]:
    return {id: SpanAnnotation(id, own, f"x:{id}") for id, own in spans.items()}


LEFT = notes(a=((4, 6),), b=((4, 6),), c=(), d=((0, 2),))
RIGHT = notes(a=((3, 6),), b=(), c=(), d=((0, 2),), z=())


def test_figures_are_those_counted_by_hand() -> None:
    found = compare(EXAMPLES, LEFT, RIGHT, n_resamples=20)
    assert (found.n_texts, found.n_left_only, found.n_right_only, found.n_both) == (4, 0, 1, 2)
    assert (found.left_empty.value, found.right_empty.value) == (0.25, 0.5)
    assert found.same_verdict.value == 0.75
    assert found.kappa.value == pytest.approx((0.75 - 0.5) / 0.5)  # chance: 3/4 · 2/4 + 1/4 · 2/4
    assert found.character_f1.value == pytest.approx(2 * 4 / (6 + 5))
    assert found.character_f1_both.value == pytest.approx(2 * 4 / (4 + 5))
    assert found.iou.value == pytest.approx(4 / 7)


def test_the_order_of_the_sources_changes_no_figure() -> None:
    one, other = compare(EXAMPLES, LEFT, RIGHT, n_resamples=20), compare(EXAMPLES, RIGHT, LEFT, n_resamples=20)
    for name in ("kappa", "character_f1", "iou", "exact_f1", "same_verdict"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)


def test_a_source_agrees_with_itself() -> None:
    found = compare(EXAMPLES, LEFT, LEFT, n_resamples=5)
    assert (found.kappa.value, found.character_f1.value, found.differences) == (1.0, 1.0, ())


def test_kappa_is_undefined_where_both_always_say_the_same() -> None:
    both = notes(a=((4, 6),), d=((0, 2),))
    found = compare(EXAMPLES, both, both, n_resamples=5)
    assert math.isnan(found.kappa.value)
    assert ("kappa of evidence or none", "-", "") in figures(found, ("A", "B")).rows


def test_texts_that_differ_most_come_first() -> None:
    found = compare(EXAMPLES, LEFT, RIGHT, n_resamples=5)
    assert [(difference.id, difference.n_chars) for difference in found.differences] == [("b", 2), ("a", 1)]
    assert marked(found.differences[0]).note == "2 characters marked by one alone · labelled toxic"


def test_the_most_frequent_evidence_is_counted() -> None:
    found = compare(EXAMPLES, LEFT, RIGHT, n_resamples=5)
    assert found.left_top == (("笨蛋", 2), ("臭嘴", 1))
    assert top_strings(found, ("A", "B"), 1).rows == (("笨蛋", "2", "个笨蛋", "1"),)


def test_rows_that_nobody_judged_are_in_no_figure_and_are_counted() -> None:
    found = compare(EXAMPLES, LEFT, RIGHT, not_judged=({"a"}, {"z", "c"}), n_resamples=5)
    assert (found.n_left_not_judged, found.n_right_not_judged) == (1, 2)
    assert (found.n_texts, found.n_left_only, found.n_right_only) == (2, 1, 1)
    assert found.character_f1.value == pytest.approx(2 * 2 / (4 + 2))
    assert found.left_top == (("笨蛋", 1), ("臭嘴", 1))
    assert ("rows not judged, B (left out)", "2", "") in figures(found, ("A", "B")).rows


def test_rows_that_nobody_judged_leave_nothing_to_compare() -> None:
    with pytest.raises(DataError, match="rows that nobody judged: 4 and 0"):
        compare(EXAMPLES, LEFT, RIGHT, not_judged=(set(LEFT), ()))


def test_a_long_text_is_shown_around_what_is_marked() -> None:
    text = "天" * 999 + "笨蛋" + "地" * 999
    shown = marked(Difference("a", text, 1, ((999, 1001),), (), 2))
    assert len(shown.text) < 200
    assert [shown.text[start:end] for start, end in shown.left] == ["笨蛋"]


def test_sources_without_a_common_text_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="annotated in both"):
        compare(EXAMPLES, LEFT, notes(z=()))


def test_a_span_outside_its_text_is_an_error_with_its_place() -> None:
    with pytest.raises(DataError, match="x:a"):
        compare(EXAMPLES, notes(a=((4, 60),)), LEFT)
