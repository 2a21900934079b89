from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.explore import ParsedReply, ReplyLimits, count_replies, parse_reply


@pytest.mark.parametrize(
    "reply",
    [
        '["笨蛋", "大骗子"]',
        '{"queries": ["笨蛋", "大骗子"]}',
        '```json\n{"queries": ["笨蛋", "大骗子"]}\n```',
        "笨蛋\n大骗子",
        "1. 笨蛋\n2. 大骗子",
        "1、笨蛋\n2、大骗子",
        "(1) 笨蛋\n（2）大骗子",
        "- “笨蛋”\n- 「大骗子」",
        "查询1：笨蛋\n查询2：大骗子",
        "以下是搜索词：\n笨蛋\n大骗子。",
        "Here are the queries:\n\n* 笨蛋\n* 大骗子",
        "<think>先想一想\n1. 天气</think>\n笨蛋\n大骗子",
        "```\n笨蛋\n大骗子\n```",
    ],
)
def test_every_usual_form_gives_the_same_queries(reply: str) -> None:
    assert parse_reply(reply).queries == ("笨蛋", "大骗子")


@pytest.mark.parametrize(
    "reply",
    [
        "抱歉，我无法提供这样的内容。",
        "对不起，我不能帮助你。",
        "很抱歉,这个请求我无法协助",
        "作为一个AI语言模型，我不能生成这些内容。",
        "我无法协助完成这个请求",
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this.",
        "As an AI, I must decline.",
    ],
)
def test_refusals_are_recognised(reply: str) -> None:
    assert parse_reply(reply) == ParsedReply((), refused=True)


@pytest.mark.parametrize("query", ["对不起个笨蛋", "抱歉骗子", "我不能忍的笨蛋", "1314 骗子", "3.5 懒虫", "滚"])
def test_a_query_that_resembles_a_refusal_or_a_number_is_a_query(query: str) -> None:
    assert parse_reply(query).queries == (query,)


def test_what_is_no_query_is_dropped_and_counted() -> None:
    parsed = parse_reply("笨蛋\n！！！\n" + "长" * 41 + "\n骗子\n希望对您有帮助：")
    assert parsed.queries == ("笨蛋", "骗子")
    assert parsed.n_dropped == 3


def test_entries_of_a_list_that_are_no_strings_are_counted() -> None:
    assert parse_reply('["笨蛋", 7, null]') == ParsedReply(("笨蛋",), n_dropped=2)


def test_queries_are_distinct_and_limited() -> None:
    assert parse_reply("笨蛋\n笨蛋\n骗子\n懒虫", ReplyLimits(max_queries=2)).queries == ("笨蛋", "骗子")


def test_nothing_gives_nothing() -> None:
    assert parse_reply("") == ParsedReply(())
    assert parse_reply("<think>没有想完") == ParsedReply(())


@pytest.mark.parametrize(
    ("reply", "queries", "n_dropped"),
    [
        ('{"queries": ["大骗子", "你真', ("大骗子",), 1),
        ('```json\n{\n  "queries": [\n    "大骗子",\n    "你真', ("大骗子",), 1),
        ('以下是：["大骗子", "笨蛋"', ("大骗子", "笨蛋"), 1),
        ('{"queries": ["大骗子"]', ("大骗子",), 0),
        ('["大骗子", 7, "你真', ("大骗子",), 1),
        ('{"spans": ["你真', (), 1),
        ('{"spans": ["你真", "骗', (), 1),
        ('{"que', (), 1),
        ("{", (), 1),
    ],
)
def test_of_a_cut_json_list_the_complete_strings_count(reply: str, queries: tuple[str, ...], n_dropped: int) -> None:
    assert parse_reply(reply) == ParsedReply(queries, n_dropped=n_dropped)


def test_a_string_in_the_place_of_the_list_is_one_query() -> None:
    assert parse_reply('{"queries": "骗子"}') == ParsedReply(("骗子",))


@pytest.mark.parametrize(
    "reply",
    [
        *("null", "None", "无", "没有。", "（无）", "暂无搜索词", '{"queries": ["无"]}', '{"queries": null}'),
        *('{"error": "骗子"}', "['骗子', '笨蛋']", '[{"query": "骗子"}]', '"骗子": 3', "{}"),
    ],
)
def test_words_for_none_and_other_json_are_no_query(reply: str) -> None:
    assert parse_reply(reply) == ParsedReply((), n_dropped=1)


@pytest.mark.parametrize("query", ["无聊的骗子", "没有良心的骗子", "[狗头] 笨蛋", "骗子 {笨蛋}"])
def test_a_query_that_resembles_none_or_json_is_a_query(query: str) -> None:
    assert parse_reply(query).queries == (query,)


@pytest.mark.parametrize(
    "reply", ['["笨\\u0000蛋", "骗子"]', '["笨\x00蛋", "骗子"]', "笨\ufffd蛋\n骗子", "笨\x1b[31m蛋\n骗子"]
)
def test_broken_characters_cost_their_query_alone(reply: str) -> None:
    assert parse_reply(reply) == ParsedReply(("骗子",), n_dropped=1)


@pytest.mark.parametrize("reply", ["", '{"queries": []}', "[]"])
def test_an_empty_reply_is_no_refusal(reply: str) -> None:
    assert parse_reply(reply) == ParsedReply(())


def test_counts_add_up() -> None:
    counts = count_replies([parse_reply("笨蛋\n骗子"), parse_reply("抱歉，我无法回答"), parse_reply("？？")])
    assert (counts.n_replies, counts.n_queries, counts.n_refused, counts.n_without_query, counts.n_dropped) == (
        3,
        2,
        1,
        2,
        1,
    )


@given(st.text(max_size=80))
def test_any_reply_is_read_without_an_error(reply: str) -> None:
    parsed = parse_reply(reply)
    assert len(parsed.queries) <= 5
    for query in parsed.queries:
        assert 0 < len(query) <= 40
        assert "\n" not in query
        assert query == query.strip()
        assert not any(char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cs") for char in query)
