"""``--llm gemini:MODEL``, ``openai:MODEL`` or ``replay:FILE`` -> a client with cache, retries and budget around it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from toxitrace.errors import ConfigError
from toxitrace.llm.budget import Budget, BudgetedClient
from toxitrace.llm.cache import CachedClient
from toxitrace.llm.gemini import ADDRESS as GEMINI_ADDRESS
from toxitrace.llm.gemini import GeminiClient
from toxitrace.llm.openai_chat import OpenAIChatClient
from toxitrace.llm.protocol import LLMClient
from toxitrace.llm.replay import RecordingClient, ReplayClient
from toxitrace.llm.retry import RetryingClient, RetryPolicy

_FORMS = "gemini:MODEL, openai:MODEL or replay:FILE"


def open_client(
    spec: str,
    url: str | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    record: str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    retry: RetryPolicy | None = None,
    stop: threading.Event | None = None,
    timeout_seconds: float = 120.0,
    environ: Mapping[str, str] = os.environ,
) -> LLMClient:
    """The client that a user named, layered so that a cached reply costs nothing and every HTTP request is counted.

    Args:
        spec: ``gemini:gemini-2.5-pro``, ``openai:qwen3-8b``, ``replay:recorded.jsonl``.
        url: the address of another server, for OpenAI-compatible ones with the version (``http://localhost:8000/v1``).
        cache: file of the replies; None: every request is asked.
        record: file to write a recording for ``replay:`` to.
        stop: ends waits and retries, see `toxitrace.llm.batch.stop_on_interrupt`.
        timeout_seconds: longest silence of the service.
        environ: where the key is: GOOGLE_API_KEY, else GEMINI_API_KEY (the order of Google's SDK); OPENAI_API_KEY,
            which a server with ``url`` may do without.

    Raises:
        ConfigError: the spec, the address or the key is missing or unusable.
        DataError: the file of ``replay:`` is unusable.
        MissingExtraError: the service's SDK is not installed.
    """
    kind, _, name = spec.partition(":")
    if kind not in ("gemini", "openai", "replay") or not name.strip():
        raise ConfigError(f"--llm is {spec!r}; expected {_FORMS}")
    name = name.strip()
    if not timeout_seconds > 0:
        raise ConfigError(f"the time limit of a request is {timeout_seconds} seconds; expected more than 0: raise it")
    client: LLMClient
    if kind == "replay":
        if url is not None:
            raise ConfigError(f"--llm-url goes with a service, but --llm is {spec!r}: leave one of them out")
        client = ReplayClient(name)
    else:
        if url is not None:
            url = checked_url(url)
        if kind == "gemini":
            key = _key(environ, "GOOGLE_API_KEY", "GEMINI_API_KEY")
            if key is None:
                raise ConfigError(
                    f"{spec} needs a key: set the environment variable GEMINI_API_KEY or GOOGLE_API_KEY "
                    "(one is made at https://aistudio.google.com/apikey)"
                )
            client = GeminiClient(name, key, base_url=url or GEMINI_ADDRESS, timeout_seconds=timeout_seconds)
        else:
            key = _key(environ, "OPENAI_API_KEY")
            if key is None and url is None:
                raise ConfigError(
                    f"{spec} needs a key: set the environment variable OPENAI_API_KEY, or name your own server with "
                    "--llm-url http://localhost:8000/v1"
                )
            client = OpenAIChatClient(name, key, base_url=url, timeout_seconds=timeout_seconds)
        if budget is not None:
            client = BudgetedClient(client, budget)
        client = RetryingClient(client, retry, stop=stop)
        if cache is not None:
            client = CachedClient(client, cache, url)
    return client if record is None else RecordingClient(client, record)


def _key(environ: Mapping[str, str], *variables: str) -> str | None:
    """The first of the variables that is set. The value itself is never shown."""
    for variable in variables:
        value = environ.get(variable, "").strip()
        if value:
            if not (value.isascii() and value.isprintable() and " " not in value):
                raise ConfigError(
                    f"the environment variable {variable} holds spaces or characters that no key has; expected the key "
                    "alone: set it again"
                )
            return value
    return None


def checked_url(url: str) -> str:
    """An address that may be shown and kept; raises ConfigError for one that is none, or has a secret in it."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises if it is no number)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        secret = bool(parts.username or parts.password or parts.query)
    except ValueError:
        usable, secret = False, False
    if secret:
        raise ConfigError(
            "--llm-url holds a user, password or query; expected an address alone, the key goes into the environment"
        )
    if not usable:
        raise ConfigError(f"--llm-url is {url!r}; expected an address such as http://localhost:8000/v1")
    return url
