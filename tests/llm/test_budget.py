from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_llm import FakeClock, FakeLLM, ask, busy, say

from toxitrace.errors import ConfigError, LLMError
from toxitrace.llm import (
    Budget,
    BudgetedClient,
    BudgetSpent,
    LLMReply,
    LLMRequest,
    Price,
    RetryingClient,
    RetryPolicy,
    Spending,
)
from toxitrace.llm.estimate import prompt_tokens_bound

PRICE = Price(1.0, 10.0)


def test_requests_tokens_and_money_are_counted() -> None:
    budget = Budget(PRICE)
    client = BudgetedClient(FakeLLM(), budget)
    for _ in range(3):
        client.complete(ask())
    assert budget.spent == Spending(3, 30, 15, pytest.approx((30 + 150) / 1e6))


def test_what_was_spent_before_counts() -> None:
    client = BudgetedClient(FakeLLM(), budget := Budget(PRICE, max_requests=4, spent=Spending(3, 30, 15, 0.5)))
    client.complete(ask())
    assert budget.spent == Spending(4, 40, 20, pytest.approx(0.50006))
    with pytest.raises(BudgetSpent):
        client.complete(ask())


def test_every_request_is_told_once_it_is_paid() -> None:
    budget = Budget(PRICE)
    told: list[int] = []
    budget.watch(lambda: told.append(budget.spent.requests))
    client = BudgetedClient(FakeLLM(), budget)
    for _ in range(2):
        client.complete(ask())
    assert told == [1, 2]


def test_the_request_after_the_last_is_not_made() -> None:
    inner = FakeLLM()
    client = BudgetedClient(inner, Budget(max_requests=2))
    for _ in range(2):
        client.complete(ask())
    with pytest.raises(BudgetSpent, match="--max-requests 2 is reached"):
        client.complete(ask())
    assert len(inner.asked) == 2


def test_money_is_reserved_for_the_longest_reply() -> None:
    request = ask(max_output_tokens=1000)
    worst_usd = PRICE.cost_usd(prompt_tokens_bound(request), 1000)
    BudgetedClient(FakeLLM(), Budget(PRICE, max_cost_usd=worst_usd)).complete(request)
    inner = FakeLLM()
    with pytest.raises(BudgetSpent, match=r"may cost up to 0\.0\d+ USD"):
        BudgetedClient(inner, Budget(PRICE, max_cost_usd=0.99 * worst_usd)).complete(request)
    assert inner.asked == []


def test_what_was_reserved_and_not_spent_comes_back() -> None:
    request = ask(max_output_tokens=1000)
    worst_usd = PRICE.cost_usd(prompt_tokens_bound(request), 1000)
    budget = Budget(PRICE, max_cost_usd=1.05 * worst_usd)
    client = BudgetedClient(FakeLLM(), budget)  # a reply costs 0.00006 USD, the worst 0.0101
    for _ in range(5):
        client.complete(request)
    assert budget.spent.cost_usd < budget.spent.requests * worst_usd / 100


def test_parallel_requests_cannot_overrun_and_wait_for_each_other() -> None:
    request = ask(max_output_tokens=1000)
    worst_usd = PRICE.cost_usd(prompt_tokens_bound(request), 1000)
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(request: LLMRequest) -> LLMReply:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        return say(prompt_tokens=10, output_tokens=5)

    inner, budget = FakeLLM(answer=slow), Budget(PRICE, max_cost_usd=2.5 * worst_usd)
    client = BudgetedClient(inner, budget)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.complete(request), range(16)))
    assert most == 2
    assert budget.spent.requests == 16


def test_parallel_requests_stop_at_the_limit_together() -> None:
    inner, budget = FakeLLM(answer=lambda _: say()), Budget(max_requests=5)  # no counts: the reserve stays spent
    client = BudgetedClient(inner, budget)

    def attempt(_: int) -> bool:
        try:
            client.complete(ask())
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(20))) == 5
    assert len(inner.asked) == 5


@pytest.mark.parametrize(
    ("failure", "requests", "paid"),
    [
        (LLMError("refused", fate="refused"), 1, False),
        (LLMError("unsent", fate="unsent"), 0, False),
        (LLMError("cut"), 1, True),
        (RuntimeError("bug"), 1, True),
    ],
    ids=["refused", "unsent", "lost", "unforeseen"],
)
def test_a_failure_costs_what_it_may_have_cost(failure: Exception, requests: int, paid: bool) -> None:
    budget = Budget(PRICE)
    with pytest.raises(type(failure)):
        BudgetedClient(FakeLLM(failure), budget).complete(ask())
    assert budget.spent.requests == requests
    assert (budget.spent.cost_usd > 0) == paid


def test_a_reply_without_counts_costs_its_reserve() -> None:
    budget = Budget(PRICE)
    BudgetedClient(FakeLLM(say()), budget).complete(ask(max_output_tokens=50))
    assert budget.spent.output_tokens == 50


def test_each_try_is_a_request() -> None:
    budget, clock = Budget(max_requests=3), FakeClock()
    inner = FakeLLM(busy(), busy(), busy(), say())
    client = RetryingClient(BudgetedClient(inner, budget), RetryPolicy(), sleep=clock.sleep, clock=clock)
    with pytest.raises(BudgetSpent):
        client.complete(ask())
    assert (len(inner.asked), budget.spent.requests) == (3, 3)


def test_a_limit_on_money_needs_a_price() -> None:
    with pytest.raises(ConfigError, match="give --price-in and --price-out"):
        Budget(max_cost_usd=1.0)


@pytest.mark.parametrize("limit", [{"max_cost_usd": -1.0}, {"max_cost_usd": float("nan")}, {"max_requests": -1}])
def test_a_limit_that_is_no_amount_is_refused(limit: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Budget(PRICE, **limit)  # type: ignore[arg-type]
