"""Searches at a bounded rate, tried again a bounded number of times."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection

from toxitrace.llm.retry import RetryPolicy
from toxitrace.search.errors import SearchError
from toxitrace.search.protocol import Hit, SearchEngine


class PacedSearch:
    """An engine that is asked at most so often, and again when it fails.

    Every failure is worth another try: a collection that is being replaced is gone for a moment only, though the
    engine cannot know that.

    Args:
        engine: the index.
        k: most results of a query.
        per_second: most searches per second, further tries included; None: no limit.
        policy: tries and waits; ``give_up_seconds`` has no part in it.
        clock: seconds that only grow.
        sleep: waits; may end early where the run is stopped.
        failed: told of every failure.
        rng: of the waits' jitter.
    """

    def __init__(
        self,
        engine: SearchEngine,
        k: int,
        per_second: float | None,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        failed: Callable[[str, SearchError], object] = lambda query, error: None,
        stopped: Callable[[], bool] = lambda: False,
        rng: random.Random | None = None,
    ) -> None:
        self._engine, self._k, self._policy = engine, k, policy
        self._interval = 1.0 / per_second if per_second else 0.0
        self._clock, self._sleep, self._failed, self._stopped = clock, sleep, failed, stopped
        self._rng = rng or random.Random()
        self._next = clock()

    def search(self, query: str, exclude: Collection[str]) -> tuple[list[Hit], list[str]]:
        """The hits, each id once, and the ids that came more than once.

        Raises:
            SearchError: every try failed; the last one's.
            KeyboardInterrupt: the run was stopped while it waited.
        """
        for tries in range(1, self._policy.max_tries + 1):
            self._wait(self._next - self._clock())
            self._next = max(self._next, self._clock()) + self._interval
            try:
                return _unique(self._engine.search(query, self._k, exclude))
            except SearchError as error:
                self._failed(query, error)
                if tries == self._policy.max_tries:
                    raise
                self._wait(self._policy.wait_seconds(tries, None, self._rng))
        raise AssertionError("a policy has one try at least")

    def _wait(self, seconds: float) -> None:
        if self._stopped():
            raise KeyboardInterrupt
        if seconds > 0:
            self._sleep(seconds)
            if self._stopped():
                raise KeyboardInterrupt


def _unique(hits: list[Hit]) -> tuple[list[Hit], list[str]]:
    best: dict[str, Hit] = {}
    repeated = []
    for hit in hits:
        if hit.id in best:
            repeated.append(hit.id)
        else:
            best[hit.id] = hit
    return list(best.values()), repeated
