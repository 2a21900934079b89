"""Whoever writes the queries, the loop is the same."""

from __future__ import annotations

from typing import Any

import pytest
from local_service import LocalService, status
from operate_doubles import POSTS, PairEngine, Sittings, flagged

from toxitrace.errors import ConfigError
from toxitrace.explore.operate import AskSettings
from toxitrace.llm.retry import RetryPolicy


def test_a_service_is_asked_once_and_answers_from_the_cache_afterwards(sittings: Sittings, loopback_only: None) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    with LocalService(answer=lambda asked: '{"queries": ["骗子 故事", "笨蛋"]}') as service:
        service.script(status(400), status(400))
        options = {"generator": "openai:m", "llm_url": service.openai_url, "ask": AskSettings(concurrency=1)}
        ending = sittings.sit(flagged("p0", "p2", "p3"), **options)
        assert (ending.n_searches, ending.n_seeds_left) == (2, 2)
        assert sittings.sit(flagged("p0", "p2", "p3"), **options).complete
        assert sittings.sit(flagged("p0", "p2", "p3"), **options).complete
        assert service.n_requests == 5
    assert sittings.queries()["骗子 故事"]["item_ids"] == ["p0", "p2", "p3"]
    assert sittings.bad_days() == {"no_reply": 2}


def test_a_service_that_answers_nobody_is_not_asked_for_every_item(sittings: Sittings, loopback_only: None) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    seeds = [{"id": f"s{n}", "text": f"笨蛋{n}", "toxic": True, "spans": [[0, 2]]} for n in range(60)]
    with LocalService() as service:
        service.script(*[status(400) for _ in range(60)])
        ending = sittings.sit(seeds, generator="openai:m", llm_url=service.openai_url, batch=10)
        assert service.n_requests == 20
    assert ending.n_seeds_left == 60
    assert not ending.complete


def test_a_service_that_cannot_be_reached_is_said_at_once_and_its_requests_are_not_counted(
    sittings: Sittings, loopback_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    n_said: list[int] = []  # before every wait

    def no_wait(self: RetryPolicy, *_: Any) -> float:
        n_said.append(len(sittings.said))
        return 0.0

    monkeypatch.setattr(RetryPolicy, "wait_seconds", no_wait)
    with LocalService() as service:
        url = service.openai_url
    ask = AskSettings(concurrency=1)
    ending = sittings.sit(flagged("p0", "p2"), generator="openai:m", llm_url=url, ask=ask)
    assert n_said[0] == 1
    assert sittings.said[0].startswith(f"the language model at {url} cannot be reached")
    assert sum("each request is tried again" in line for line in sittings.said) == 1
    assert "check the network, the proxy and --llm_url" in ending.reason
    assert (ending.n_seeds_left, sittings.bad_days()) == (2, {})


def test_requests_that_the_budget_held_back_are_not_counted(sittings: Sittings, loopback_only: None) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    with LocalService(answer=lambda asked: '{"queries": ["骗子 故事"]}') as service:
        ask = AskSettings(concurrency=1, max_requests=1)
        ending = sittings.sit(flagged("p0", "p2"), generator="openai:m", llm_url=service.openai_url, ask=ask)
    assert ending.reason == "some items got no reply: --ask.max_requests 1 is reached: raise it to go on"
    assert (ending.n_seeds_left, sittings.bad_days()) == (1, {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ask": AskSettings(max_cost=1.0)}, "--ask.max_cost needs .*give --ask.price_in and --ask.price_out"),
        ({"ask": AskSettings(price_in=1.0)}, "--ask.price_out is missing; expected both --ask.price_in and"),
        ({"llm_url": "nowhere"}, "--llm_url is 'nowhere'"),
    ],
)
def test_messages_name_the_flags_of_this_command(sittings: Sittings, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        sittings.sit(flagged("p0"), **{"generator": "openai:m", "llm_url": "http://localhost:1/v1", **changes})


def test_a_model_in_a_folder_writes_grounded_queries(sittings: Sittings) -> None:
    pytest.importorskip("torch")
    from toxitrace.explore import SmallLMSize
    from toxitrace.explore.language_model import save_language_model
    from toxitrace.explore.small_lm import new_small_lm

    size = SmallLMSize(layers=1, hidden=16, heads=2, feed_forward=16, max_positions=256, vocab_size=400, min_count=1)
    save_language_model(new_small_lm(POSTS.values(), size), sittings.folder / "lm")
    engine = PairEngine(POSTS)
    ending = sittings.sit(flagged("p0", "p2"), engine, generator=f"lm:{sittings.folder / 'lm'}", grounded=True)
    assert ending.complete
    assert engine.asked
    text = "".join(POSTS[id] for id in ("p0", "p2"))
    assert all(piece in text for query in engine.asked for piece in query.split())


def test_what_one_server_refused_another_one_is_asked(sittings: Sittings, loopback_only: None) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    with LocalService(answer=lambda asked: "抱歉，我无法提供这样的内容。") as refusing:
        assert sittings.sit(flagged("p0"), generator="openai:m", llm_url=refusing.openai_url).n_searches == 0
    assert sittings.bad_days() == {"refused": 1}
    with LocalService(answer=lambda asked: '{"queries": ["笨蛋"]}') as willing:
        assert sittings.sit(flagged("p0"), generator="openai:m", llm_url=willing.openai_url).n_searches == 1
        assert willing.n_requests == 1


def test_rules_cannot_be_told_to_stay_with_the_items_words(sittings: Sittings) -> None:
    with pytest.raises(ConfigError, match="grounded is True; expected --generator lm:FOLDER"):
        sittings.sit(flagged("p0"), grounded=True)
