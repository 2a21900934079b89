"""Many draws for many queries, from a service or from a local model: one interface, replies grouped by query id."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from toxitrace.errors import ConfigError, ToxitraceError
from toxitrace.llm import LLMClient, LLMReply, LLMRequest, Outcome, ask_all

if TYPE_CHECKING:
    from toxitrace.expand.local_lm import LocalLM

LOCAL = "local:"


@dataclass(frozen=True)
class AskConfig:
    """Who writes expansions and answers, and what that may cost."""

    llm: str | None = None
    """local:FOLDER (a causal LM of transformers), openai:MODEL, gemini:MODEL or replay:FILE."""
    llm_url: str | None = None
    """Address of another server, e.g. http://localhost:8000/v1."""
    concurrency: int = 8
    """Requests at the same time."""
    max_requests: int | None = None
    """Stop before more requests than this are sent."""
    max_cost: float | None = None
    """Stop before this many US dollars are spent."""
    price_in: float | None = None
    """US dollars per million tokens of the questions, if not as listed."""
    price_out: float | None = None
    """US dollars per million tokens of the answers, if not as listed."""
    timeout_seconds: float = 120.0
    """Longest silence of the service."""
    cache: str | None = None
    """File that keeps every answer of a service; none: llm-cache.sqlite beside the output."""
    record: str | None = None
    """File that gets a recording for replay:FILE."""
    top_p: float = 0.9
    """Nucleus of a local model's sampling; services sample with their own."""
    device: str = "cpu"
    """Where a local model runs."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"concurrency is {self.concurrency}; expected 1 or more requests")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; expected a share in (0, 1]")


class Asker(Protocol):
    """Answers draws, in any order, each with an outcome."""

    @property
    def model(self) -> str:
        """Who answers, for the record."""
        ...

    def answers(self, requests: Iterable[tuple[str, LLMRequest]]) -> Iterator[tuple[str, Outcome]]:
        """``(id, outcome)`` for every ``(id, request)``."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceAsker:
    """Any client of ``toxitrace.llm``, several requests at once."""

    client: LLMClient
    concurrency: int = 8
    stop: threading.Event | None = None

    @property
    def model(self) -> str:
        return self.client.model

    def answers(self, requests: Iterable[tuple[str, LLMRequest]]) -> Iterator[tuple[str, Outcome]]:
        return ask_all(self.client, requests, concurrency=self.concurrency, stop=self.stop)


@dataclass(frozen=True, slots=True)
class LocalAsker:
    """A local causal LM: the draws of one question are sampled in one batch, each with its own seed."""

    lm: LocalLM
    stop: threading.Event | None = None

    @property
    def model(self) -> str:
        return self.lm.model

    def answers(self, requests: Iterable[tuple[str, LLMRequest]]) -> Iterator[tuple[str, Outcome]]:
        def question(item: tuple[str, LLMRequest]) -> tuple[str, str, int]:
            return item[1].prompt_version, item[1].content, item[1].max_output_tokens

        for _, group in groupby(requests, key=question):
            batch = list(group)
            if self.stop is not None and self.stop.is_set():
                yield from ((id, Outcome("stopped", error="interrupted")) for id, _ in batch)
                continue
            try:
                replies = self.lm.sample([request for _, request in batch])
            except ToxitraceError as error:
                yield from ((id, Outcome("failed", error=str(error))) for id, _ in batch)
                continue
            yield from ((id, Outcome("reply", reply)) for (id, _), reply in zip(batch, replies, strict=True))


class Answered(NamedTuple):
    """All replies of one id, in the order of its requests; None, with the reason, if one of them could not be had."""

    id: str
    replies: tuple[LLMReply, ...] | None
    error: str = ""
    stopped: bool = False


def replies_by_id(asker: Asker, questions: Iterable[tuple[str, Sequence[LLMRequest]]]) -> Iterator[Answered]:
    """Ask every request of every id; an id is handed on once its last reply is there."""
    open_ids: dict[str, dict[int, Outcome]] = {}
    n_of: dict[str, int] = {}

    def requests() -> Iterator[tuple[str, LLMRequest]]:
        for id, wanted in questions:
            open_ids[id], n_of[id] = {}, len(wanted)
            for number, request in enumerate(wanted):
                yield f"{number}:{id}", request

    for key, outcome in asker.answers(requests()):
        number, _, id = key.partition(":")
        found = open_ids[id]
        found[int(number)] = outcome
        if len(found) == n_of[id]:
            del open_ids[id], n_of[id]
            yield _answered(id, [found[place] for place in range(len(found))])


def _answered(id: str, outcomes: list[Outcome]) -> Answered:
    replies = tuple(outcome.reply for outcome in outcomes if outcome.reply is not None)
    if len(replies) == len(outcomes):
        return Answered(id, replies)
    bad = [outcome for outcome in outcomes if outcome.reply is None]
    return Answered(id, None, bad[0].error, any(outcome.kind == "stopped" for outcome in bad))


@contextmanager
def open_asker(config: AskConfig, output: Path) -> Iterator[Asker]:
    """Open the model that ``config`` names; Ctrl-C then stops it cleanly, a second one at once.

    Raises:
        ConfigError: no model is named, or its options are unusable.
        ModelError: the folder of a local model is unusable.
        MissingExtraError: the service's SDK is not installed.
    """
    if not config.llm:
        raise ConfigError(
            "no language model is named; expected --ask.llm local:FOLDER, openai:MODEL, gemini:MODEL, ..."
        )
    from toxitrace.llm import Budget, CachedClient, find_price, open_client, stop_on_interrupt

    with stop_on_interrupt() as stop:
        if config.llm.startswith(LOCAL):
            from toxitrace.expand.local_lm import LocalLM

            folder = config.llm.removeprefix(LOCAL)
            yield LocalAsker(LocalLM(folder, top_p=config.top_p, device=config.device), stop)
            return
        price = find_price(config.llm.partition(":")[2], config.price_in, config.price_out)
        budget = Budget(price, max_cost_usd=config.max_cost, max_requests=config.max_requests)
        client = open_client(
            config.llm,
            config.llm_url,
            cache=config.cache or output.absolute().parent / "llm-cache.sqlite",
            record=config.record,
            budget=budget,
            stop=stop,
            timeout_seconds=config.timeout_seconds,
        )
        try:
            yield ServiceAsker(client, config.concurrency, stop)
        finally:
            if isinstance(client, CachedClient):
                client.close()
