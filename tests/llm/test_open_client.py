from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_llm import ask
from local_service import LocalService, status

from toxitrace.errors import ConfigError, LLMError, MissingExtraError
from toxitrace.llm import Budget, CachedClient, RecordingClient, RetryPolicy, open_client

KEY = "test-key-0123456789"


@pytest.mark.parametrize(
    ("spec", "url", "environ", "message"),
    [
        ("gemini", None, {}, "--llm is 'gemini'; expected gemini:MODEL, openai:MODEL or replay:FILE"),
        ("gemini:", None, {}, "expected gemini:MODEL"),
        ("claude:x", None, {}, "--llm is 'claude:x'"),
        ("gemini:m", None, {}, "set the environment variable GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("gemini:m", None, {"GEMINI_API_KEY": "  "}, "GEMINI_API_KEY"),
        ("gemini:m", None, {"GEMINI_API_KEY": "a b"}, "GEMINI_API_KEY holds spaces"),
        ("openai:m", None, {"OPENAI_API_KEY": "钥匙"}, "OPENAI_API_KEY holds spaces or characters"),
        ("openai:m", None, {}, "set the environment variable OPENAI_API_KEY, or name your own server"),
        ("openai:m", "localhost:8000/v1", {}, "--llm-url is 'localhost:8000/v1'"),
        ("openai:m", "http://localhost:port/v1", {}, "--llm-url is"),
        ("openai:m", "http://me:secret@host/v1", {}, "--llm-url holds a user, password or query"),
        ("replay:r.jsonl", "http://localhost/v1", {}, "--llm-url goes with a service"),
    ],
)
def test_what_is_wrong_with_the_choice_is_said(
    spec: str, url: str | None, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_client(spec, url, environ=environ)
    assert not any(value.strip() and value in str(caught.value) for value in environ.values())
    assert "secret" not in str(caught.value)


def test_a_missing_sdk_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r'pip install "toxitrace\[llm\]"'):
        open_client("openai:m", "http://127.0.0.1:1/v1", environ={})


def test_the_key_of_google_comes_first_as_in_its_sdk(service: LocalService) -> None:
    pytest.importorskip("google.genai", reason="the llm extra is not installed")
    both = {"GOOGLE_API_KEY": KEY, "GEMINI_API_KEY": "another-key-987654"}
    open_client("gemini:gemini-2.5-pro", service.url, environ=both).complete(ask())
    open_client("gemini:gemini-2.5-pro", service.url, environ={"GEMINI_API_KEY": KEY + "\n"}).complete(ask())
    assert [asked.headers["x-goog-api-key"] for asked in service.asked] == [KEY, KEY]


def test_a_server_of_ones_own_needs_no_key_and_may_use_any_name(service: LocalService) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    client = open_client("openai:Qwen/Qwen3-8B:free", service.openai_url, environ={})
    assert client.complete(ask()).finish == "stop"
    assert client.model == service.asked[0].model == "Qwen/Qwen3-8B:free"


def test_cache_retries_and_budget_work_together(service: LocalService, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    budget = Budget(max_requests=2)
    client = open_client(
        "openai:m",
        service.openai_url,
        cache=tmp_path / "c.db",
        budget=budget,
        retry=RetryPolicy(first_wait_seconds=0.0),
        environ={},
    )
    assert isinstance(client, CachedClient)
    service.script(status(500))
    for _ in range(5):
        client.complete(ask())
    assert (service.n_requests, budget.spent.requests) == (2, 2)  # a failed try, a reply, four from the cache
    with pytest.raises(LLMError, match="--max-requests"):
        client.complete(ask("other"))


def test_a_run_can_be_recorded_and_replayed(service: LocalService, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the llm extra is not installed")
    path = tmp_path / "r.jsonl"
    client = open_client("openai:m", service.openai_url, record=path, environ={})
    assert isinstance(client, RecordingClient)
    reply = client.complete(ask())
    assert open_client(f"replay:{path}", environ={}).complete(ask()) == reply
