"""OpenAI, and the servers that speak its chat completions: vLLM, SGLang, llama.cpp, Ollama and the like."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from toxitrace.errors import LLMError, MissingExtraError
from toxitrace.llm.protocol import Finish, LLMReply, LLMRequest
from toxitrace.llm.service_errors import Service, harmless, lost, refusal, retry_after, unexpected, unreadable

if TYPE_CHECKING:
    from openai import APIStatusError

ADDRESS = "https://api.openai.com/v1"
KEY_VARIABLES = "OPENAI_API_KEY"

_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "content_filter": "blocked"}
# What hosted services (Azure, OpenAI, DashScope) call a prompt that their filter refused; they answer with 400.
_BLOCKED_CODES = {"content_filter", "content_policy_violation", "data_inspection_failed"}


class OpenAIChatClient:
    """Asks a model behind an OpenAI-compatible server; one HTTP request per call.

    Args:
        model: the name that the server serves it under, e.g. ``Qwen/Qwen3-8B``.
        api_key: None for a server that asks for none.
        base_url: with the API version, e.g. ``http://localhost:8000/v1``; None: OpenAI itself.
        timeout_seconds: longest silence of the server.

    Raises:
        MissingExtraError: ``openai`` is not installed.
    """

    def __init__(
        self, model: str, api_key: str | None, *, base_url: str | None = None, timeout_seconds: float = 120.0
    ) -> None:
        try:
            import httpx2
            import openai
        except ImportError:
            raise MissingExtraError("openai", "llm") from None
        self._is_openai = base_url is None
        self._service = Service("OpenAI" if base_url is None else base_url, model, KEY_VARIABLES, api_key)
        self._timeout_seconds = timeout_seconds
        # Our own HTTP client: a redirect would repeat the request uncounted, so it follows none.
        http = httpx2.Client(timeout=timeout_seconds, limits=httpx2.Limits(max_connections=None))
        self._client = openai.OpenAI(
            api_key=api_key or "none",  # the SDK insists on one
            base_url=base_url or ADDRESS,
            timeout=timeout_seconds,
            max_retries=0,
            http_client=http,
        )

    @property
    def model(self) -> str:
        return self._service.model

    def complete(self, request: LLMRequest) -> LLMReply:
        """Ask once; see `LLMClient.complete`."""
        import httpx2
        import openai

        options = self._options(request)
        # An error is raised outside the except block: chained to the SDK's, it would carry the key in its headers.
        failure: LLMError
        try:
            answer = self._client.chat.completions.create(**options)
        except openai.APIStatusError as error:
            if error.code in _BLOCKED_CODES:
                return LLMReply("", "blocked", self.model)
            failure = self._refusal(error, request)
        except RecursionError:
            # JSON that nests too deeply for the SDK is an answer, though no usable one: another try is no better
            return LLMReply("", "stop", self.model)
        except openai.APIConnectionError as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            failure = lost(self._service, cause, self._timeout_seconds)
        except httpx2.TransportError as error:
            failure = lost(self._service, error, self._timeout_seconds)
        except (JSONDecodeError, openai.APIResponseValidationError):
            failure = unreadable(self._service, "broken JSON")
        except Exception as error:
            failure = unexpected(self._service, error)
        else:
            return self._reply(answer)
        raise failure

    def _options(self, request: LLMRequest) -> dict[str, Any]:
        options: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": request.content}],
            "temperature": request.temperature,
            # OpenAI's thinking models take the new name alone, many other servers know only the old one.
            ("max_completion_tokens" if self._is_openai else "max_tokens"): request.max_output_tokens,
        }
        if request.system:
            options["messages"].insert(0, {"role": "system", "content": request.system})
        if request.schema is not None:
            name = re.sub(r"[^A-Za-z0-9_-]", "-", request.prompt_version)[:64] or "reply"
            options["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": name, "schema": dict(request.schema), "strict": True},
            }
        if request.thinking_tokens is not None:
            if request.thinking_tokens or self._is_openai:
                raise LLMError(
                    f"thinking_tokens is {request.thinking_tokens}, which {self._service.name} has no setting for; "
                    "expected None, or 0 for a server with --llm-url: change it",
                    fate="unsent",
                    every_request=True,
                )
            # How vLLM, SGLang and llama.cpp pass the switch to the templates of Qwen3 and its kin; others ignore it.
            options["extra_body"] = {"chat_template_kwargs": {"enable_thinking": False}}
        return options

    def _reply(self, answer: Any) -> LLMReply:
        # The SDK checks no types: a body of another shape arrives as a str, or with None where a list should be.
        choices = getattr(answer, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        if choice is None or message is None:
            raise unreadable(self._service, "something that is no chat completion")
        text, reason = message.content or "", choice.finish_reason
        finish = "blocked" if message.refusal else _FINISHES.get(reason)
        if finish is None:
            raise unreadable(self._service, f"a choice that ended with {str(reason)[:40]!r}")
        if not isinstance(text, str) or (finish == "stop" and not text):
            raise unreadable(self._service, "an empty choice")
        usage = answer.usage
        return LLMReply(
            text="" if finish == "blocked" else text,
            finish=finish,
            model=answer.model if isinstance(answer.model, str) and answer.model else self.model,
            prompt_tokens=(usage.prompt_tokens or 0) if usage else 0,
            output_tokens=(usage.completion_tokens or 0) if usage else 0,
        )

    def _refusal(self, error: APIStatusError, request: LLMRequest) -> LLMError:
        body = error.body if isinstance(error.body, dict) else {}
        said = body.get("message") or body.get("detail") or error.response.reason_phrase
        return refusal(
            self._service,
            error.status_code,
            harmless(str(said), self._service.key, request),
            code=error.code or "",
            retry_after_seconds=retry_after(error.response.headers, datetime.now(UTC)),
        )
