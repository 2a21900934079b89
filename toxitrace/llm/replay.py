"""Replies from a file instead of a model, and the client that records such a file.

One JSON object a line: ``{"prompt_version", "content", "reply"}``, where ``reply`` is a string or an object with
``text``, ``finish``, ``model`` and token counts; ``sample`` if it is not 0.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from toxitrace.errors import ConfigError, DataError, LLMError
from toxitrace.llm.protocol import LLMClient, LLMReply, LLMRequest

_Key = tuple[str, int, bytes]


class ReplayClient:
    """Answers each request with the reply that was recorded for its prompt version, data and sample.

    System text, schema and sampling do not matter: what changes the answer has to change the prompt's version.

    Raises:
        DataError: the file cannot be read, or a line of it is no recorded reply.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._replies = _read(self._path)

    @property
    def model(self) -> str:
        return f"replay:{self._path.name}"

    def complete(self, request: LLMRequest) -> LLMReply:
        """The recorded reply; `LLMError` if there is none."""
        reply = self._replies.get(_key(request.prompt_version, request.sample, request.content))
        if reply is None:
            digest = hashlib.sha256(request.content.encode("utf-8", "surrogatepass")).hexdigest()
            raise LLMError(
                f"{self._path} holds no reply for a request of {request.prompt_version!r} (SHA-256 of its content "
                f"{digest[:12]}…, sample {request.sample}); expected every request to be recorded: record this one too",
                fate="unsent",
            )
        return reply


class RecordingClient:
    """Hands on what the inner client answers and appends it to a file, each request once. The file holds the texts.

    Raises:
        DataError: the file exists and is no recording.
        ConfigError: it cannot be written.
    """

    def __init__(self, inner: LLMClient, path: str | os.PathLike[str]) -> None:
        self._inner = inner
        self._path = Path(path)
        self._lock = threading.Lock()
        self._recorded = set(_read(self._path)) if self._path.exists() else set()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.open("ab").close()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written ({error.strerror}): choose another file") from None

    @property
    def model(self) -> str:
        return self._inner.model

    def complete(self, request: LLMRequest) -> LLMReply:
        """Ask the inner client and record its reply; see `LLMClient.complete`."""
        reply = self._inner.complete(request)
        row: dict[str, Any] = {
            "prompt_version": request.prompt_version,
            "content": request.content,
            "reply": reply.to_dict(),
        }
        if request.sample:
            row["sample"] = request.sample
        key = _key(request.prompt_version, request.sample, request.content)
        with self._lock:
            if key not in self._recorded:
                with self._path.open("ab") as stream:
                    stream.write(json.dumps(row).encode("ascii") + b"\n")
                self._recorded.add(key)
        return reply


def _key(prompt_version: str, sample: int, content: str) -> _Key:
    return prompt_version, sample, hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


def _read(path: Path) -> dict[_Key, LLMReply]:
    replies: dict[_Key, LLMReply] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    try:
                        key, reply = _parse(line)
                    except ValueError as error:
                        raise DataError(
                            f'{path}:{number}: {error}; expected {{"prompt_version", "content", "reply"}}: correct it'
                        ) from None
                    if replies.setdefault(key, reply) != reply:
                        raise DataError(
                            f"{path}:{number}: this request was recorded with another reply before; expected one: "
                            "drop a line"
                        )
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); expected recorded replies: check the path") from None
    return replies


def _parse(line: str) -> tuple[_Key, LLMReply]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("no valid JSON") from None
    if not isinstance(row, dict):
        raise ValueError(f"a JSON {type(row).__name__}")
    version, content, sample = row.get("prompt_version"), row.get("content"), row.get("sample", 0)
    if not isinstance(version, str) or not isinstance(content, str) or not isinstance(sample, int):
        raise ValueError("prompt_version, content or sample is missing or of the wrong type")
    reply = row.get("reply")
    if isinstance(reply, str):
        reply = {"text": reply, "finish": "stop", "model": "replay"}
    return _key(version, sample, content), LLMReply.from_dict(reply)
