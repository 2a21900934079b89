from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from fake_llm import FakeLLM, ask, busy, say
from local_service import LocalService

from toxitrace.errors import ConfigError, LLMError
from toxitrace.llm import (
    Budget,
    BudgetedClient,
    LLMReply,
    LLMRequest,
    Outcome,
    RetryingClient,
    RetryPolicy,
    ask_all,
    open_client,
    stop_on_interrupt,
)


def rows(n: int) -> list[tuple[str, LLMRequest]]:
    return [(str(i), ask(str(i))) for i in range(n)]


def kinds(outcomes: dict[str, Outcome]) -> dict[str, int]:
    names = [outcome.kind for outcome in outcomes.values()]
    return {name: names.count(name) for name in sorted(set(names))}


def test_every_row_gets_its_own_reply() -> None:
    outcomes = dict(ask_all(FakeLLM(), rows(50), concurrency=3))
    assert {id: outcome.reply.text for id, outcome in outcomes.items() if outcome.reply} == {
        str(i): str(i) for i in range(50)
    }


def test_no_rows_are_no_outcomes() -> None:
    assert list(ask_all(FakeLLM(), [])) == []


def test_equal_ids_are_separate_rows() -> None:
    assert len(list(ask_all(FakeLLM(), [("a", ask("甲")), ("a", ask("乙"))]))) == 2


def test_no_more_requests_run_at_once_than_allowed() -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    with LocalService(delay_seconds=0.02) as service:
        client = open_client("openai:m", service.openai_url, environ={})
        outcomes = dict(ask_all(client, rows(24), concurrency=3))
        assert kinds(outcomes) == {"reply": 24}
        assert (service.most_at_once, service.n_requests) == (3, 24)


def test_rows_are_read_as_room_appears() -> None:
    read = 0

    def source() -> Iterator[tuple[str, LLMRequest]]:
        nonlocal read
        for row in rows(1000):
            read += 1
            yield row

    finished = 0
    for _ in ask_all(FakeLLM(), source(), concurrency=2):
        finished += 1
        assert read <= finished + 2 * 2
    assert finished == 1000


def test_a_failed_row_is_an_outcome_and_the_others_go_on() -> None:
    def answer(request: LLMRequest) -> LLMReply:
        if request.content == "3":
            raise busy()
        if request.content == "5":
            raise ZeroDivisionError("oops")
        return say()

    outcomes = dict(ask_all(FakeLLM(answer=answer), rows(8)))
    assert kinds(outcomes) == {"failed": 2, "reply": 6}
    assert outcomes["3"] == Outcome("failed", error="busy", retryable=True)
    assert outcomes["5"].error == "unexpected ZeroDivisionError: oops"


def test_a_spent_budget_stops_the_rest_cleanly() -> None:
    inner, budget = FakeLLM(), Budget(max_requests=7)
    outcomes = dict(ask_all(BudgetedClient(inner, budget), rows(30), concurrency=4))
    assert kinds(outcomes) == {"reply": 7, "stopped": 23}
    assert len(inner.asked) == budget.spent.requests == 7
    assert all("--max-requests" in o.error for o in outcomes.values() if o.kind == "stopped")


def test_an_error_that_would_meet_every_row_stops_the_rest() -> None:
    inner = FakeLLM(answer=lambda _: _raise(LLMError("wrong key", every_request=True)))
    outcomes = dict(ask_all(inner, rows(30), concurrency=2))
    assert len(inner.asked) <= 2
    assert kinds(outcomes) == {"failed": len(inner.asked), "stopped": 30 - len(inner.asked)}
    assert "wrong key" in outcomes["29"].error


def test_rows_that_keep_failing_end_the_run() -> None:
    inner = FakeLLM(answer=lambda _: _raise(busy()))
    outcomes = dict(ask_all(inner, rows(60), concurrency=1, give_up_after=20))
    assert kinds(outcomes) == {"failed": 20, "stopped": 40}
    assert kinds(dict(ask_all(inner, rows(60), give_up_after=None))) == {"failed": 60}


def test_a_source_that_breaks_hands_over_what_was_read_first() -> None:
    def source() -> Iterator[tuple[str, LLMRequest]]:
        yield from rows(3)
        raise ValueError("bad line")

    outcomes = ask_all(FakeLLM(), source())
    assert sorted(next(outcomes)[0] for _ in range(3)) == ["0", "1", "2"]
    with pytest.raises(ValueError, match="bad line"):
        next(outcomes)


def test_the_caller_may_leave_early() -> None:
    inner = FakeLLM()
    outcomes = ask_all(inner, rows(1000), concurrency=2)
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    assert len(inner.asked) < 10


def test_a_stop_finishes_what_runs_and_marks_the_rest() -> None:
    stop = threading.Event()

    def answer(request: LLMRequest) -> LLMReply:
        if request.content == "5":
            stop.set()
        return say()

    inner = FakeLLM(answer=answer)
    outcomes = dict(ask_all(inner, rows(40), concurrency=2, stop=stop))
    n_asked = len(inner.asked)
    assert n_asked < 10
    assert kinds(outcomes) == {"reply": n_asked, "stopped": 40 - n_asked}
    assert outcomes["39"].error == "interrupted"


def test_a_row_between_two_tries_is_stopped_not_failed() -> None:
    stop = threading.Event()
    client = RetryingClient(FakeLLM(answer=lambda _: _raise(busy(retry_after_seconds=60.0))), RetryPolicy(), stop=stop)
    threading.Timer(0.05, stop.set).start()
    assert kinds(dict(ask_all(client, rows(9), concurrency=2, stop=stop))) == {"stopped": 9}


def test_ctrl_c_sets_the_event_once_and_then_is_itself_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("guarded", [True, False])
def test_ctrl_c_loses_no_row(guarded: bool) -> None:
    def answer(request: LLMRequest) -> LLMReply:
        if request.content == "6":
            _thread.interrupt_main()
        time.sleep(0.02)
        return say()

    inner = FakeLLM(answer=answer)
    if guarded:
        with stop_on_interrupt() as stop:
            outcomes = dict(ask_all(inner, iter(rows(40)), concurrency=2, stop=stop))
    else:
        outcomes = dict(ask_all(inner, iter(rows(40)), concurrency=2))
    assert len(outcomes) == 40
    assert kinds(outcomes)["stopped"] > 20


def test_no_thread_is_left_behind() -> None:
    list(ask_all(FakeLLM(), rows(9), concurrency=5))
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("ask-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_threads_at_all_are_refused_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="--concurrency is 0"):
        ask_all(FakeLLM(), rows(1), concurrency=0)


def _raise(error: Exception) -> LLMReply:
    raise error
