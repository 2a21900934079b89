"""Every figure against a case that was computed by hand."""

from __future__ import annotations

import json

import pytest
from made_up import judged

from toxitrace.explore import measure, review_list
from toxitrace.explore.diversity import distinct_n, mean_jaccard

QUERIES = [
    judged("笨蛋", "a+ b+ c- d-"),  # tihr 0.5, p@10 0.2
    judged("骗子", "b+ e-"),  # tihr 0.5, p@10 0.1
    judged("天气", "c- f-"),  # tihr 0
    judged("没有", ""),  # tihr 0
]


def test_all_figures_of_a_small_set() -> None:
    found = measure(QUERIES, thresholds=(0.05, 0.5), budget=3, known={"x"}, n_toxic=9, base_rate=0.02)
    assert (found.n_queries, found.n_distinct_queries, found.n_without_results) == (4, 4, 1)
    assert found.qhr == 0.5
    assert found.qhr_at == ((0.05, 0.5), (0.5, 0.0))  # above the threshold, not at it
    assert found.mean_tihr == 0.25
    assert found.mean_precision_at_10 == pytest.approx(0.3 / 4)
    # first ranks a, b, c
    assert (found.n_reviewed, found.precision_at_budget) == (3, pytest.approx(2 / 3))
    assert found.new_toxic_per_1000_reviewed == pytest.approx(2000 / 3)
    assert (found.n_new_toxic, found.new_toxic_per_100_queries) == (2, 50.0)
    assert found.recall == 2 / 8  # nine toxic items, one of them known
    assert found.base_rate == 0.02
    # pairs with results: {a,b,c,d}/{b,e} 1/5, {a,b,c,d}/{c,f} 1/5, {b,e}/{c,f} 0
    assert found.mean_jaccard == pytest.approx(0.4 / 3)
    assert found.distinct_1_chars == 1.0


def test_known_items_are_nothing_new_and_not_reviewed_again() -> None:
    found = measure(QUERIES, budget=10, known={"a"}, n_toxic=2)
    assert found.n_new_toxic == 1
    assert found.recall == 1.0
    assert found.n_reviewed == 5


def test_an_empty_set_has_figures_too() -> None:
    found = measure([])
    assert (found.qhr, found.mean_tihr, found.n_reviewed, found.recall, found.mean_jaccard) == (0, 0, 0, None, None)


def test_the_figures_are_json() -> None:
    assert json.loads(json.dumps(measure(QUERIES).to_dict()))["qhr_at"]["0.05"] == 0.5


def test_the_review_list_takes_ranks_in_turn_and_each_post_once() -> None:
    posts = review_list(QUERIES, budget=100)
    assert [post.id for post in posts] == ["a", "b", "c", "e", "f", "d"]
    assert posts[1].query == "骗子"


def test_distinct_counts_repeated_queries_against_the_set() -> None:
    assert distinct_n(["笨蛋", "笨蛋"], 2) == 0.5
    assert distinct_n(["大 笨蛋"], 1) == 1.0  # the blank is no character
    assert distinct_n(["笨"], 2) == 0.0
    assert distinct_n(["天气 公园", "天气"], 1, "jieba") == pytest.approx(2 / 3)


def test_overlap_of_many_queries_is_estimated_from_drawn_pairs() -> None:
    sets = [["a", "b"] if i % 2 else ["a"] for i in range(60)]
    exact = mean_jaccard(sets)
    drawn = mean_jaccard(sets, max_pairs=1000, seed=3)
    assert drawn == mean_jaccard(sets, max_pairs=1000, seed=3)
    assert drawn == pytest.approx(exact, abs=0.05)
