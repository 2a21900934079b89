"""Whoever writes the queries, the loop is the same."""

from __future__ import annotations

import pytest
from local_service import LocalService, status
from operate_doubles import POSTS, PairEngine, Sittings, flagged

from toxitrace.explore.operate import AskSettings


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
