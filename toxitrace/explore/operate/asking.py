"""Which requests reached the language model's service, and a word as soon as one did not."""

from __future__ import annotations

from collections.abc import Callable

from toxitrace.errors import LLMError
from toxitrace.llm.budget import Budget
from toxitrace.llm.protocol import LLMClient, LLMReply, LLMRequest


class SentRequests:
    """A client that remembers which requests were sent, whatever became of them.

    Args:
        inner: asked for every reply.
    """

    def __init__(self, inner: LLMClient) -> None:
        self._inner = inner
        self._contents: set[str] = set()

    @property
    def model(self) -> str:
        return self._inner.model

    def complete(self, request: LLMRequest) -> LLMReply:
        """See `LLMClient`."""
        try:
            reply = self._inner.complete(request)
        except LLMError as error:
            if error.fate != "unsent":
                self._contents.add(request.content)
            raise
        self._contents.add(request.content)
        return reply

    def has(self, request: LLMRequest) -> bool:
        """Whether a request with this content was sent."""
        return request.content in self._contents


def tell_first_unsent(budget: Budget, tell: Callable[[], object]) -> None:
    """Have ``tell`` called once, when the first try does not reach the service: the retries may last minutes.

    The budget is the one place inside the retries that is told of every try: one that was not sent adds no request.
    """
    n_before, told = budget.spent.requests, False

    def settled() -> None:
        nonlocal n_before, told
        n_requests = budget.spent.requests
        if n_requests == n_before and not told:
            told = True
            tell()
        n_before = n_requests

    budget.watch(settled)
