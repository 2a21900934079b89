"""Who writes the queries: a rule, a model on this machine, or a service, and how it went for every item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal, Protocol

from toxitrace.errors import ConfigError
from toxitrace.explore.baselines import RULES
from toxitrace.explore.generators import Generator
from toxitrace.explore.operate.config import OperateConfig
from toxitrace.explore.operate.own_flags import own_flags
from toxitrace.explore.records import SeedItem
from toxitrace.explore.replies import ParsedReply, distinct_queries
from toxitrace.llm.protocol import LLMClient

LOCAL = "lm:"
_SERVICES = ("gemini", "openai", "replay")

Outcome = Literal["written", "no_query", "refused", "failed", "unsent"]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one item.

    Attributes:
        queries: distinct, best first.
        outcome: ``written``; ``no_query`` (an answer, but no query in it); ``refused`` by the model or its service;
            ``failed`` (no answer: to be asked again); ``unsent`` (not asked, or not reached: to be asked again).
        n_dropped: lines of the answer that are no query.
        error: of a failure, one line.
    """

    item_id: str
    queries: tuple[str, ...]
    outcome: Outcome
    n_dropped: int = 0
    error: str = ""

    @property
    def answered(self) -> bool:
        """Whether there was an answer, with or without queries."""
        return self.outcome not in ("failed", "unsent")


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

        >>> RuleWriter("spans", RULES["spans"]()).write([SeedItem("a", "早上好")])[0].outcome
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
        sent: whether the request for an item reached the service.
    """

    def __init__(
        self,
        name: str,
        generator: ReplyGenerator,
        failures: Mapping[str, str] | None = None,
        sent: Callable[[SeedItem], bool] = lambda item: True,
    ) -> None:
        self.name = name
        self._generator = generator
        self._failures = {} if failures is None else failures
        self._sent = sent

    def write(self, items: Sequence[SeedItem]) -> list[Written]:
        """See `Writer`."""
        found = self._generator.replies([(item,) for item in items])
        return [self._written(item, replies) for item, replies in zip(items, found, strict=True)]

    def _written(self, item: SeedItem, replies: list[ParsedReply]) -> Written:
        if not replies:
            error = own_flags(self._failures.get(item.id, "no reply came back"))
            return Written(item.id, (), "failed" if self._sent(item) else "unsent", error=error)
        queries = tuple(distinct_queries(replies))
        outcome: Outcome = "written" if queries else "refused" if any(one.refused for one in replies) else "no_query"
        return Written(item.id, queries, outcome, sum(one.n_dropped for one in replies))


@contextmanager
def open_writer(
    config: OperateConfig, stop: Event, say: Callable[[str], object] = lambda line: None
) -> Iterator[Writer]:
    """The writer that ``--generator`` names; ``say`` is told once if its service cannot be reached.

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
        from toxitrace.explore.operate.asking import SentRequests
        from toxitrace.explore.prompts import query_request
        from toxitrace.llm import CachedClient

        client = _open_service(config, place, stop, say)
        requests = SentRequests(client)
        try:
            asked = LLMGenerator(requests, n_replies=config.n_replies, concurrency=config.ask.concurrency, stop=stop)

            def sent(item: SeedItem) -> bool:
                # a recording sends nothing: what it lacks is an answer that is missing
                return kind == "replay" or requests.has(query_request((item,)))

            yield ReplyWriter(config.writer, asked, asked.failures, sent)
        finally:
            if isinstance(client, CachedClient):
                client.close()
    else:
        raise ConfigError(
            f"--generator is {name!r}; expected {', '.join(RULES)}, lm:FOLDER, gemini:MODEL, openai:MODEL or "
            "replay:FILE"
        )


def _open_service(config: OperateConfig, model: str, stop: Event, say: Callable[[str], object]) -> LLMClient:
    """The client, with the flags of this command in what it says about its settings."""
    from toxitrace.explore.operate.asking import tell_first_unsent
    from toxitrace.llm import Budget, find_price, open_client

    ask = config.ask
    try:
        price = find_price(model, ask.price_in, ask.price_out)
        budget = Budget(price, max_cost_usd=ask.max_cost, max_requests=ask.max_requests)
        where = f" at {config.llm_url}" if config.llm_url else ""
        tell_first_unsent(
            budget,
            lambda: say(
                f"the language model{where} cannot be reached; each request is tried again for up to some minutes: "
                "check the network, the proxy and --llm_url"
            ),
        )
        return open_client(
            config.generator,
            config.llm_url,
            cache=Path(config.output) / "llm-cache.sqlite",
            budget=budget,
            stop=stop,
            timeout_seconds=ask.timeout_seconds,
        )
    except ConfigError as error:
        raise ConfigError(own_flags(str(error))) from error
