"""``whole``, ``keywords``, ``spans``, ``recorded:FILE``, ``lm:DIR``, ``gemini:MODEL`` ... -> what writes queries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toxitrace.errors import ConfigError
from toxitrace.explore.baselines import RULES
from toxitrace.explore.config import GenerateSettings
from toxitrace.explore.generators import Generator
from toxitrace.explore.llm_generate import LLMGenerator
from toxitrace.explore.records import SeedItem
from toxitrace.explore.replies import ReplyCounts
from toxitrace.explore.tasks.query_files import read_query_lists

if TYPE_CHECKING:
    from toxitrace.llm.budget import Spending

FORMS = (
    "whole, keywords, keywords-joined, spans, recorded:FILE, lm:FOLDER_OR_NAME, gemini:MODEL, openai:MODEL or "
    "replay:FILE"
)
_SERVICES = ("gemini", "openai", "replay")


@dataclass(frozen=True)
class ServiceOptions:
    """How a language model behind a service is asked, and what that may cost."""

    url: str | None = None
    """Address of another server, e.g. http://localhost:8000/v1."""
    concurrency: int = 8
    """Requests at the same time."""
    max_cost: float | None = None
    """Stop before this many US dollars are spent, those of earlier sittings of the same output included."""
    max_requests: int | None = None
    """Stop before more requests than this are sent, those of earlier sittings included."""
    price_in: float | None = None
    """US dollars per million tokens of the questions, if not as listed."""
    price_out: float | None = None
    """US dollars per million tokens of the answers, if not as listed."""
    timeout_seconds: float = 120.0
    """Longest silence of the service before a request is given up and sent again."""
    cache: str | None = None
    """File that keeps every answer; none: llm-cache.sqlite beside the output."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"--concurrency is {self.concurrency}; expected 1 or more requests: raise it")
        if self.cache is not None and not Path(self.cache).absolute().parent.is_dir():
            raise ConfigError(
                f"--cache {self.cache} is in a folder that does not exist: make it first, or name another file"
            )


@dataclass(frozen=True, slots=True)
class Writer:
    """A generator with what a run has to know about it.

    Attributes:
        generator: writes the queries.
        counts: refusals and replies without a query so far; None for rules and recordings.
        failures: why an item has no answer, by id; such items may be asked again.
        spending: what the service has cost so far, earlier sittings included; None: no service is asked.
    """

    generator: Generator
    counts: Callable[[], ReplyCounts | None] = lambda: None
    failures: Mapping[str, str] = field(default_factory=dict)
    spending: Callable[[], Spending | None] = lambda: None


class Recorded:
    """Queries that somebody wrote before, joined by id; items without any have none."""

    def __init__(self, source: str) -> None:
        self._queries = read_query_lists(source)

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        """See `Generator`."""
        return [list(self._queries.get(item.id, ())) for item in items]


def check_spec(spec: str | None) -> str:
    """The kind of a generator; raises ConfigError if it is none."""
    kind, _, name = (spec or "").partition(":")
    if spec in RULES or (kind in ("lm", "recorded", *_SERVICES) and name.strip()):
        return kind
    raise ConfigError(f"--generator is {spec!r}; expected {FORMS}")


@contextmanager
def open_writer(
    spec: str,
    *,
    generate: GenerateSettings,
    service: ServiceOptions,
    output: Path,
    spent: Mapping[str, Any],
) -> Iterator[Writer]:
    """The generator that a user named; with a service, Ctrl-C then stops it cleanly.

    Args:
        spec: see `FORMS`.
        generate: how a local model writes; of a service, the number of replies alone counts.
        service: of services.
        output: the run's file, beside which the cache lies.
        spent: what earlier sittings of the same output spent; empty for a new run.

    Raises:
        ConfigError, DataError, ModelError, MissingExtraError: it cannot be opened.
    """
    kind, _, name = spec.partition(":")
    if check_spec(spec) in RULES:
        yield Writer(RULES[spec]())
    elif kind == "recorded":
        yield Writer(Recorded(name.strip()))
    elif kind == "lm":
        from toxitrace.explore.generate import LocalGenerator
        from toxitrace.explore.language_model import load_language_model

        local = LocalGenerator(load_language_model(name.strip()), generate)
        yield Writer(local, lambda: local.counts)
    else:
        yield from _service(spec, generate, service, output, spent)


def _service(
    spec: str, generate: GenerateSettings, service: ServiceOptions, output: Path, spent: Mapping[str, Any]
) -> Iterator[Writer]:
    from toxitrace.llm import Budget, CachedClient, Spending, find_price, open_client, stop_on_interrupt

    price = find_price(spec.partition(":")[2], service.price_in, service.price_out)
    known = {name: spent[name] for name in Spending.__dataclass_fields__ if name in spent}
    budget = Budget(price, max_cost_usd=service.max_cost, max_requests=service.max_requests, spent=Spending(**known))
    stop: threading.Event
    with stop_on_interrupt() as stop:
        client = open_client(
            spec,
            service.url,
            cache=service.cache or output.absolute().parent / "llm-cache.sqlite",
            budget=budget,
            stop=stop,
            timeout_seconds=service.timeout_seconds,
        )
        asked = LLMGenerator(client, n_replies=generate.n_replies, concurrency=service.concurrency, stop=stop)
        try:
            yield Writer(asked, lambda: asked.counts, asked.failures, lambda: budget.spent)
        finally:
            if isinstance(client, CachedClient):
                client.close()
        if stop.is_set():
            raise KeyboardInterrupt
