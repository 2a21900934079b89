"""One retry policy for every service: exponential waits with full jitter, bounded, obedient to ``Retry-After``."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from toxitrace.errors import ConfigError, LLMError
from toxitrace.llm.protocol import LLMClient, LLMReply, LLMRequest


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try.

    Attributes:
        max_tries: requests for one reply, the first included.
        first_wait_seconds: upper end of the first random wait; it doubles with every try.
        longest_wait_seconds: where the doubling ends.
        give_up_seconds: no try starts later than this after the first; a service that asks for a longer wait is
            given up at once.
    """

    max_tries: int = 6
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0
    give_up_seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.max_tries < 1:
            raise ConfigError(f"max_tries is {self.max_tries}; expected at least 1: raise it")
        for name in ("first_wait_seconds", "longest_wait_seconds", "give_up_seconds"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 0 or more: raise it")

    def wait_seconds(self, tries: int, asked_seconds: float | None, rng: random.Random) -> float:
        """How long to wait after ``tries`` failures: anything up to the doubled bound, on top of what was asked for.

        The jitter spreads the clients that failed together, so that they do not come back together (M. Brooker,
        "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter).
        """
        # 2.0 ** 1024 overflows; the bound is long reached by then
        bound = min(self.longest_wait_seconds, self.first_wait_seconds * 2.0 ** min(tries - 1, 60))
        return (asked_seconds or 0.0) + rng.uniform(0.0, bound)


class RetryingClient:
    """Asks again where `LLMError.retryable` says that it may help.

    Args:
        stop: once set, waits end and nothing is asked again: the last error is raised as it is.
        sleep: waits the given seconds; the default wakes up when ``stop`` is set.
        clock: seconds on a clock that only goes forward.
    """

    def __init__(
        self,
        inner: LLMClient,
        policy: RetryPolicy | None = None,
        *,
        stop: threading.Event | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._inner = inner
        self._policy = policy or RetryPolicy()
        self._stop = stop or threading.Event()
        self._sleep = sleep or self._stop.wait
        self._clock = clock
        self._rng = rng or random.Random()

    @property
    def model(self) -> str:
        return self._inner.model

    def complete(self, request: LLMRequest) -> LLMReply:
        """Ask until there is a reply; raises the last try's error, which then says how many there were."""
        started = self._clock()
        tries = 0
        while True:
            tries += 1
            try:
                return self._inner.complete(request)
            except LLMError as error:
                if not error.retryable or self._stop.is_set():
                    raise
                failure = error
            wait_seconds = self._policy.wait_seconds(tries, failure.retry_after_seconds, self._rng)
            waited_seconds = self._clock() - started
            if tries >= self._policy.max_tries or waited_seconds + wait_seconds > self._policy.give_up_seconds:
                raise self._given_up(failure, tries)
            self._sleep(wait_seconds)
            if self._stop.is_set():
                raise failure

    def _given_up(self, failure: LLMError, tries: int) -> LLMError:
        asked = failure.retry_after_seconds
        wait = f"; it asks to wait {asked:g} seconds" if asked else ""
        return LLMError(
            f"{failure} (given up after {tries} {'try' if tries == 1 else 'tries'}{wait})",
            retryable=True,
            retry_after_seconds=asked,
            fate=failure.fate,
            every_request=failure.every_request,
        )
