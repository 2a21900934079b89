"""Many requests at once: bounded, lazy, and with an outcome for every row whatever happens."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from types import FrameType
from typing import Literal

from toxitrace.errors import ConfigError, LLMError, ToxitraceError
from toxitrace.llm.budget import BudgetSpent
from toxitrace.llm.protocol import LLMClient, LLMReply, LLMRequest


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row.

    Attributes:
        kind: ``reply`` (cut and blocked ones included), ``failed`` (asked in vain), ``stopped`` (not asked, or given
            up, because the run ended: to be asked by the next run).
        reply: with ``reply`` alone.
        error: with the others, one line.
        retryable: of a failure, whether another run may have more luck.
    """

    kind: Literal["reply", "failed", "stopped"]
    reply: LLMReply | None = None
    error: str = ""
    retryable: bool = False


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, instead of ending the program at once; the second one ends it.

    Hand the event to `open_client` and `ask_all`. Only the main thread can use this.
    """
    stop = threading.Event()

    def interrupted(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def ask_all(
    client: LLMClient,
    requests: Iterable[tuple[str, LLMRequest]],
    *,
    concurrency: int = 4,
    stop: threading.Event | None = None,
    give_up_after: int | None = 20,
) -> Iterator[tuple[str, Outcome]]:
    """Ask every request and yield ``(id, outcome)`` as they finish, one for each row.

    At most ``concurrency`` requests run at once and twice as many rows are held; ``requests`` is read as room appears.
    A row never raises. A run ends early when the budget is spent, ``stop`` is set, Ctrl-C is pressed, an error would
    meet every request (a wrong key), or rows keep failing: what is under way is finished, and every row left is
    ``stopped`` with the reason. (A bare Ctrl-C may also end the generator that makes the rows; under
    `stop_on_interrupt` it cannot.)

    Args:
        concurrency: requests at once.
        stop: ends the run from outside, see `stop_on_interrupt`.
        give_up_after: rows that fail one after the other before the run ends; None: never.

    Raises:
        ConfigError: ``concurrency`` is no number of threads.
    """
    if concurrency < 1:
        raise ConfigError(f"--concurrency is {concurrency}; expected 1 or more: raise it")
    run = _Run(client, stop or threading.Event(), give_up_after)
    return run.outcomes(iter(requests), concurrency)


class _Run:
    """The state that the reader and the asking threads share."""

    def __init__(self, client: LLMClient, stop: threading.Event, give_up_after: int | None) -> None:
        self._client = client
        self._stop = stop
        self._give_up_after = give_up_after
        self._reason = ""  # why no further row is asked; set once
        self._n_failed_in_a_row = 0
        self._lock = threading.Lock()
        self._todo: SimpleQueue[tuple[str, LLMRequest] | None] = SimpleQueue()
        self._done: deque[tuple[str, Outcome]] = deque()
        self._finished = threading.Condition()

    def outcomes(self, rows: Iterator[tuple[str, LLMRequest]], concurrency: int) -> Iterator[tuple[str, Outcome]]:
        # Daemons: a second Ctrl-C must not wait for a service that hangs.
        threads = [threading.Thread(target=self._work, name=f"ask-{n}", daemon=True) for n in range(concurrency)]
        n_open, more, broken = 0, True, None
        try:
            for thread in threads:
                thread.start()
            while more or n_open:
                try:
                    while self._done:
                        n_open -= 1
                        yield self._done.popleft()
                    while more and n_open < 2 * concurrency and not self._done:
                        row = next(rows, None)
                        if row is None:
                            more = False
                            break
                        n_open += 1
                        self._todo.put(row)
                    if n_open:
                        with self._finished:
                            while not self._done:
                                self._finished.wait()
                except KeyboardInterrupt:
                    if self._stop.is_set():
                        raise
                    self._stop.set()
                except Exception as error:
                    more, broken = False, error  # of the rows' source: first hand over what is under way
        finally:
            if n_open or more:  # left early, by an error or by the caller: nothing that waits is asked
                self._end("the run was left")
            for _ in threads:
                self._todo.put(None)
        if broken is not None:
            raise broken

    def _work(self) -> None:
        while (row := self._todo.get()) is not None:
            id, request = row
            outcome = self._ask(request)
            with self._finished:
                self._done.append((id, outcome))
                self._finished.notify()

    def _ask(self, request: LLMRequest) -> Outcome:
        if self._stop.is_set():
            self._end("interrupted")
        if self._reason:
            return Outcome("stopped", error=self._reason)
        try:
            reply = self._client.complete(request)
        except BudgetSpent as error:
            self._end(str(error))
            return Outcome("stopped", error=str(error))
        except LLMError as error:
            if self._stop.is_set() and error.retryable:
                return Outcome("stopped", error=f"interrupted before another try: {error}")
            return self._failed(str(error), error.retryable, error.every_request)
        except ToxitraceError as error:
            return self._failed(str(error), False, True)
        except Exception as error:
            return self._failed(f"unexpected {type(error).__name__}: {error}", False, False)
        with self._lock:
            self._n_failed_in_a_row = 0
        return Outcome("reply", reply)

    def _failed(self, message: str, retryable: bool, every_request: bool) -> Outcome:
        with self._lock:
            self._n_failed_in_a_row += 1
            too_many = self._give_up_after is not None and self._n_failed_in_a_row >= self._give_up_after
        if every_request:
            self._end(f"not asked, as it would fail like the row before: {message}")
        elif too_many:
            self._end(f"not asked, as {self._give_up_after} rows failed one after the other, the last with: {message}")
        return Outcome("failed", error=message, retryable=retryable)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._reason = self._reason or reason
