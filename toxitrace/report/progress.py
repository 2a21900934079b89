"""How far a long run is, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Protocol


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a run begins that goes on with an earlier one.

    Attributes:
        n_items: what the earlier one had done.
        fraction: the share of the input that was behind it.
    """

    n_items: int = 0
    fraction: float = 0.0


class Progress(Protocol):
    """Told after every chunk; closed once at the end."""

    def update(self, n_items: int, fraction: float | None, n_bad: int = 0) -> None:
        """Report ``n_items`` done in this run, the share of the input read (None if unknown), and bad lines."""
        ...

    def close(self) -> None:
        """Tidy the screen up."""
        ...


def pace(
    n_items: int, fraction: float | None, seconds: float, *, unit: str, n_bad: int = 0, begun: Begun | None = None
) -> str:
    """One line: what is done, its share, the rate, the time that is left, bad lines.

    Args:
        n_items: done in this run.
        fraction: share of the whole input that is done; None if unknown.
        seconds: since this run began.
        begun: what lay behind when it did, which has no part in rate and time left.

    >>> pace(50_000, 0.25, 100.0, unit="texts", n_bad=2)
    '50,000 texts (25%), 500 texts/s, 5:00 left, 2 bad lines'
    """
    begun = begun or Begun()
    line = f"{begun.n_items + n_items:,} {unit}"
    if fraction is not None:
        line += f" ({fraction:.0%})"
    line += f", {n_items / max(seconds, 1e-9):,.0f} {unit}/s"
    if fraction is not None and begun.fraction < fraction < 1:
        line += f", {duration(seconds * (1 - fraction) / (fraction - begun.fraction))} left"
    return line + (f", {n_bad:,} bad lines" if n_bad else "")


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> duration(59.6), duration(3700)
    ('1:00', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class PlainProgress:
    """A line every ``every_seconds``.

    Args:
        stream: where the lines go.
        unit: what is counted, for the line.
        clock: seconds that only grow.
        begun: what an earlier run had done.
    """

    def __init__(
        self,
        stream: IO[str],
        unit: str,
        every_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        begun: Begun | None = None,
    ) -> None:
        self._stream, self._unit, self._every, self._clock, self._begun = stream, unit, every_seconds, clock, begun
        self._start = self._last = clock()

    def update(self, n_items: int, fraction: float | None, n_bad: int = 0) -> None:
        now = self._clock()
        if now - self._last < self._every:
            return
        self._last = now
        line = pace(n_items, fraction, now - self._start, unit=self._unit, n_bad=n_bad, begun=self._begun)
        self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing to tidy up."""


class BarProgress:
    """A bar that redraws itself, with the same words beside it."""

    def __init__(self, stream: IO[str], unit: str, begun: Begun | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._unit, self._begun, self._start = unit, begun, time.monotonic()
        self._bar = RichProgress(
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._bar.add_task(unit, total=None)
        self._bar.start()

    def update(self, n_items: int, fraction: float | None, n_bad: int = 0) -> None:
        seconds = time.monotonic() - self._start
        description = pace(n_items, fraction, seconds, unit=self._unit, n_bad=n_bad, begun=self._begun)
        total = None if fraction is None else 1.0
        self._bar.update(self._task, description=description, total=total, completed=fraction)

    def close(self) -> None:
        self._bar.stop()


def progress_on(stream: IO[str] | None = None, unit: str = "texts", begun: Begun | None = None) -> Progress:
    """The fitting progress report for ``stream`` (default: stderr)."""
    stream = stream or sys.stderr
    return BarProgress(stream, unit, begun) if stream.isatty() else PlainProgress(stream, unit, begun=begun)
