from __future__ import annotations

import pytest
from made_up import BigramEngine, judged, platform

from toxitrace.errors import DataError
from toxitrace.explore import Judged, judge_queries
from toxitrace.explore.rewards import precision_at, tihr


def test_tihr_is_the_toxic_share_of_what_came_back_and_zero_for_nothing() -> None:
    assert tihr([True, False, False]) == pytest.approx(1 / 3)
    assert tihr([]) == 0.0


def test_precision_at_ten_counts_missing_results_as_misses() -> None:
    assert precision_at([True, True, False], 10) == 0.2
    assert precision_at([False] * 10 + [True], 10) == 0.0


def test_a_judged_query_gives_its_figures() -> None:
    one = judged("笨蛋", "a+ b- c+ d-")
    assert (one.n_results, one.hit, one.tihr, one.precision_at_10, one.toxic_ids) == (4, 2, 0.5, 0.2, ("a", "c"))


def test_results_and_judgements_must_be_as_many() -> None:
    with pytest.raises(DataError):
        Judged("笨蛋", ("a",), ())


def test_judging_searches_without_the_items_a_query_came_from() -> None:
    engine = BigramEngine()
    items, toxic = platform()
    engine.index(items)
    one, two = judge_queries(engine, ["笨蛋", "天气"], toxic, exclude=[{"t00"}, ()])
    assert one.result_ids == ("t01", "t02", "t03")
    assert (one.tihr, two.tihr, two.hit) == (1.0, 0.0, 0)


def test_batches_change_nothing() -> None:
    engine = BigramEngine()
    items, toxic = platform()
    engine.index(items)
    queries, hidden = ["笨蛋", "骗子", "公园", "没有的"], [("t00",), (), (), ()]
    whole = judge_queries(engine, queries, toxic, exclude=hidden)
    assert whole == judge_queries(engine, queries, toxic, exclude=hidden, batch_size=1)
    assert whole[3].n_results == 0


def test_a_detector_can_judge_instead_of_labels() -> None:
    engine = BigramEngine()
    items, _ = platform()
    engine.index(items)
    assert judge_queries(engine, ["笨蛋"], lambda id: id == "t00")[0].hit == 1


def test_an_item_without_a_label_is_an_error_that_names_it() -> None:
    engine = BigramEngine()
    items, _ = platform()
    engine.index(items)
    with pytest.raises(DataError, match="'t00'"):
        judge_queries(engine, ["笨蛋"], {})
    with pytest.raises(DataError, match="one for each query"):
        judge_queries(engine, ["笨蛋"], {}, exclude=[])
