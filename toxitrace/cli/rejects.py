"""The bad lines of an input: said on stderr, and kept beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from toxitrace.detector.records import BadLine

STDIN = "-"


class Rejects:
    """Reports bad lines on stderr and keeps their bytes in ``INPUT.rejected`` (for stdin: ``OUTPUT.rejected``)."""

    def __init__(self, source: str | None, output: Path | None) -> None:
        base = str(output) if source == STDIN and output else source
        self._name = "<stdin>" if source == STDIN else str(source)
        self._path = Path(base + ".rejected") if base and base != STDIN else None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Rejects:
        if self._path:
            self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file:
            self._file.close()

    @property
    def path(self) -> Path | None:
        """Where bad lines are kept; None if none came, or if they cannot be kept."""
        return self._path if self._file else None

    def add(self, bad: BadLine) -> None:
        """Report and keep one."""
        sys.stderr.write(f"{self._name}:{bad.line}: {bad.reason}\n")
        if self._path and not self._file:
            try:
                self._file = self._path.open("wb")
            except OSError as error:  # a read-only folder is no reason to leave the rest of the input unscored
                sys.stderr.write(f"{self._path} cannot be written ({error.strerror}): bad lines are only reported\n")
                self._path = None
        if self._file:
            self._file.write(bad.raw if bad.raw.endswith(b"\n") else bad.raw + b"\n")
            self._file.flush()
