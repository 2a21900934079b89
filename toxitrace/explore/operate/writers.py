"""Who writes the queries: a rule, a model on this machine, or a service, and how it went for every item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal, Protocol

from toxitrace.errors import ConfigError
from toxitrace.explore.baselines import SpanQueries, TfidfKeywords, WholeText
from toxitrace.explore.generators import Generator
from toxitrace.explore.operate.config import OperateConfig
from toxitrace.explore.records import SeedItem
from toxitrace.explore.replies import ParsedReply, distinct_queries

RULES: dict[str, Callable[[], Generator]] = {"spans": SpanQueries, "keywords": TfidfKeywords, "whole": WholeText}
LOCAL = "lm:"
_SERVICES = ("gemini", "openai", "replay")

Outcome = Literal["written", "no_query", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one item.

    Attributes:
        queries: distinct, best first.
        outcome: ``written``; ``no_query`` (an answer, but no query in it); ``refused`` by the model or its service;
            ``failed`` (no answer: to be asked again).
        n_dropped: lines of the answer that are no query.
        error: of a failure, one line.
    """

    item_id: str
    queries: tuple[str, ...]
    outcome: Outcome
    n_dropped: int = 0
    error: str = ""


class Writer(Protocol):
    """Writes queries for items and says how it went."""

    @property
    def name(self) -> str:
        """Who writes, for the record."""
        ...

    def write(self, items: Sequence[SeedItem]) -> list[Written]:
        """One result for each item, in their order."""
        ...


class RuleWriter:
    """A `Generator` that cannot fail."""

    def __init__(self, name: str, generator: Generator) -> None:
        self.name = name
        self._generator = generator

    def write(self, items: Sequence[SeedItem]) -> list[Written]:
        """See `Writer`.

        >>> RuleWriter("spans", SpanQueries()).write([SeedItem("a", "早上好")])[0].outcome
        'no_query'
        """
        found = self._generator.queries(items)
        return [
            Written(item.id, tuple(queries), "written" if queries else "no_query")
            for item, queries in zip(items, found, strict=True)
        ]


class ReplyGenerator(Protocol):
    """What `LocalGenerator` and `LLMGenerator` have in common."""

    def replies(self, groups: Sequence[Sequence[SeedItem]]) -> list[list[ParsedReply]]:
        """The replies to each prompt; fewer than asked for where some could not be had."""
        ...


class ReplyWriter:
    """A language model.

    Args:
        name: for the record.
        generator: asks it.
        failures: why an item has no reply, by id; filled by the generator.
    """

    def __init__(self, name: str, generator: ReplyGenerator, failures: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._generator = generator
        self._failures = {} if failures is None else failures

    def write(self, items: Sequence[SeedItem]) -> list[Written]:
        """See `Writer`."""
        found = self._generator.replies([(item,) for item in items])
        return [self._written(item.id, replies) for item, replies in zip(items, found, strict=True)]

    def _written(self, id: str, replies: list[ParsedReply]) -> Written:
        if not replies:
            return Written(id, (), "failed", error=self._failures.get(id, "no reply came back"))
        queries = tuple(distinct_queries(replies))
        outcome: Outcome = "written" if queries else "refused" if any(one.refused for one in replies) else "no_query"
        return Written(id, queries, outcome, sum(one.n_dropped for one in replies))


@contextmanager
def open_writer(config: OperateConfig, stop: Event) -> Iterator[Writer]:
    """The writer that ``--generator`` names.

    Raises:
        ConfigError: there is no such generator, or its options are unusable.
        ModelError: the folder of ``lm:`` holds no causal language model.
        MissingExtraError: what it needs is not installed.
    """
    name = config.generator
    kind, _, place = name.partition(":")
    if name in RULES:
        yield RuleWriter(name, RULES[name]())
    elif kind == "lm" and place:
        from toxitrace.explore.config import GenerateSettings, GroundSettings
        from toxitrace.explore.generate import LocalGenerator
        from toxitrace.explore.language_model import load_language_model

        settings = GenerateSettings(
            mode="sample" if config.n_replies > 1 else "greedy",
            n_replies=config.n_replies,
            seed=config.seed,
            ground=GroundSettings() if config.grounded else None,
        )
        yield ReplyWriter(name, LocalGenerator(load_language_model(place), settings))
    elif kind in _SERVICES and place:
        from toxitrace.explore.llm_generate import LLMGenerator
        from toxitrace.llm import Budget, CachedClient, find_price, open_client

        ask = config.ask
        price = find_price(place, ask.price_in, ask.price_out)
        client = open_client(
            name,
            config.llm_url,
            cache=Path(config.output) / "llm-cache.sqlite",
            budget=Budget(price, max_cost_usd=ask.max_cost, max_requests=ask.max_requests),
            stop=stop,
            timeout_seconds=ask.timeout_seconds,
        )
        try:
            asked = LLMGenerator(client, n_replies=config.n_replies, concurrency=ask.concurrency, stop=stop)
            yield ReplyWriter(name, asked, asked.failures)
        finally:
            if isinstance(client, CachedClient):
                client.close()
    else:
        raise ConfigError(
            f"--generator is {name!r}; expected {', '.join(RULES)}, lm:FOLDER, gemini:MODEL, openai:MODEL or "
            "replay:FILE"
        )
