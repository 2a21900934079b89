from __future__ import annotations

import pytest

from toxitrace.data import Example, Queries
from toxitrace.errors import DataError
from toxitrace.explore import KeepRule, QueryRecord, SeedItem, keep_annotated, query_records, seed_items


def test_only_examples_with_evidence_become_seeds() -> None:
    rows = [Example("a", "你真是个笨蛋", 1, spans=((4, 6),)), Example("b", "你好", 1, spans=()), Example("c", "好", 1)]
    assert [item.id for item in seed_items(rows)] == ["a"]


def test_a_span_outside_its_text_names_the_item() -> None:
    with pytest.raises(DataError, match="item 'a'"):
        SeedItem("a", "笨蛋", ((1, 3),))


def test_queries_join_by_id_and_keep_their_rank() -> None:
    items = [SeedItem("b", "骗子"), SeedItem("x", "没有"), SeedItem("a", "笨蛋")]
    notes = {"a": Queries("a", ("笨蛋", "大笨蛋")), "b": Queries("b", ("骗子",)), "z": Queries("z", ("别的",))}
    assert query_records(items, notes) == [
        QueryRecord("b", "骗子", 0),
        QueryRecord("a", "笨蛋", 0),
        QueryRecord("a", "大笨蛋", 1),
    ]


def test_files_that_share_no_id_are_an_error() -> None:
    with pytest.raises(DataError, match="belong together"):
        query_records([SeedItem("a", "笨蛋")], {"b": Queries("b", ("骗子",))})


@pytest.mark.parametrize(
    ("query", "hit", "kept"), [("笨" * 10, 0, True), ("笨" * 11, 0, False), ("笨" * 11, 1, True), ("笨", 5, True)]
)
def test_d_keeps_a_query_that_hits_or_is_at_most_ten_characters(query: str, hit: int, kept: bool) -> None:
    chosen, dropped = keep_annotated([QueryRecord("a", query, 0)], [hit])
    assert (len(chosen), len(dropped)) == ((1, 0) if kept else (0, 1))


def test_the_rule_of_d_is_configurable() -> None:
    assert not KeepRule(min_hits=2, max_chars=0).keeps("笨", 1)
