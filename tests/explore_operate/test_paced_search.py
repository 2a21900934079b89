from __future__ import annotations

import random
from typing import Any

import pytest
from operate_doubles import POSTS, PairEngine

from toxitrace.explore.operate.searching import PacedSearch
from toxitrace.llm.retry import RetryPolicy
from toxitrace.search.errors import SearchError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def paced(engine: PairEngine, clock: Clock, per_second: float | None = None, **options: Any) -> PacedSearch:
    policy = RetryPolicy(max_tries=3, first_wait_seconds=4.0, longest_wait_seconds=60.0)
    return PacedSearch(engine, 10, per_second, policy, clock=clock, sleep=clock.sleep, rng=random.Random(1), **options)


def test_searches_keep_their_distance_and_time_that_passed_otherwise_counts() -> None:
    clock = Clock()
    search = paced(PairEngine(POSTS), clock, per_second=2.0)
    search.search("笨蛋", ())
    search.search("骗子", ())
    clock.now += 0.25
    search.search("懒虫", ())
    clock.now += 9.0
    search.search("天气", ())
    assert clock.slept == [0.5, 0.25]


def test_every_try_obeys_the_rate_and_waits_grow() -> None:
    clock = Clock()
    failures: list[str] = []
    engine = PairEngine(POSTS, broken=lambda n: True)
    search = paced(engine, clock, per_second=0.1, failed=lambda query, error: failures.append(f"{query}: {error}"))
    with pytest.raises(SearchError, match="vanished"):
        search.search("笨蛋", ())
    assert failures == ["笨蛋: the index has vanished"] * 3
    assert clock.now == pytest.approx(20.0)
    backoff = clock.slept[::2]
    assert [wait <= bound for wait, bound in zip(backoff, (4.0, 8.0), strict=True)] == [True, True]


def test_a_stop_ends_the_wait_before_the_engine_is_asked() -> None:
    clock = Clock()
    engine = PairEngine(POSTS)
    search = paced(engine, clock, per_second=1.0, stopped=lambda: bool(clock.slept))
    search.search("笨蛋", ())
    with pytest.raises(KeyboardInterrupt):
        search.search("骗子", ())
    assert engine.asked == ["笨蛋"]
