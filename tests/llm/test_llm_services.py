"""Both adapters through their real SDKs against a real HTTP server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from fake_llm import SCHEMA, ask
from local_service import (
    BLOCKED_CANDIDATE,
    BLOCKED_PROMPT,
    CUT,
    EMPTY_TEXT,
    HANG,
    MALFORMED_BODY,
    MALFORMED_TEXT,
    MAX_TOKENS,
    OK,
    OTHER_BODY,
    Behaviour,
    LocalService,
    status,
)

from toxitrace.errors import LLMError
from toxitrace.llm import LLMClient, RetryingClient, RetryPolicy

pytest.importorskip("google.genai", reason="the llm extra is not installed")
pytest.importorskip("openai", reason="the llm extra is not installed")

from toxitrace.llm.gemini import GeminiClient
from toxitrace.llm.openai_chat import OpenAIChatClient

KEY = "test-key-0123456789"
Make = Callable[..., LLMClient]


@pytest.fixture(scope="module")
def shared_service() -> Iterator[LocalService]:
    with LocalService() as running:
        yield running


@pytest.fixture
def service(shared_service: LocalService) -> LocalService:
    shared_service.asked.clear()
    return shared_service


@pytest.fixture(params=["gemini", "openai"])
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(wire: str, service: LocalService) -> LLMClient:
    return connect(wire, service.url)


def connect(wire: str, url: str, timeout_seconds: float = 5.0) -> LLMClient:
    if wire == "gemini":
        return GeminiClient("gemini-2.5-flash", KEY, base_url=url, timeout_seconds=timeout_seconds)
    return OpenAIChatClient("qwen3-8b", KEY, base_url=f"{url}/v1", timeout_seconds=timeout_seconds)


def failure(client: LLMClient, service: LocalService, *behaviours: Behaviour) -> LLMError:
    service.script(*behaviours)
    with pytest.raises(LLMError) as caught:
        client.complete(ask())
    return caught.value


def test_a_reply_comes_back_with_its_tokens(client: LLMClient, service: LocalService) -> None:
    service.script(Behaviour(text='{"spans": ["笨蛋"]}'))
    reply = client.complete(ask())
    assert (reply.text, reply.finish, reply.model) == ('{"spans": ["笨蛋"]}', "stop", client.model)
    assert (reply.prompt_tokens, reply.output_tokens) == (11, 7 + 5)  # thinking included, its text not


def test_a_gemini_request_has_the_fields_of_the_public_api(service: LocalService) -> None:
    connect("gemini", service.url).complete(ask(schema=SCHEMA, max_output_tokens=99, thinking_tokens=128))
    asked = service.asked[0]
    assert asked.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert asked.headers["x-goog-api-key"] == KEY
    assert (asked.system, asked.content) == (ask().system, ask().content)
    config = asked.body["generationConfig"]
    # the SDK writes this name as protobuf has it; the service's JSON reader takes both
    assert list(config.pop("thinkingConfig").items()) in ([("thinking_budget", 128)], [("thinkingBudget", 128)])
    assert config == {
        "temperature": 0.0,
        "maxOutputTokens": 99,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert {setting["threshold"] for setting in asked.body["safetySettings"]} == {"OFF"}
    assert len({setting["category"] for setting in asked.body["safetySettings"]}) == 4


def test_a_chat_request_asks_for_strict_json(service: LocalService) -> None:
    connect("openai", service.url).complete(ask(schema=SCHEMA, max_output_tokens=99, thinking_tokens=0))
    body = service.asked[0].body
    assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["max_tokens"], body["temperature"]) == (99, 0.0)
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "cusa-1", "schema": SCHEMA, "strict": True},
    }
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_thinking_budget_that_a_chat_server_cannot_take_is_refused_unsent(service: LocalService) -> None:
    with pytest.raises(LLMError, match="thinking_tokens is 64") as caught:
        connect("openai", service.url).complete(ask(thinking_tokens=64))
    assert (caught.value.fate, service.n_requests) == ("unsent", 0)


def test_a_plain_request_asks_for_no_json(client: LLMClient, service: LocalService, wire: str) -> None:
    client.complete(ask())
    body = service.asked[0].body
    assert "response_format" not in body
    assert "responseMimeType" not in body.get("generationConfig", {})


@pytest.mark.parametrize("behaviour", [BLOCKED_PROMPT, BLOCKED_CANDIDATE], ids=lambda b: b.kind)
def test_what_a_filter_refuses_is_a_blocked_reply(
    client: LLMClient, service: LocalService, behaviour: Behaviour
) -> None:
    service.script(behaviour)
    reply = client.complete(ask())
    assert (reply.text, reply.finish) == ("", "blocked")


def test_what_a_chat_model_refuses_is_a_blocked_reply(service: LocalService) -> None:
    service.script(Behaviour("blocked candidate", reason="refusal"))
    assert connect("openai", service.url).complete(ask()).finish == "blocked"


@pytest.mark.parametrize("reason", ["PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE"])
def test_every_filter_of_gemini_blocks(service: LocalService, reason: str) -> None:
    service.script(Behaviour("blocked candidate", reason=reason))
    assert connect("gemini", service.url).complete(ask()).finish == "blocked"


def test_gemini_finishing_for_no_known_reason_is_an_error(service: LocalService) -> None:
    error = failure(connect("gemini", service.url), service, Behaviour("blocked candidate", reason="OTHER"))
    assert error.retryable
    assert "ended with OTHER" in str(error)


def test_a_reply_that_was_cut_off_says_so(client: LLMClient, service: LocalService) -> None:
    service.script(MAX_TOKENS)
    reply = client.complete(ask())
    assert (reply.text, reply.finish) == (MAX_TOKENS.text, "length")


def test_a_reply_that_is_no_json_is_handed_on_as_it_is(client: LLMClient, service: LocalService) -> None:
    service.script(MALFORMED_TEXT)
    assert client.complete(ask(schema=SCHEMA)).text == MALFORMED_TEXT.text


@pytest.mark.parametrize("behaviour", [MALFORMED_BODY, OTHER_BODY, EMPTY_TEXT, CUT], ids=lambda b: b.kind)
def test_a_body_that_is_no_reply_may_be_asked_again_and_may_have_cost(
    client: LLMClient, service: LocalService, behaviour: Behaviour
) -> None:
    error = failure(client, service, behaviour)
    assert (error.retryable, error.fate, error.every_request) == (True, "unknown", False)


def test_a_service_that_hangs_runs_into_the_time_limit(wire: str, service: LocalService) -> None:
    error = failure(connect(wire, service.url, 0.2), service, HANG)
    assert "did not answer within 0.2 seconds" in str(error)
    assert (error.retryable, error.fate) == (True, "unknown")


def test_a_service_that_is_not_there_cannot_have_cost(wire: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(LLMError, match="cannot be reached") as caught:
            connect(wire, url).complete(ask())
    assert (caught.value.retryable, caught.value.fate) == (True, "unsent")


@pytest.mark.parametrize(
    ("number", "retryable", "every_request", "message"),
    [
        (400, False, False, "did not accept the request"),
        (401, False, True, "check the environment variable"),
        (402, False, True, "balance"),
        (403, False, True, "environment variable"),
        (404, False, True, "does not know the model"),
        (408, True, False, "try later"),
        (422, False, False, "did not accept the request"),
        (429, True, False, "lower --concurrency"),
        (500, True, False, "try later"),
        (503, True, False, "try later"),
        (307, False, False, "did not accept the request"),
    ],
)
def test_an_error_status_says_what_to_do_and_whether_to_try_again(
    client: LLMClient, service: LocalService, number: int, retryable: bool, every_request: bool, message: str
) -> None:
    error = failure(client, service, status(number, message="said so"))
    assert (error.retryable, error.every_request) == (retryable, every_request)
    assert message in str(error)
    assert error.fate == ("unknown" if number == 408 else "refused")
    assert service.n_requests == 1  # the SDKs' own retries are off


def test_the_variable_of_the_key_is_named(client: LLMClient, service: LocalService, wire: str) -> None:
    names = {"gemini": "GOOGLE_API_KEY or GEMINI_API_KEY", "openai": "OPENAI_API_KEY"}
    assert names[wire] in str(failure(client, service, status(401)))


def test_gemini_calls_a_wrong_key_a_bad_request(service: LocalService) -> None:
    wrong = status(400, message="API key not valid.", code="API_KEY_INVALID")
    error = failure(connect("gemini", service.url), service, wrong)
    assert error.every_request
    assert "GEMINI_API_KEY" in str(error)


def test_an_empty_purse_at_openai_is_not_asked_again(service: LocalService) -> None:
    error = failure(connect("openai", service.url), service, status(429, code="insufficient_quota"))
    assert (error.retryable, error.every_request) == (False, True)


def test_the_wait_that_the_service_asks_for_is_read(client: LLMClient, service: LocalService) -> None:
    assert failure(client, service, status(429, retry_after="3")).retry_after_seconds == 3.0
    dated = failure(client, service, status(503, retry_after="Fri, 01 Jan 2100 00:00:00 GMT"))
    assert dated.retry_after_seconds is not None
    assert dated.retry_after_seconds > 1e9
    assert failure(client, service, status(429, retry_after="soon")).retry_after_seconds is None


def test_gemini_asks_for_a_wait_in_the_body(service: LocalService) -> None:
    error = failure(connect("gemini", service.url), service, status(429, retry_delay="17.5s"))
    assert error.retry_after_seconds == 17.5


def test_our_retries_are_the_only_ones(client: LLMClient, service: LocalService) -> None:
    service.script(status(429, retry_after="0"), status(500), CUT, OK)
    patient = RetryingClient(client, RetryPolicy(max_tries=4, first_wait_seconds=0.0))
    assert patient.complete(ask()).finish == "stop"
    assert service.n_requests == 4
    service.script(*[status(503)] * 3)
    with pytest.raises(LLMError, match="given up after 3 tries"):
        RetryingClient(client, RetryPolicy(max_tries=3, first_wait_seconds=0.0)).complete(ask())
    assert service.n_requests == 4 + 3


def test_what_cannot_be_encoded_is_one_error_without_the_text(service: LocalService) -> None:
    with pytest.raises(LLMError, match="failed with UnicodeEncodeError") as caught:  # Google's SDK escapes it
        connect("openai", service.url).complete(ask("笨蛋\ud800"))
    assert not caught.value.retryable
    assert "笨" not in str(caught.value)
