"""Several processes that score chunks side by side; their answers come back in the order of the chunks.

The processes are spawned, since the threads of onnxruntime do not survive a fork. Each has two pipes of its own and
no lock that a killed neighbour could take along. A worker that finds the far end of its pipe closed, because the
parent is done, failed or was killed, leaves at once, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any

from toxitrace.detector.bulk import Scored
from toxitrace.detector.job import ScoringJob
from toxitrace.detector.records import Record
from toxitrace.errors import ConfigError, DataError, ModelError, ToxitraceError

# A worker has a chunk at hand and the next one waiting, so that it need not wait for the parent.
_CHUNKS_PER_WORKER = 2
# Chunks that are out or whose turn to be written has not come: bounds the parent's memory.
_CHUNKS_IN_FLIGHT = 4
_PATIENCE_SECONDS = 5.0


@contextlib.contextmanager
def scoring(job: ScoringJob, n_workers: int) -> Iterator[Callable[[Iterator[Sequence[Record]]], Iterator[Scored]]]:
    """Something that turns chunks into answers, lazily and in order; one worker is this very process.

    Raises:
        ModelError: the folder holds no usable model.
        ConfigError: a value is out of range.
    """
    if n_workers == 1:
        score = job.start()
        yield lambda chunks: map(score, chunks)
        return
    if job.threads is None:
        job = replace(job, threads=max(1, _cores() // n_workers))
    with Workers(job, n_workers) as workers:
        yield workers.score


class Workers:
    """Processes that share the work; a context manager, and gone with all its processes when it is left."""

    def __init__(self, job: ScoringJob, n_workers: int) -> None:
        self._job, self._n_workers = job, n_workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        try:
            # SIGINT is held back while the processes start, and they inherit that: Ctrl-C reaches the parent alone,
            # which then closes the pipes.
            with _interrupts_held_back():
                for _ in range(self._n_workers):
                    self._workers.append(_Worker(self._job))
            for worker in self._workers:
                worker.take()  # its model is loaded
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def score(self, chunks: Iterator[Sequence[Record]]) -> Iterator[Scored]:
        """Answers in the order of the chunks, which are read no further ahead than a few per worker.

        Raises:
            ToxitraceError: a worker died, or failed on a chunk.
        """
        finished: dict[int, Scored] = {}
        n_given = n_yielded = 0
        chunk = next(chunks, None)
        while chunk is not None or n_yielded < n_given:
            worker = min(self._workers, key=lambda one: len(one.numbers))
            in_flight = n_given - n_yielded
            free = len(worker.numbers) < _CHUNKS_PER_WORKER and in_flight < _CHUNKS_IN_FLIGHT * self._n_workers
            if chunk is not None and free:
                worker.give(n_given, chunk)
                n_given += 1
                chunk = next(chunks, None)
            elif n_yielded in finished:
                yield finished.pop(n_yielded)
                n_yielded += 1
            else:
                busy = {one.answers: one for one in self._workers if one.numbers}
                for ready in wait(list(busy)):
                    one = busy[ready]  # type: ignore[index]  # wait() gives back what it was given
                    finished[one.numbers.pop(0)] = one.take()

    def _close(self) -> None:
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            worker.end()


class _Worker:
    """The parent's view of one process.

    Attributes:
        numbers: chunks it was given and has not answered, oldest first.
        answers: where its answers come in.
    """

    def __init__(self, job: ScoringJob) -> None:
        context = multiprocessing.get_context("spawn")
        tasks, self._tasks = context.Pipe(duplex=False)
        self.answers, answers = context.Pipe(duplex=False)
        self.numbers: list[int] = []
        # A daemon: if all else fails, the interpreter ends it on its way out.
        self._process: SpawnProcess = context.Process(target=_work, args=(job, tasks, answers), daemon=True)
        self._process.start()
        tasks.close()  # only the child may hold its ends, or neither side would see the other leave
        answers.close()

    def give(self, number: int, chunk: Sequence[Record]) -> None:
        self.numbers.append(number)
        try:
            self._tasks.send([(record.id, record.text, record.line) for record in chunk])
        except OSError as error:
            raise self._death() from error

    def take(self) -> Any:
        """The next answer, waited for."""
        try:
            answer = self.answers.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if isinstance(answer, ToxitraceError):
            raise answer
        return answer

    def close(self) -> None:
        self._tasks.close()
        self.answers.close()

    def end(self) -> None:
        self._process.join(_PATIENCE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _death(self) -> ToxitraceError:
        self._process.join(_PATIENCE_SECONDS)
        code = self._process.exitcode
        sign = _signal_name(-code) if code is not None and code < 0 else None
        how = f"was killed by {sign}" if sign else f"ended with exit code {code}"
        hint = ", as happens when memory runs out" if sign == "SIGKILL" else ""
        return ToxitraceError(
            f"worker process {self._process.pid} {how}{hint}; what is written stays: "
            "go on with --resume, with fewer --workers if memory is short"
        )


def _work(job: ScoringJob, tasks: Connection, answers: Connection) -> None:
    """What a worker does: load the model, say so with None, answer chunks until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for systems without signal masks
    if job.threads is not None:  # tokenizers takes every core otherwise, in each worker
        os.environ.setdefault("RAYON_NUM_THREADS", str(job.threads))
    waiting: queue.SimpleQueue[list[Record]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(tasks, waiting), daemon=True).start()
    try:
        score = job.start()
        _send(answers, None)
        while True:
            _send(answers, score(waiting.get()))
    except Exception as error:
        _send(answers, _portable(error))


def _send(answers: Connection, answer: Scored | ToxitraceError | None) -> None:
    try:
        answers.send(answer)
    except OSError:
        os._exit(1)  # the parent is gone


def _receive(tasks: Connection, waiting: queue.SimpleQueue[list[Record]]) -> None:
    """Empty the pipe, so that the parent never waits for a busy worker; leave with the parent."""
    while True:
        try:
            rows = tasks.recv()
        except (EOFError, OSError):
            os._exit(0)  # not sys.exit: the main thread may be in the middle of a chunk that nobody wants any more
        waiting.put([Record(*row) for row in rows])


def _portable(error: Exception) -> ToxitraceError:
    """The error as one that any process can unpickle; where it happened goes along as a note, for --debug."""
    known = next((kind for kind in (ConfigError, DataError, ModelError) if isinstance(error, kind)), ToxitraceError)
    unexpected = not isinstance(error, ToxitraceError)
    message = f"a worker met an unexpected {type(error).__name__}: {error} (run with --debug to see where)"
    sent = known(message if unexpected else str(error))
    sent.add_note(f"In a worker process:\n{traceback.format_exc()}")
    return sent


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let SIGINT wait: masked for the processes that inherit it, and noted for this one.

    The mask alone does not do: a library's thread that lacks it takes the signal, and Python interrupts this thread
    while a new process still waits for its instructions.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    resource_tracker.ensure_running()  # multiprocessing starts it with the first process, and would lift the mask
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
    if came:
        raise KeyboardInterrupt


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
