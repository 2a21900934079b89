"""Clients without a network: answers and failures by script, and a clock that only moves when someone sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable

from toxitrace.errors import LLMError
from toxitrace.llm import LLMReply, LLMRequest

SCHEMA = {
    "type": "object",
    "properties": {"spans": {"type": "array", "items": {"type": "string"}}},
    "required": ["spans"],
    "additionalProperties": False,
}


def ask(content: str = '{"text": "你真是个笨蛋"}', **fields: object) -> LLMRequest:
    return LLMRequest("cusa/1", "Mark the toxic words.", content, **fields)  # type: ignore[arg-type]


def say(text: str = "好", **fields: object) -> LLMReply:
    return LLMReply(**{"text": text, "finish": "stop", "model": "fake", **fields})  # type: ignore[arg-type]


class FakeLLM:
    """Gives each call what the list holds, an error is raised; then what ``answer`` makes of the request."""

    def __init__(self, *script: LLMReply | Exception, answer: Callable[[LLMRequest], LLMReply] | None = None) -> None:
        self.script = list(script)
        self.answer = answer or (lambda request: say(request.content, prompt_tokens=10, output_tokens=5))
        self.asked: list[LLMRequest] = []
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        return "fake"

    def complete(self, request: LLMRequest) -> LLMReply:
        with self._lock:
            self.asked.append(request)
            step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return step if step is not None else self.answer(request)


class FakeClock:
    """Seconds that pass by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def busy(**fields: object) -> LLMError:
    return LLMError("busy", retryable=True, fate="refused", **fields)  # type: ignore[arg-type]
