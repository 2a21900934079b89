"""A language-model service on 127.0.0.1 that speaks the wire formats of Gemini and of OpenAI's chat completions.

    with LocalService(answer=lambda asked: '{"spans": []}') as service:
        service.script(status(429, retry_after="0"), OK, BLOCKED_PROMPT)  # the next three requests, in order of arrival
        client = GeminiClient("gemini-2.5-flash", "some-key", base_url=service.url)
        ...
        assert service.n_requests == 3

Requests beyond the script are answered `OK`, with what ``answer`` returns. `OpenAIChatClient` and ``--llm-url`` of
``openai:`` take ``service.openai_url``, ``gemini:`` takes ``service.url``. Nothing here knows the code under test.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Kind = Literal[
    "ok", "status", "hang", "blocked prompt", "blocked candidate", "max_tokens", "malformed body", "other body", "cut"
]


@dataclass(frozen=True)
class Behaviour:
    """What the service does with one request; ``text`` replaces the answer, None: what ``answer`` returns."""

    kind: Kind = "ok"
    text: str | None = None
    status: int = 200
    message: str = "no"
    code: str = ""
    retry_after: str | None = None
    retry_delay: str | None = None
    location: str | None = None
    reason: str = "SAFETY"
    usage: bool = True


OK = Behaviour()
HANG = Behaviour("hang")
CUT = Behaviour("cut")
BLOCKED_PROMPT = Behaviour("blocked prompt")
BLOCKED_CANDIDATE = Behaviour("blocked candidate")
MAX_TOKENS = Behaviour("max_tokens", text='{"spans": ["你真')
MALFORMED_BODY = Behaviour("malformed body")
OTHER_BODY = Behaviour("other body")
MALFORMED_TEXT = Behaviour(text='{"spans": ')
EMPTY_TEXT = Behaviour(text="")


def status(number: int, **fields: Any) -> Behaviour:
    """An HTTP error status, with the fields of `Behaviour` that matter there."""
    return replace(Behaviour("status", status=number), **fields)


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; header names in lower case, ``body`` decoded but not interpreted."""

    wire: Literal["gemini", "openai"]
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    model: str
    system: str
    content: str


def echo(asked: Asked) -> str:
    """The answer of a service that was given none: JSON that holds the question."""
    return json.dumps({"echo": asked.content}, ensure_ascii=False)


class LocalService:
    """A threaded server on a free port; ``delay_seconds`` of work for each request."""

    prompt_tokens, output_tokens, thinking_tokens = 11, 7, 5

    def __init__(self, answer: Callable[[Asked], str] = echo, *, delay_seconds: float = 0.0) -> None:
        self.answer = answer
        self.delay_seconds = delay_seconds
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._at_once = 0
        self._script: deque[Behaviour] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.service = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> LocalService:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def n_requests(self) -> int:
        return len(self.asked)

    @property
    def times_asked(self) -> Counter[str]:
        """How often each content arrived."""
        with self._lock:
            return Counter(asked.content for asked in self.asked)

    def script(self, *behaviours: Behaviour) -> None:
        """Append what happens to the next requests, whoever sends them."""
        with self._lock:
            self._script.extend(behaviours)

    def begin(self, asked: Asked) -> Behaviour:
        with self._lock:
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            behaviour = self._script.popleft() if self._script else OK
        self._closing.wait(3600 if behaviour.kind == "hang" else self.delay_seconds)
        return behaviour

    def end(self) -> None:
        with self._lock:
            self._at_once -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    service: LocalService

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that leave early are part of the tests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = self._read(json.loads(raw))
        if asked is None:
            self._send(404, {"error": {"code": 404, "message": f"no such path {self.path}", "status": "NOT_FOUND"}})
            return
        behaviour = self.server.service.begin(asked)
        try:
            self._behave(asked, behaviour)
        finally:
            self.server.service.end()

    def _read(self, body: dict[str, Any]) -> Asked | None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path == "/v1/chat/completions":
            said = {message["role"]: message["content"] for message in body["messages"]}
            return Asked("openai", self.path, headers, body, body["model"], said.get("system", ""), said["user"])
        path, _, method = self.path.rpartition(":")
        if not path.startswith("/v1beta/models/") or method != "generateContent":
            return None
        system = _gemini_text([body["systemInstruction"]]) if "systemInstruction" in body else ""
        model = path.removeprefix("/v1beta/models/")
        return Asked("gemini", self.path, headers, body, model, system, _gemini_text(body["contents"]))

    def _behave(self, asked: Asked, behaviour: Behaviour) -> None:
        service = self.server.service
        if behaviour.kind == "cut":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"can')
            self.close_connection = True
        elif behaviour.kind == "hang":
            self.close_connection = True
        elif behaviour.kind == "malformed body":
            self._send(200, None, raw=b'{"candidates": [{"con')
        elif behaviour.kind == "other body":
            self._send(200, {"candidates": "none", "choices": "none"})
        elif behaviour.kind == "status":
            wanted = {"Retry-After": behaviour.retry_after, "Location": behaviour.location}
            headers = {name: value for name, value in wanted.items() if value is not None}
            body = _gemini_error(behaviour) if asked.wire == "gemini" else _openai_error(behaviour)
            self._send(behaviour.status, body, headers)
        elif asked.wire == "gemini":
            self._send(200, _gemini_reply(service, asked, behaviour))
        elif behaviour.kind == "blocked prompt":
            blocked = status(400, code="content_filter", message="The prompt triggered the content policy.")
            self._send(400, _openai_error(blocked))
        else:
            self._send(200, _openai_reply(service, asked, behaviour))

    def _send(self, number: int, body: Any, headers: dict[str, str] | None = None, raw: bytes | None = None) -> None:
        content = json.dumps(body, ensure_ascii=False).encode() if raw is None else raw
        self.send_response(number)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _gemini_text(contents: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for content in contents for part in content["parts"])


def _gemini_reply(service: LocalService, asked: Asked, behaviour: Behaviour) -> dict[str, Any]:
    usage = {"promptTokenCount": service.prompt_tokens, "totalTokenCount": service.prompt_tokens}
    reply: dict[str, Any] = {"modelVersion": asked.model, "responseId": "r-1"}
    if behaviour.kind == "blocked prompt":
        reply["promptFeedback"] = {"blockReason": behaviour.reason, "safetyRatings": []}
    elif behaviour.kind == "blocked candidate":
        reply["candidates"] = [{"finishReason": behaviour.reason, "index": 0, "safetyRatings": []}]
    else:
        text = service.answer(asked) if behaviour.text is None else behaviour.text
        usage |= {"candidatesTokenCount": service.output_tokens, "thoughtsTokenCount": service.thinking_tokens}
        reason = "MAX_TOKENS" if behaviour.kind == "max_tokens" else "STOP"
        parts = [{"text": "let me see", "thought": True}, *([{"text": text}] if text else [])]
        reply["candidates"] = [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}]
    if behaviour.usage:
        reply["usageMetadata"] = usage
    return reply


def _openai_reply(service: LocalService, asked: Asked, behaviour: Behaviour) -> dict[str, Any]:
    text = service.answer(asked) if behaviour.text is None else behaviour.text
    message: dict[str, Any] = {"role": "assistant", "content": text}
    reason = "length" if behaviour.kind == "max_tokens" else "stop"
    if behaviour.kind == "blocked candidate" and behaviour.reason == "refusal":
        message |= {"content": None, "refusal": "I cannot help with that."}
    elif behaviour.kind == "blocked candidate":
        message["content"], reason = "", "content_filter"
    completion_tokens = service.output_tokens + service.thinking_tokens
    reply: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
    }
    if behaviour.usage:
        reply["usage"] = {
            "prompt_tokens": service.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": service.prompt_tokens + completion_tokens,
        }
    return reply


def _gemini_error(behaviour: Behaviour) -> dict[str, Any]:
    names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
    names |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
    error: dict[str, Any] = {"code": behaviour.status, "message": behaviour.message}
    error["status"] = names.get(behaviour.status, "UNKNOWN")
    google = "type.googleapis.com/google.rpc."
    details: list[dict[str, Any]] = []
    if behaviour.retry_delay is not None:
        details.append({"@type": google + "RetryInfo", "retryDelay": behaviour.retry_delay})
    if behaviour.code:
        details.append({"@type": google + "ErrorInfo", "reason": behaviour.code, "domain": "googleapis.com"})
    return {"error": error | ({"details": details} if details else {})}


def _openai_error(behaviour: Behaviour) -> dict[str, Any]:
    error = {"message": behaviour.message, "type": "error", "param": None, "code": behaviour.code or None}
    return {"error": error}
