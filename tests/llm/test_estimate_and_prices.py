from __future__ import annotations

import pytest
from fake_llm import SCHEMA, ask

from toxitrace.errors import ConfigError
from toxitrace.llm import PRICES, Price, estimate, find_price
from toxitrace.llm.estimate import estimate_tokens, prompt_tokens_bound, prompt_tokens_of


def test_an_estimate_adds_up_requests_tokens_and_money() -> None:
    requests = [ask("你真是个笨蛋", max_output_tokens=100), ask("甲", max_output_tokens=30)]
    total = estimate(iter(requests), Price(1.0, 10.0), typical_output_tokens=50)
    assert (total.n_requests, total.typical_output_tokens, total.max_output_tokens) == (2, 50 + 30, 130)
    assert total.prompt_tokens == sum(map(prompt_tokens_of, requests))
    assert total.typical_usd == pytest.approx((total.prompt_tokens + 10 * 80) / 1e6)
    assert total.max_usd == pytest.approx((total.prompt_tokens + 10 * 130) / 1e6)


def test_without_a_price_there_is_no_sum_of_money() -> None:
    total = estimate([ask()], None)
    assert (total.typical_usd, total.max_usd) == (None, None)


def test_tokens_follow_the_documented_rule() -> None:
    assert [estimate_tokens(text) for text in ("", "你好", "abc", "abcde", "你abcde")] == [0, 2, 1, 2, 3]


def test_the_schema_and_the_system_text_count() -> None:
    assert prompt_tokens_of(ask(schema=SCHEMA)) > prompt_tokens_of(ask())


@pytest.mark.parametrize("content", ["", "你真是个笨蛋", "plain words", "😀" * 9, "\ud83d"])
def test_the_bound_is_never_below_the_estimate(content: str) -> None:
    assert prompt_tokens_bound(ask(content)) >= prompt_tokens_of(ask(content))


def test_the_users_price_goes_before_the_list() -> None:
    assert find_price("gemini-2.5-pro") == PRICES["gemini-2.5-pro"] == find_price("models/gemini-2.5-pro")
    assert find_price("gemini-2.5-pro", 1.0, 2.0) == Price(1.0, 2.0)
    assert find_price("qwen3-8b") is None


def test_half_a_price_or_a_strange_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="--price-out is missing"):
        find_price("m", 1.0, None)
    with pytest.raises(ConfigError, match="--price-in is -1"):
        find_price("m", -1.0, 1.0)
