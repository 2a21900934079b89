from __future__ import annotations

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
