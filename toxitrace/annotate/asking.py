"""Which language model to ask, and within what limits: the settings, and the session made from them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toxitrace.annotate.second_try import SecondTry
from toxitrace.errors import ConfigError
from toxitrace.llm.protocol import LLMRequest

if TYPE_CHECKING:
    from toxitrace.llm.batch import Outcome
    from toxitrace.llm.budget import Budget
    from toxitrace.llm.cache import CachedClient
    from toxitrace.llm.prices import Price

RECORDED = "recorded:"


@dataclass(frozen=True)
class LLMOptions:
    """Who answers, and what that may cost."""

    llm: str | None = None
    """gemini:MODEL, openai:MODEL, replay:FILE, or recorded:FILE (annotations joined by id; recorded:builtin:NAME)."""
    llm_url: str | None = None
    """Address of another server, e.g. http://localhost:8000/v1."""
    concurrency: int = 8
    """Requests at the same time."""
    max_cost: float | None = None
    """Stop before this many US dollars are spent."""
    max_requests: int | None = None
    """Stop before more requests than this are sent."""
    price_in: float | None = None
    """US dollars per million tokens of the questions, if not as listed."""
    price_out: float | None = None
    """US dollars per million tokens of the answers, thinking included, if not as listed."""
    thinking_tokens: int | None = None
    """Most tokens the model may think per question; none: as the service likes."""
    timeout_seconds: float = 120.0
    """Longest silence of the service before a request is given up and sent again."""
    cache: str | None = None
    """File that keeps every answer, so that nothing is paid twice; none: llm-cache.sqlite beside the output."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"concurrency is {self.concurrency}; expected 1 or more requests")

    @property
    def recording(self) -> str | None:
        """Name of the recorded annotations that stand for a language model, if they do."""
        return self.llm.removeprefix(RECORDED) if self.llm and self.llm.startswith(RECORDED) else None

    @property
    def model(self) -> str:
        """The model's name without the kind of its service."""
        return (self.llm or "").partition(":")[2]

    def price(self) -> Price | None:
        """What the model costs, if it is known."""
        from toxitrace.llm.prices import find_price

        return find_price(self.model, self.price_in, self.price_out)

    def adapted(self, request: LLMRequest) -> LLMRequest:
        """A request with the settings of this run."""
        return replace(request, thinking_tokens=self.thinking_tokens)

    def cache_file(self, output: Path) -> Path:
        """Where the answers are kept."""
        return Path(self.cache) if self.cache else output.absolute().parent / "llm-cache.sqlite"


@dataclass(frozen=True, slots=True)
class Session:
    """A language model ready to be asked, with cache, retries, budget and a second try for unusable answers."""

    options: LLMOptions
    client: SecondTry
    cached: CachedClient | None
    budget: Budget
    stop: threading.Event

    def answers(self, requests: Iterable[tuple[str, LLMRequest]]) -> Iterator[tuple[str, Outcome]]:
        """Outcomes as they come, a few requests at a time."""
        from toxitrace.llm.batch import ask_all

        asked = ((id, self.options.adapted(request)) for id, request in requests)
        return ask_all(self.client, asked, concurrency=self.options.concurrency, stop=self.stop)

    def to_dict(self) -> dict[str, Any]:
        """What was spent, for the record."""
        spent = self.budget.spent
        return {
            "requests": spent.requests,
            "from_cache": self.cached.n_hits if self.cached else 0,
            "second_tries": self.client.n_second_tries,
            "prompt_tokens": spent.prompt_tokens,
            "output_tokens": spent.output_tokens,
            "cost_usd": round(spent.cost_usd, 6) if self.options.price() else None,
        }


@contextmanager
def session(options: LLMOptions, output: Path, check: Callable[[str, str], object]) -> Iterator[Session]:
    """Open the language model; Ctrl-C then stops it cleanly, a second one at once.

    Args:
        output: file of the run, beside which the cache lies.
        check: of a reply and its text; what it refuses is asked once more.

    Raises:
        ConfigError: no language model is named, or its options are unusable.
        MissingExtraError: the service's SDK is not installed.
    """
    if not options.llm:
        raise ConfigError("no language model is named; expected --llm gemini:MODEL, openai:MODEL or recorded:FILE")
    from toxitrace.llm import Budget, CachedClient, open_client, stop_on_interrupt

    budget = Budget(options.price(), max_cost_usd=options.max_cost, max_requests=options.max_requests)
    with stop_on_interrupt() as stop:
        client = open_client(
            options.llm,
            options.llm_url,
            cache=options.cache_file(output),
            budget=budget,
            stop=stop,
            timeout_seconds=options.timeout_seconds,
        )
        cached = client if isinstance(client, CachedClient) else None  # a replay is not cached
        try:
            yield Session(options, SecondTry(client, check), cached, budget, stop)
        finally:
            if cached:
                cached.close()
