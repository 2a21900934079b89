"""Failed rows while a run lasts: the first reason at once, then how many there are, ever more rarely."""

from __future__ import annotations

from typing import IO


class Failures:
    """Counts failed rows and says so.

    Args:
        stream: where the lines go; under a progress bar rich moves them above it.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._n_next = 2
        self.n_rows = 0

    def note(self, reason: str | None) -> None:
        """One more row failed; a line for the first one and whenever their number has doubled."""
        self.n_rows += 1
        if self.n_rows == 1:
            self._say(f"a row failed: {reason or 'no reason was given'}")
        elif self.n_rows == self._n_next:
            self._say(f"{self.n_rows:,} rows failed so far")
            self._n_next *= 2

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
