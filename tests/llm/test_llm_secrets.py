"""The key is sent in one header and appears nowhere else; a text appears in no error."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest
from fake_llm import ask
from local_service import (
    BLOCKED_PROMPT,
    CUT,
    HANG,
    MALFORMED_BODY,
    OK,
    Behaviour,
    LocalService,
    status,
)

from toxitrace.errors import LLMError
from toxitrace.llm import LLMClient, LLMRequest, RetryPolicy, ask_all, open_client
from toxitrace.llm.service_errors import harmless

pytest.importorskip("google.genai", reason="the llm extra is not installed")
pytest.importorskip("openai", reason="the llm extra is not installed")

KEY = "Qx7-very-secret-0123456789"
TEXT = "闭上你的臭嘴"
ENVIRON = {"GEMINI_API_KEY": KEY, "OPENAI_API_KEY": KEY}


def connect(wire: str, service: LocalService, cache: Path) -> LLMClient:
    spec, url = ("gemini:gemini-2.5-pro", service.url) if wire == "gemini" else ("openai:qwen3-8b", service.openai_url)
    retry = RetryPolicy(max_tries=1)
    return open_client(spec, url, cache=cache, retry=retry, timeout_seconds=0.3, environ=ENVIRON)


def family(error: BaseException | None) -> list[BaseException]:
    """The error and all that hang on it."""
    if error is None:
        return []
    return [error, *family(error.__cause__), *family(error.__context__)]


@pytest.mark.parametrize("wire", ["gemini", "openai"])
def test_the_key_is_in_no_error_no_log_and_no_cache(
    wire: str, service: LocalService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(wire, service, tmp_path / "cache.db")
    said = f"key {KEY} of Bearer {KEY} is bad; you sent {TEXT}"
    errors = [status(number, message=said) for number in (400, 401, 403, 404, 429, 500)]
    behaviours = [*errors, MALFORMED_BODY, CUT, HANG, BLOCKED_PROMPT, Behaviour(text=TEXT), OK]
    shown = repr(client)
    failures = []
    for n, behaviour in enumerate(behaviours):
        service.script(behaviour)
        try:
            shown += repr(client.complete(ask(f'{{"text": "{TEXT}{n}"}}')))
        except LLMError as error:
            failures.append(error)
    assert len(failures) == len(behaviours) - 3
    assert [member for error in failures for member in family(error)] == failures  # nothing of the SDK's hangs on them
    assert not any(TEXT[:2] in str(error) for error in failures)
    for error in failures:
        shown += "".join(traceback.format_exception(error)) + repr(vars(error))
    header = "x-goog-api-key" if wire == "gemini" else "authorization"
    assert all(KEY in asked.headers[header] for asked in service.asked)
    assert len(service.asked) == len(behaviours)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert TEXT.encode("unicode_escape") in stored  # the reply that was to be kept
    assert KEY.encode() not in stored
    assert KEY not in shown
    assert KEY not in caplog.text


def test_the_outcomes_of_a_batch_hold_no_key(service: LocalService, tmp_path: Path) -> None:
    service.script(status(400, message=f"bad {KEY}"))
    client = connect("openai", service, tmp_path / "cache.db")
    assert KEY not in repr(list(ask_all(client, [("a", ask())])))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Incorrect API key provided: sk-abcde***6789.", "Incorrect API key provided: [key]"),
        ("short\n  lines", "short lines"),
        (None, ""),
        ("x" * 300, "x" * 199 + "…"),
        ('you sent {"text": "闭上"}', "its message repeats the text and is withheld"),
        (r"you sent \u95ed\u4e0a", "its message repeats the text and is withheld"),
        ("模型不存在", "模型不存在"),
    ],
)
def test_the_words_of_a_service_are_made_harmless(said: str | None, shown: str) -> None:
    request = LLMRequest("p/1", "", f'{{"text": "{TEXT}"}}')
    assert harmless(said, KEY, request) == shown


def test_a_message_with_a_key_that_is_too_short_to_cut_out_is_dropped() -> None:
    assert harmless("my abc", "abc", ask()) == ""


@pytest.mark.parametrize("wire", ["gemini", "openai"])
def test_a_redirect_does_not_take_the_key_along(wire: str, service: LocalService, tmp_path: Path) -> None:
    with LocalService() as elsewhere:
        path = "/v1/chat/completions" if wire == "openai" else "/v1beta/models/gemini-2.5-pro:generateContent"
        service.script(status(307, location=elsewhere.url + path))
        with pytest.raises(LLMError, match="307"):
            connect(wire, service, tmp_path / "cache.db").complete(ask())
        assert (service.n_requests, elsewhere.n_requests) == (1, 0)
