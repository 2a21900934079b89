"""How far a long run is, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import IO, Protocol


class Progress(Protocol):
    """Told after every chunk; closed once at the end."""

    def update(self, n_items: int, fraction: float | None) -> None:
        """Report ``n_items`` done in this run, and the share of the input read (None if unknown)."""
        ...

    def close(self) -> None:
        """Tidy the screen up."""
        ...


class PlainProgress:
    """A line every ``every_seconds``, with the rate.

    Args:
        stream: where the lines go.
        unit: what is counted, for the line.
        clock: seconds that only grow.
    """

    def __init__(
        self, stream: IO[str], unit: str, every_seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._unit, self._every, self._clock = stream, unit, every_seconds, clock
        self._start = self._last = clock()

    def update(self, n_items: int, fraction: float | None) -> None:
        now = self._clock()
        if now - self._last < self._every:
            return
        self._last = now
        share = "" if fraction is None else f" ({fraction:.0%})"
        rate = n_items / max(now - self._start, 1e-9)
        self._stream.write(f"{n_items} {self._unit}{share}, {rate:.0f} {self._unit}/s\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing to tidy up."""


class BarProgress:
    """A bar that redraws itself."""

    def __init__(self, stream: IO[str], unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._unit, self._start = unit, time.monotonic()
        self._bar = RichProgress(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._bar.add_task(unit, total=None)
        self._bar.start()

    def update(self, n_items: int, fraction: float | None) -> None:
        rate = n_items / max(time.monotonic() - self._start, 1e-9)
        description = f"{n_items} {self._unit}, {rate:.0f} {self._unit}/s"
        total = None if fraction is None else 1.0
        self._bar.update(self._task, description=description, total=total, completed=fraction)

    def close(self) -> None:
        self._bar.stop()


def progress_on(stream: IO[str] | None = None, unit: str = "texts") -> Progress:
    """The fitting progress report for ``stream`` (default: stderr)."""
    stream = stream or sys.stderr
    return BarProgress(stream, unit) if stream.isatty() else PlainProgress(stream, unit)
