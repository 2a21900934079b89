"""Limits on what a run may spend, kept by reserving the worst case before each request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from toxitrace.errors import ConfigError, LLMError
from toxitrace.llm.estimate import prompt_tokens_bound
from toxitrace.llm.prices import Price
from toxitrace.llm.protocol import LLMClient, LLMReply, LLMRequest


class BudgetSpent(LLMError):
    """The next request could exceed the budget: stop cleanly, what was paid for is kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message, fate="unsent", every_request=True)


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent so far.

    Attributes:
        requests: HTTP requests that reached the service, failed ones included.
        prompt_tokens, output_tokens: as the service counted them; the worst case where an answer was lost.
        cost_usd: by the price table; 0 where no price is known.
    """

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


class Budget:
    """Shared by every thread of a run.

    A request starts only if its worst case fits: as many prompt tokens as its text has bytes, and
    ``max_output_tokens``. While others are under way whose reserve may yet come back, it waits. Thus the limits hold as
    long as the service keeps to ``max_output_tokens``. A request that was refused with an error status costs no money;
    one whose answer was lost, or came without token counts, is charged at its worst case.

    Args:
        price: None where it is not known; then no ``max_cost_usd`` either.
        spent: by earlier sittings of the same run, which counts as well.

    Raises:
        ConfigError: a limit is no amount, or money is limited and the price unknown.
    """

    def __init__(
        self,
        price: Price | None = None,
        *,
        max_cost_usd: float | None = None,
        max_requests: int | None = None,
        spent: Spending | None = None,
    ) -> None:
        if max_cost_usd is not None and not max_cost_usd >= 0:
            raise ConfigError(f"--max-cost is {max_cost_usd}; expected US dollars, 0 or more: correct it")
        if max_requests is not None and max_requests < 0:
            raise ConfigError(f"--max-requests is {max_requests}; expected 0 or more: correct it")
        if max_cost_usd is not None and price is None:
            raise ConfigError(
                "--max-cost needs the model's price, which is not in the list: give --price-in and --price-out "
                "(US dollars per million tokens)"
            )
        self._price = price or Price(0.0, 0.0)
        self._max_cost_usd = max_cost_usd
        self._max_requests = max_requests
        self._spent = spent or Spending()
        self._reserved: list[Spending] = []
        self._changed = threading.Condition()
        self._settled: Callable[[], object] = lambda: None

    @property
    def spent(self) -> Spending:
        """A snapshot; requests under way are not in it."""
        with self._changed:
            return self._spent

    def reserve(self, request: LLMRequest) -> Spending:
        """Set the worst case of a request aside, to be handed to `settle` whatever happens.

        Raises:
            BudgetSpent: it does not fit, and nothing under way could make room.
        """
        worst = self._counted(prompt_tokens_bound(request), request.max_output_tokens)
        with self._changed:
            while reason := self._lacking(worst):
                if not self._reserved:
                    raise BudgetSpent(reason)
                self._changed.wait()
            self._reserved.append(worst)
        return worst

    def settle(self, reserved: Spending, spent: Spending) -> None:
        """Replace a reserve by what was spent in fact."""
        with self._changed:
            self._reserved.remove(reserved)
            self._spent = _sum(self._spent, spent)
            self._changed.notify_all()
            self._settled()

    def watch(self, settled: Callable[[], object]) -> None:
        """Have ``settled`` called after every request, one call at a time; it may look at `spent`."""
        self._settled = settled

    def cost_of(self, reply: LLMReply, reserved: Spending) -> Spending:
        """What a reply cost; the whole reserve where the service does not say."""
        if not (reply.prompt_tokens or reply.output_tokens):
            return reserved
        return self._counted(reply.prompt_tokens, reply.output_tokens)

    def _counted(self, prompt_tokens: int, output_tokens: int) -> Spending:
        return Spending(1, prompt_tokens, output_tokens, self._price.cost_usd(prompt_tokens, output_tokens))

    def _lacking(self, worst: Spending) -> str:
        """Why the worst case does not fit beside what is spent and reserved; empty if it does."""
        total = self._spent
        for reserve in self._reserved:
            total = _sum(total, reserve)
        if self._max_requests is not None and total.requests + 1 > self._max_requests:
            return f"--max-requests {self._max_requests} is reached: raise it to go on"
        if self._max_cost_usd is not None and total.cost_usd + worst.cost_usd > self._max_cost_usd:
            return (
                f"the next request may cost up to {worst.cost_usd:.4f} USD, and {total.cost_usd:.4f} of --max-cost "
                f"{self._max_cost_usd:g} are spent: raise it to go on"
            )
        return ""


class BudgetedClient:
    """Lets a request through only while the budget lasts. Belongs inside the retries: each try is a request."""

    def __init__(self, inner: LLMClient, budget: Budget) -> None:
        self._inner = inner
        self._budget = budget

    @property
    def model(self) -> str:
        return self._inner.model

    def complete(self, request: LLMRequest) -> LLMReply:
        """Ask once, or raise `BudgetSpent`."""
        reserved = self._budget.reserve(request)
        spent = reserved  # whatever goes wrong unseen may have been billed
        try:
            reply = self._inner.complete(request)
            spent = self._budget.cost_of(reply, reserved)
            return reply
        except LLMError as error:
            if error.fate == "unsent":
                spent = Spending()
            elif error.fate == "refused":
                spent = Spending(requests=1)
            raise
        finally:
            self._budget.settle(reserved, spent)


def _sum(left: Spending, right: Spending) -> Spending:
    return replace(
        left,
        requests=left.requests + right.requests,
        prompt_tokens=left.prompt_tokens + right.prompt_tokens,
        output_tokens=left.output_tokens + right.output_tokens,
        cost_usd=left.cost_usd + right.cost_usd,
    )
