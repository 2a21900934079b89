from __future__ import annotations

import random
import threading

import pytest
from fake_llm import FakeClock, FakeLLM, ask, busy, say

from toxitrace.errors import ConfigError, LLMError
from toxitrace.llm import RetryingClient, RetryPolicy


def retrying(inner: FakeLLM, clock: FakeClock, seed: int = 0, **policy: float) -> RetryingClient:
    return RetryingClient(
        inner,
        RetryPolicy(**policy),  # type: ignore[arg-type]
        sleep=clock.sleep,
        clock=clock,
        rng=random.Random(seed),
    )


def test_a_failure_that_may_pass_is_asked_again() -> None:
    inner = FakeLLM(busy(), busy(), say("好"))
    assert retrying(inner, FakeClock()).complete(ask()).text == "好"
    assert len(inner.asked) == 3


def test_a_failure_that_will_not_pass_is_raised_as_it_is() -> None:
    final = LLMError("no such model")
    inner, clock = FakeLLM(final), FakeClock()
    with pytest.raises(LLMError) as caught:
        retrying(inner, clock).complete(ask())
    assert caught.value is final
    assert (len(inner.asked), clock.slept) == (1, [])


def test_waits_are_random_below_a_bound_that_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(first_wait_seconds=1.0, longest_wait_seconds=8.0)
    rng = random.Random(1)
    for tries, bound in ((1, 1.0), (2, 2.0), (4, 8.0), (9, 8.0), (5000, 8.0)):
        waits = [policy.wait_seconds(tries, None, rng) for _ in range(300)]
        assert 0.0 <= min(waits) < 0.05 * bound
        assert 0.95 * bound < max(waits) <= bound


def test_the_same_seed_waits_the_same() -> None:
    slept = []
    for _ in range(2):
        clock = FakeClock()
        retrying(FakeLLM(busy(), busy()), clock, seed=7).complete(ask())
        slept.append(clock.slept)
    assert slept[0] == slept[1]


def test_the_wait_that_the_service_asks_for_is_kept() -> None:
    clock = FakeClock()
    retrying(FakeLLM(busy(retry_after_seconds=30.0)), clock, first_wait_seconds=1.0).complete(ask())
    assert 30.0 <= clock.slept[0] <= 31.0


def test_a_wait_longer_than_the_patience_is_not_begun() -> None:
    inner, clock = FakeLLM(busy(retry_after_seconds=3600.0)), FakeClock()
    with pytest.raises(LLMError, match=r"given up after 1 try; it asks to wait 3600 seconds") as caught:
        retrying(inner, clock, give_up_seconds=300.0).complete(ask())
    assert (caught.value.retry_after_seconds, clock.slept) == (3600.0, [])


def test_tries_are_bounded() -> None:
    inner = FakeLLM(*[busy() for _ in range(9)])
    with pytest.raises(LLMError, match=r"busy \(given up after 4 tries\)") as caught:
        retrying(inner, FakeClock(), max_tries=4).complete(ask())
    assert len(inner.asked) == 4
    assert (caught.value.retryable, caught.value.fate) == (True, "refused")


def test_the_whole_wait_is_bounded() -> None:
    inner, clock = FakeLLM(*[busy(retry_after_seconds=10.0) for _ in range(99)]), FakeClock()
    with pytest.raises(LLMError, match="given up"):
        retrying(inner, clock, max_tries=99, first_wait_seconds=0.0, give_up_seconds=45.0).complete(ask())
    assert clock.now == 40.0


def test_an_interrupted_wait_asks_no_more() -> None:
    stop = threading.Event()
    inner = FakeLLM(busy(retry_after_seconds=60.0))
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(LLMError, match=r"^busy$"):
        RetryingClient(inner, RetryPolicy(), stop=stop).complete(ask())
    assert len(inner.asked) == 1


@pytest.mark.parametrize("field", [{"max_tries": 0}, {"give_up_seconds": -1.0}, {"first_wait_seconds": float("nan")}])
def test_an_impossible_policy_is_refused(field: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(field))):
        RetryPolicy(**field)  # type: ignore[arg-type]
