"""What a run would take before anything is asked: an estimate, never a promise."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from toxitrace.llm.prices import Price
from toxitrace.llm.protocol import LLMRequest

_OTHER_CHARS_PER_TOKEN = 4
_FRAME_TOKENS = 16  # roles and separators that the service adds


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests, tokens and money of a run.

    Attributes:
        prompt_tokens: by the rule of `estimate_tokens`.
        typical_output_tokens: if every reply is as long as the caller expects.
        max_output_tokens: if every reply is as long as it may be.
        typical_usd, max_usd: the same in money; None where the price is not known.
    """

    n_requests: int
    prompt_tokens: int
    typical_output_tokens: int
    max_output_tokens: int
    typical_usd: float | None
    max_usd: float | None


def estimate(requests: Iterable[LLMRequest], price: Price | None, *, typical_output_tokens: int = 256) -> Estimate:
    """Add up a run, each request asked once; what the cache holds is the caller's to leave out.

    Args:
        typical_output_tokens: of one reply, thinking included: a model that thinks needs some hundreds more.
    """
    n_requests = prompt_tokens = typical = longest = 0
    for request in requests:
        n_requests += 1
        prompt_tokens += prompt_tokens_of(request)
        typical += min(typical_output_tokens, request.max_output_tokens)
        longest += request.max_output_tokens
    return Estimate(
        n_requests,
        prompt_tokens,
        typical,
        longest,
        price.cost_usd(prompt_tokens, typical) if price else None,
        price.cost_usd(prompt_tokens, longest) if price else None,
    )


def prompt_tokens_of(request: LLMRequest) -> int:
    """Tokens of a question, estimated: system text, data and schema."""
    return sum(map(estimate_tokens, _parts(request))) + _FRAME_TOKENS


def prompt_tokens_bound(request: LLMRequest) -> int:
    """Tokens that a question cannot exceed: byte-level tokenizers make at most one of each UTF-8 byte."""
    return sum(len(part.encode("utf-8", "surrogatepass")) for part in _parts(request)) + _FRAME_TOKENS


def estimate_tokens(text: str) -> int:
    """One token for each character outside ASCII, one for every four ASCII characters, rounded up.

    The rule errs on the high side: tokenizers of today's models pack 1.2 to 1.8 Chinese characters into a token
    (rule of thumb, not measured here).

    >>> estimate_tokens("你真是个笨蛋"), estimate_tokens("abcdefgh")
    (6, 2)
    """
    n_ascii = sum(char.isascii() for char in text)
    return len(text) - n_ascii + -(-n_ascii // _OTHER_CHARS_PER_TOKEN)


def _parts(request: LLMRequest) -> tuple[str, str, str]:
    schema = json.dumps(request.schema, ensure_ascii=False) if request.schema is not None else ""
    return request.system, request.content, schema
