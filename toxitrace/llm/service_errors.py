"""What a service's failures become: one `LLMError` that says what to do and gives nothing away."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from toxitrace.errors import LLMError
from toxitrace.llm.protocol import LLMRequest

_READ_CHARS, _MESSAGE_CHARS = 2000, 200
_KEY_LIKE = re.compile(r"\b(?:sk-|AIza|AQ\.|Bearer\s+)[\w*.-]{4,}")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
# How long a stretch of the request's data may be before a message that repeats it is withheld. Two characters of
# Chinese are a word; twelve of ASCII are more than the field names that any error about JSON mentions.
_ECHO_CHARS, _ASCII_ECHO_CHARS = 2, 12
_RETRYABLE = {408, 429}
_GATEWAY = {408, 502, 504}  # someone on the way lost patience: the service itself may have gone on, and billed it


@dataclass(frozen=True, slots=True)
class Service:
    """Who is asked, for messages.

    Attributes:
        name: ``Gemini``, or the address of an OpenAI-compatible server.
        model: the model's name.
        key_variables: the environment variables that may hold the key, in words.
        key: the key itself, to be cut out of messages; None: the server asks for none.
    """

    name: str
    model: str
    key_variables: str
    key: str | None

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {self.model!r})"  # without the key


def harmless(said: str | None, key: str | None, request: LLMRequest) -> str:
    """A service's own words on one line, without the key; withheld if they repeat the request's data.

    >>> harmless("bad key secret-123", "secret-123", LLMRequest("p/1", "", "{}"))
    'bad key [key]'
    >>> harmless("cannot read 闭上你的臭嘴", None, LLMRequest("p/1", "", "闭上你的臭嘴"))
    'its message repeats the text and is withheld'
    """
    words = " ".join((said or "").split())
    if key:
        words = words.replace(key, "[key]") if len(key) >= 8 else ("" if key in words else words)
    words = _KEY_LIKE.sub("[key]", words)[:_READ_CHARS]
    if _echoes(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), words), request.content):
        return "its message repeats the text and is withheld"
    return words if len(words) <= _MESSAGE_CHARS else words[: _MESSAGE_CHARS - 1] + "…"


def refusal(
    service: Service, status: int, said: str, *, code: str = "", retry_after_seconds: float | None = None
) -> LLMError:
    """The error for an HTTP error status.

    Args:
        said: the service's words, made `harmless`.
        code: the service's own code of the error, e.g. ``API_KEY_INVALID``.
    """
    shown = f"{status}: {said}" if said else str(status)
    if status == 401 or code in ("API_KEY_INVALID", "invalid_api_key"):
        return _refused(
            f"{service.name} refused the key ({status}); expected a valid one: check the environment variable "
            f"{service.key_variables}",
            every_request=True,
        )
    if status == 403:
        return _refused(
            f"{service.name} refused access to the model {service.model!r} ({shown}): check that the key in the "
            f"environment variable {service.key_variables} may use it",
            every_request=True,
        )
    if status == 404:
        return _refused(
            f"{service.name} does not know the model {service.model!r} or the address ({shown}): check the name in "
            "--llm, and that --llm-url is the address that its documentation gives (often ending in /v1)",
            every_request=True,
        )
    if status == 402 or code == "insufficient_quota":
        return _refused(f"{service.name} wants to be paid ({shown}): check the account's balance", every_request=True)
    if status in _RETRYABLE or status >= 500:
        hint = "lower --concurrency, or try later" if status == 429 else "try later"
        return LLMError(
            f"{service.name} could not answer now ({shown}): {hint}",
            retryable=True,
            retry_after_seconds=retry_after_seconds,
            fate="unknown" if status in _GATEWAY else "refused",
        )
    return _refused(f"{service.name} did not accept the request ({shown}): check that model and server can do it")


def lost(service: Service, error: Exception, timeout_seconds: float) -> LLMError:
    """The error for a connection that failed (an ``httpx2.TransportError``): no answer came."""
    import httpx2

    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)):
        return LLMError(
            f"{service.name} cannot be reached ({type(error).__name__}): check the network, the proxy and --llm-url",
            retryable=True,
            fate="unsent",
        )
    if isinstance(error, httpx2.TimeoutException):
        return LLMError(
            f"{service.name} did not answer within {timeout_seconds:g} seconds: try later, or allow it more time",
            retryable=True,
        )
    if isinstance(error, httpx2.UnsupportedProtocol):
        return LLMError(f"{service.name} has no http address: check --llm-url", fate="unsent", every_request=True)
    return LLMError(
        f"{service.name} ended the connection before its answer was complete ({type(error).__name__}): try later",
        retryable=True,
    )


def unreadable(service: Service, found: str) -> LLMError:
    """The error for an answer that came but is none: it may have been billed, and another try may be luckier."""
    return LLMError(f"{service.name} sent {found}; expected a reply of {service.model!r}: try again", retryable=True)


def unexpected(service: Service, error: Exception) -> LLMError:
    """The error for anything else that an SDK raises; its words may hold the request, so only its type is told."""
    return LLMError(f"the client of {service.name} failed with {type(error).__name__}: check the request's settings")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``Retry-After`` (seconds or a date); None if neither is usable.

    >>> retry_after({"retry-after": "7"}, datetime(2026, 1, 1))
    7.0
    """
    for name, unit_seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) * unit_seconds
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, (date - now).total_seconds()) if date.tzinfo is not None else None


def _refused(message: str, every_request: bool = False) -> LLMError:
    return LLMError(message, fate="refused", every_request=every_request)


def _echoes(words: str, data: str) -> bool:
    for start in range(len(words)):
        phrase = words[start : start + _ECHO_CHARS]
        if not phrase.isascii():
            if len(phrase) == _ECHO_CHARS and phrase in data:
                return True
            continue
        phrase = words[start : start + _ASCII_ECHO_CHARS]
        if len(phrase) == _ASCII_ECHO_CHARS and phrase in data:
            return True
    return False
