"""Queries from a language model behind a service: Gemini, an OpenAI-compatible server, or a recording."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from toxitrace.explore.config import PromptLimits, ReplyLimits
from toxitrace.explore.prompts import query_request
from toxitrace.explore.records import SeedItem
from toxitrace.explore.replies import ParsedReply, ReplyCounts, count_replies, distinct_queries, parse_reply
from toxitrace.llm.batch import Outcome, ask_all
from toxitrace.llm.protocol import LLMClient


class LLMGenerator:
    """A `Generator` that asks a service.

    Args:
        client: see `toxitrace.llm.open_client`.
        n_replies: replies per item; the first is the most probable one, the others are drawn.
        prompt_limits: how much of an item is shown.
        reply_limits: what counts as a query.
        concurrency: requests at once.
        stop: ends the run from outside, see `toxitrace.llm.stop_on_interrupt`.
    """

    def __init__(
        self,
        client: LLMClient,
        *,
        n_replies: int = 1,
        prompt_limits: PromptLimits | None = None,
        reply_limits: ReplyLimits | None = None,
        concurrency: int = 4,
        stop: threading.Event | None = None,
    ) -> None:
        self._client = client
        self._n_replies = n_replies
        self._prompt_limits = prompt_limits
        self._reply_limits = reply_limits
        self._concurrency = concurrency
        self._stop = stop
        self._counted: list[ParsedReply] = []
        self.failures: dict[str, str] = {}
        """Why items have no reply: id of the (first) item -> one line; such items may be asked again."""

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        """See `Generator`; an item whose request failed has none and stands in ``failures``."""
        return [distinct_queries(replies) for replies in self.replies([(item,) for item in items])]

    def replies(self, groups: Sequence[Sequence[SeedItem]]) -> list[list[ParsedReply]]:
        """The replies to each prompt that came back, in the order of their draws."""
        requests = (
            (f"{row} {sample}", query_request(group, self._prompt_limits, sample=sample))
            for row, group in enumerate(groups)
            for sample in range(self._n_replies)
        )
        parsed: dict[tuple[int, int], ParsedReply] = {}
        for name, outcome in ask_all(self._client, requests, concurrency=self._concurrency, stop=self._stop):
            row, sample = (int(part) for part in name.split())
            reply = self._parsed(outcome)
            if reply is None:
                self.failures[groups[row][0].id] = outcome.error
            else:
                parsed[row, sample] = reply
        self._counted += parsed.values()
        samples = range(self._n_replies)
        return [[parsed[row, n] for n in samples if (row, n) in parsed] for row in range(len(groups))]

    @property
    def counts(self) -> ReplyCounts:
        """Refusals, replies without a query and dropped lines so far."""
        return count_replies(self._counted)

    def _parsed(self, outcome: Outcome) -> ParsedReply | None:
        if outcome.reply is None:
            return None
        if outcome.reply.finish == "blocked":
            return ParsedReply((), refused=True)
        return parse_reply(outcome.reply.text, self._reply_limits)
