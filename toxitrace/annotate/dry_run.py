"""What a run would ask and cost, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from toxitrace.annotate.asking import LLMOptions
from toxitrace.annotate.clues import Clued
from toxitrace.annotate.prompts import rationale_request, span_request
from toxitrace.annotate.rationale_rows import SIDES
from toxitrace.annotate.rows import is_blank
from toxitrace.data.records import Example
from toxitrace.errors import LLMError
from toxitrace.llm.protocol import LLMReply, LLMRequest

if TYPE_CHECKING:
    from toxitrace.llm.estimate import Estimate

# guesses, not measured: a short answer, and what a thinking model thinks about a text of this kind
_TYPICAL_ANSWER_TOKENS, _TYPICAL_THINKING_TOKENS = 100, 600


def span_requests(clued: Iterable[Clued]) -> Iterator[LLMRequest]:
    """The first question about every text."""
    return (span_request(example.text, example.label, clues) for example, clues in clued if not is_blank(example.text))


def rationale_requests(examples: Iterable[Example]) -> Iterator[LLMRequest]:
    """The first two questions about every text."""
    readable = (example for example in examples if not is_blank(example.text))
    return (rationale_request(example.text, side) for example in readable for side in SIDES)


def estimate_run(requests: Iterable[LLMRequest], options: LLMOptions, output: Path) -> Estimate:
    """Requests, tokens and money, without what the cache holds; second tries are not counted.

    Needs neither key nor network.
    """
    from toxitrace.llm import estimate

    thinking = _TYPICAL_THINKING_TOKENS if options.thinking_tokens is None else options.thinking_tokens
    typical = _TYPICAL_ANSWER_TOKENS + thinking
    return estimate(_unanswered(requests, options, output), options.price(), typical_output_tokens=typical)


def _unanswered(requests: Iterable[LLMRequest], options: LLMOptions, output: Path) -> Iterator[LLMRequest]:
    from toxitrace.llm import CachedClient

    path = options.cache_file(output)
    cached = CachedClient(_Nobody(options.model), path, options.llm_url) if path.exists() else None
    for request in requests:
        request = options.adapted(request)
        if cached is None or request not in cached:
            yield request


class _Nobody:
    """Stands for the model whose cache is looked into."""

    def __init__(self, model: str) -> None:
        self.model = model

    def complete(self, request: LLMRequest) -> LLMReply:
        raise LLMError("a dry run asks nothing", fate="unsent")
