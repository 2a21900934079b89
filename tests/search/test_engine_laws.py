"""What holds for every engine, Milvus Lite included."""

from __future__ import annotations

import pytest
from search_corpus import BLANK, ITEMS

from toxitrace.errors import ConfigError, DataError
from toxitrace.search import Item, SearchEngine

QUERIES = ["骗子", "你是骗子", "笨蛋 骗子", "dan", "没有这样的词语"]


@pytest.mark.parametrize("query", QUERIES)
def test_hits_come_best_first_and_equal_ones_by_id(engine: SearchEngine, query: str) -> None:
    hits = engine.search(query)
    assert [(-hit.score, hit.id) for hit in hits] == sorted((-hit.score, hit.id) for hit in hits)
    assert len({hit.id for hit in hits}) == len(hits)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_fewer_hits_are_the_first_of_more(engine: SearchEngine, query: str, k: int) -> None:
    assert engine.search(query, k) == engine.search(query, 100)[:k]


def test_equal_items_are_cut_by_id_at_the_last_place(engine: SearchEngine) -> None:
    assert [hit.id for hit in engine.search("你是骗子", 2)] == ["item-0", "item-6"]


def test_an_excluded_item_costs_no_place(engine: SearchEngine) -> None:
    everything = [hit.id for hit in engine.search("你是骗子")]
    left = [hit.id for hit in engine.search("你是骗子", 3, exclude=[everything[0], everything[2], "unknown"])]
    assert left == [everything[1], *everything[3:5]]


@pytest.mark.parametrize("query", BLANK)
def test_a_query_without_words_finds_nothing(engine: SearchEngine, query: str) -> None:
    assert engine.search(query) == []


def test_many_queries_find_what_each_would(engine: SearchEngine) -> None:
    queries = [*QUERIES, *BLANK]
    exclude = [{f"item-{number}"} for number in range(len(queries))]
    alone = [engine.search(query, 3, ids) for query, ids in zip(queries, exclude, strict=True)]
    assert engine.search_many(queries, 3, exclude) == alone


def test_disguises_find_the_plain_form(engine: SearchEngine) -> None:
    assert engine.search("騙\u200b子ＤＡＮ") == engine.search("骗子dan")


def test_no_queries_are_no_results(engine: SearchEngine) -> None:
    assert engine.search_many([]) == []


def test_it_counts_its_items(engine: SearchEngine) -> None:
    assert len(engine) == len(ITEMS)


def test_an_id_that_occurs_twice_is_an_error_and_changes_nothing(engine: SearchEngine) -> None:
    before = engine.search("骗子")
    with pytest.raises(DataError, match="'twice'"):
        engine.index([Item("twice", "骗子"), Item("once", "笨蛋"), Item("twice", "你好")])
    assert engine.search("骗子") == before


def test_a_wrong_number_of_hits_or_exclusions_is_an_error(engine: SearchEngine) -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        engine.search("骗子", 0)
    with pytest.raises(ConfigError, match="2 entries for 1 queries"):
        engine.search_many(["骗子"], 3, [(), ()])
