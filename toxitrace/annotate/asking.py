"""Which language model to ask, and within what limits: the settings, and the session made from them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toxitrace.annotate.second_try import SecondTry
from toxitrace.errors import ConfigError
from toxitrace.llm.protocol import LLMRequest

if TYPE_CHECKING:
    from toxitrace.llm.batch import Outcome
    from toxitrace.llm.budget import Budget, Spending
    from toxitrace.llm.cache import CachedClient
    from toxitrace.llm.prices import Price

RECORDED = "recorded:"
_KINDS = ("gemini", "openai", "recorded", "replay")


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
    """Stop before this many US dollars are spent, those of earlier sittings of the same output included."""
    max_requests: int | None = None
    """Stop before more requests than this are sent, those of earlier sittings of the same output included."""
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
        if self.thinking_tokens is not None and self.thinking_tokens < 0:
            raise ConfigError(f"--thinking-tokens is {self.thinking_tokens}; expected 0 or more: correct it")
        if self.llm is not None:
            kind, _, name = self.llm.partition(":")
            if kind not in _KINDS or not name.strip():
                raise ConfigError(
                    f"--llm is {self.llm!r}; expected gemini:MODEL, openai:MODEL, recorded:FILE or replay:FILE"
                )

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
    """A language model ready to be asked, with cache, retries, budget and a second try for unusable answers.

    ``before`` is what `to_dict` said at the end of the sitting before.
    """

    options: LLMOptions
    client: SecondTry
    cached: CachedClient | None
    budget: Budget
    stop: threading.Event
    before: Mapping[str, Any]

    def answers(self, requests: Iterable[tuple[str, LLMRequest]]) -> Iterator[tuple[str, Outcome]]:
        """Outcomes as they come, a few requests at a time."""
        from toxitrace.llm.batch import ask_all

        asked = ((id, self.options.adapted(request)) for id, request in requests)
        return ask_all(self.client, asked, concurrency=self.options.concurrency, stop=self.stop)

    def to_dict(self) -> dict[str, Any]:
        """What was spent in all sittings, for the record."""
        spent = self.budget.spent
        return {
            "requests": spent.requests,
            "from_cache": _amount(self.before, "from_cache") + (self.cached.n_hits if self.cached else 0),
            "second_tries": _amount(self.before, "second_tries") + self.client.n_second_tries,
            "prompt_tokens": spent.prompt_tokens,
            "output_tokens": spent.output_tokens,
            "cost_usd": round(spent.cost_usd, 6) if self.options.price() else None,
        }


@contextmanager
def session(
    options: LLMOptions, output: Path, check: Callable[[str, str], object], before: Mapping[str, Any]
) -> Iterator[Session]:
    """Open the language model; Ctrl-C then stops it cleanly, a second one at once.

    Args:
        output: file of the run, beside which the cache lies.
        check: of a reply and its text; what it refuses is asked once more.
        before: what earlier sittings spent, as `Session.to_dict` says it; it counts. Empty for a new run.

    Raises:
        ConfigError: no language model is named, or its options are unusable.
        MissingExtraError: the service's SDK is not installed.
    """
    if not options.llm:
        raise ConfigError("no language model is named; expected --llm gemini:MODEL, openai:MODEL or recorded:FILE")
    from toxitrace.llm import Budget, CachedClient, open_client, stop_on_interrupt

    cache = options.cache_file(output)
    if not cache.absolute().parent.is_dir():
        raise ConfigError(f"--cache {cache} is in a folder that does not exist: make it first, or name another file")
    budget = Budget(
        options.price(),
        max_cost_usd=options.max_cost,
        max_requests=options.max_requests,
        spent=_spending(before, options.price()),
    )
    with stop_on_interrupt() as stop:
        client = open_client(
            options.llm,
            options.llm_url,
            cache=cache,
            budget=budget,
            stop=stop,
            timeout_seconds=options.timeout_seconds,
        )
        cached = client if isinstance(client, CachedClient) else None  # a replay is not cached
        try:
            yield Session(options, SecondTry(client, check), cached, budget, stop, before)
        finally:
            if cached:
                cached.close()


def _spending(before: Mapping[str, Any], price: Price | None) -> Spending:
    """What earlier sittings spent; at today's price where theirs was not known."""
    from toxitrace.llm import Spending

    requests, prompt_tokens, output_tokens = (
        int(_amount(before, name)) for name in ("requests", "prompt_tokens", "output_tokens")
    )
    cost_usd = _amount(before, "cost_usd")
    if before.get("cost_usd") is None and price is not None:
        cost_usd = price.cost_usd(prompt_tokens, output_tokens)
    return Spending(requests, prompt_tokens, output_tokens, cost_usd)


def _amount(before: Mapping[str, Any], name: str) -> Any:
    """A number of the record; 0 where it has none."""
    value = before.get(name)
    return value if isinstance(value, (int, float)) else 0
