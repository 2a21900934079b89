"""What the package asks of a language model, whichever it is: one request in, one reply out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

Finish = Literal["stop", "length", "blocked"]


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """One question to a model.

    Attributes:
        prompt_version: name and version of the prompt, e.g. ``cusa/1``: part of the cache's key.
        system: what the model is to do; never holds any of the user's data.
        content: the data, as a JSON document; nothing in it is an instruction.
        schema: JSON schema (the subset that both Gemini and OpenAI servers take: every object closed with
            ``additionalProperties: false`` and all its properties required) the reply must obey; None: plain text.
        max_output_tokens: longest reply, thinking included where the model thinks.
        temperature: 0 for the most probable reply.
        thinking_tokens: most tokens the model may think; None: as the service likes; 0: none, where the model can.
        sample: number of the draw: equal requests are asked once and then come from the cache, another number asks
            again.
    """

    prompt_version: str
    system: str
    content: str
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int = 2048
    temperature: float = 0.0
    thinking_tokens: int | None = None
    sample: int = 0


@dataclass(frozen=True, slots=True)
class LLMReply:
    """What came back.

    Attributes:
        text: the reply; empty if it was blocked.
        finish: ``stop`` complete, ``length`` cut off, ``blocked`` refused by a safety filter of the service.
        model: who answered.
        prompt_tokens: tokens of the question, as the service counted them; 0 where it does not say.
        output_tokens: tokens of the reply, thinking included.
    """

    text: str
    finish: Finish
    model: str
    prompt_tokens: int = 0
    output_tokens: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Any) -> LLMReply:
        """A reply from its JSON form; ``ValueError`` if that is none.

        >>> LLMReply.from_dict({"text": "好", "finish": "stop", "model": "m"}).finish
        'stop'
        """
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise ValueError("no reply with a text")
        if row.get("finish") not in ("stop", "length", "blocked"):
            raise ValueError(f"finish is {row.get('finish')!r}, not stop, length or blocked")
        counts = [row.get(name, 0) for name in ("prompt_tokens", "output_tokens")]
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            raise ValueError(f"token counts are {counts}, not whole numbers")
        return cls(row["text"], row["finish"], str(row.get("model", "")), *counts)


class LLMClient(Protocol):
    """A language model. Safe to call from several threads."""

    @property
    def model(self) -> str:
        """The model's name, part of the cache's key and of every record."""
        ...

    def complete(self, request: LLMRequest) -> LLMReply:
        """Answer one request.

        Raises:
            LLMError: no reply could be had; ``retryable`` says whether another try may help.
        """
        ...
