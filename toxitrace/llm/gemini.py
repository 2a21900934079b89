"""Gemini through Google's own SDK, ``google-genai``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from toxitrace.errors import LLMError, MissingExtraError
from toxitrace.llm.protocol import Finish, LLMReply, LLMRequest
from toxitrace.llm.service_errors import Service, harmless, lost, refusal, retry_after, unexpected, unreadable

if TYPE_CHECKING:
    from google.genai.errors import APIError
    from google.genai.types import GenerateContentConfig, GenerateContentResponse

ADDRESS = "https://generativelanguage.googleapis.com"
KEY_VARIABLES = "GOOGLE_API_KEY or GEMINI_API_KEY"

# Every category that the Gemini API lets its callers set; the SDK knows more, for images, Vertex AI and bygone filters.
_HARM_CATEGORIES = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_FINISHES: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "blocked",
    "RECITATION": "blocked",
    "LANGUAGE": "blocked",
    "BLOCKLIST": "blocked",
    "PROHIBITED_CONTENT": "blocked",
    "SPII": "blocked",
    "ESCALATION": "blocked",
    "MODEL_ARMOR": "blocked",
}


class GeminiClient:
    """Asks a Gemini model; one HTTP request per call, so that retries and costs are counted outside.

    Args:
        model: e.g. ``gemini-2.5-pro``.
        api_key: sent in a header to ``base_url`` and nowhere else.
        base_url: without the API version; a proxy, or a test's own server.
        timeout_seconds: longest silence of the service.

    Raises:
        MissingExtraError: ``google-genai`` is not installed.
    """

    def __init__(self, model: str, api_key: str, *, base_url: str = ADDRESS, timeout_seconds: float = 120.0) -> None:
        try:
            import httpx2
            from google import genai
            from google.genai.types import HttpOptions, HttpRetryOptions
        except ImportError:
            raise MissingExtraError("google-genai", "llm") from None
        self._service = Service("Gemini", model, KEY_VARIABLES, api_key)
        self._timeout_seconds = timeout_seconds
        # Our own HTTP client: it follows no redirect, for the SDK's would take the key's header along to any host.
        http = httpx2.Client(timeout=timeout_seconds, limits=httpx2.Limits(max_connections=None))
        self._client = genai.Client(
            vertexai=False,
            api_key=api_key,
            http_options=HttpOptions(
                base_url=base_url,
                api_version="v1beta",
                timeout=round(1000 * timeout_seconds),
                retry_options=HttpRetryOptions(attempts=1),
                httpx_client=http,
            ),
        )

    @property
    def model(self) -> str:
        return self._service.model

    def complete(self, request: LLMRequest) -> LLMReply:
        """Ask once; see `LLMClient.complete`."""
        import httpx2
        from google.genai.errors import APIError, UnknownApiResponseError
        from pydantic import ValidationError

        # An error is raised outside the except block: chained to the SDK's, it would carry the key in its headers.
        failure: LLMError
        try:
            answer = self._client.models.generate_content(
                model=self.model, contents=request.content, config=_config(request)
            )
        except RecursionError:
            # JSON that nests too deeply for the SDK is an answer, though no usable one: another try is no better
            return LLMReply("", "stop", self.model)
        except APIError as error:
            failure = self._refusal(error, request)
        except httpx2.TransportError as error:
            failure = lost(self._service, error, self._timeout_seconds)
        except (UnknownApiResponseError, JSONDecodeError, ValidationError):
            failure = unreadable(self._service, "something that is not Gemini's JSON")
        except Exception as error:
            failure = unexpected(self._service, error)
        else:
            return self._reply(answer)
        raise failure

    def _reply(self, answer: GenerateContentResponse) -> LLMReply:
        feedback = answer.prompt_feedback
        candidate = answer.candidates[0] if answer.candidates else None
        finish: Finish
        text = ""
        if feedback is not None and feedback.block_reason is not None:
            finish = "blocked"
        elif candidate is None or candidate.finish_reason is None:
            raise unreadable(self._service, "no candidate")
        else:
            reason = candidate.finish_reason.value
            if reason not in _FINISHES:
                raise unreadable(self._service, f"a candidate that ended with {reason}")
            finish = _FINISHES[reason]
            parts = (candidate.content.parts if candidate.content else None) or []
            text = "".join(part.text for part in parts if part.text and not part.thought)
            if finish == "stop" and not text:
                raise unreadable(self._service, "an empty candidate")
        usage = answer.usage_metadata
        return LLMReply(
            text="" if finish == "blocked" else text,
            finish=finish,
            model=answer.model_version or self.model,
            prompt_tokens=(usage.prompt_token_count or 0) if usage else 0,
            output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else 0,
        )

    def _refusal(self, error: APIError, request: LLMRequest) -> LLMError:
        details = _details(error.details)
        headers = getattr(error.response, "headers", None) or {}
        wait_seconds = retry_after(headers, datetime.now(UTC))
        for detail in details:
            delay = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", "")))
            if delay:  # google.rpc.RetryInfo
                wait_seconds = float(delay[1])
        return refusal(
            self._service,
            error.code,
            harmless(error.message or error.status, self._service.key, request),
            code=next((str(detail["reason"]) for detail in details if "reason" in detail), ""),
            retry_after_seconds=wait_seconds,
        )


def _config(request: LLMRequest) -> GenerateContentConfig:
    from google.genai.types import (
        AutomaticFunctionCallingConfig,
        GenerateContentConfig,
        HarmBlockThreshold,
        HarmCategory,
        SafetySetting,
        ThinkingConfig,
    )

    return GenerateContentConfig(
        system_instruction=request.system or None,
        temperature=request.temperature,
        max_output_tokens=request.max_output_tokens,
        response_mime_type="application/json" if request.schema is not None else None,
        response_json_schema=dict(request.schema) if request.schema is not None else None,
        thinking_config=(
            ThinkingConfig(thinking_budget=request.thinking_tokens) if request.thinking_tokens is not None else None
        ),
        safety_settings=[
            SafetySetting(category=HarmCategory(f"HARM_CATEGORY_{name}"), threshold=HarmBlockThreshold.OFF)
            for name in _HARM_CATEGORIES
        ],
        # One call is one HTTP request: the SDK would otherwise go on by itself and spend what nobody has counted.
        automatic_continuation=False,
        automatic_function_calling=AutomaticFunctionCallingConfig(disable=True),
    )


def _details(body: Any) -> list[dict[str, Any]]:
    """The ``google.rpc`` details of an error's body, whatever its shape."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    details = error.get("details") if isinstance(error, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
