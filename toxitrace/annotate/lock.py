"""One run at a time on one output: two of them would ask twice and write into each other's rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toxitrace.annotate.journal import beside
from toxitrace.errors import DataError


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Hold ``OUTPUT.lock``; the system lets go of it whatever ends the process. Without ``fcntl`` nothing is held.

    Raises:
        DataError: another run holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path = beside(output, "lock")
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise DataError(f"another run is writing to {output}: wait until it ends, or name another output") from None
        if _is_still(path, file):
            break
        os.close(file)  # the run before removed the file after we had opened it
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _is_still(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
