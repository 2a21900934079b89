"""The growing output of a task: rows appended as they come; a killed run goes on, nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from toxitrace.data.jsonl import iter_json_rows
from toxitrace.data.rowfile import write_json, write_rows
from toxitrace.errors import ConfigError, DataError
from toxitrace.jsonline import json_line

Key = tuple[Any, ...]


class RowLog:
    """``OUTPUT`` with its rows, and ``OUTPUT.meta.json`` beside it, which says with what settings they are made.

    Only one run at a time holds it; the system lets go of it whatever ends the process. A run that fails before its
    first row and its first report leaves neither file behind: the corrected command is a new one.

    Args:
        path: the output.
        settings: whatever shapes a row; a run that goes on must have the same.
        key: fields that tell one row from another.
        resume: go on with the rows that are there; without it, an output that exists is refused, not overwritten.

    Attributes:
        rows: what is there, by key.

    Raises:
        ConfigError: the output exists, or was begun with other settings.
        DataError: another run writes to it, or it holds something else.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: Mapping[str, Any],
        *,
        key: tuple[str, ...] = ("id",),
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self.rows: dict[Key, dict[str, Any]] = {}
        self._key = key
        self._meta = self.path.with_name(f"{self.path.name}.meta.json")
        self._is_new = not self.path.exists()
        if not self._is_new:
            if not resume:
                raise ConfigError(f"{self.path} exists: go on with --resume, move it away, or name another --output")
            self._compare(settings)
        self._file = open(self.path, "ab")  # noqa: SIM115 - open as long as this object
        try:
            _hold(self._file, self.path)
            _drop_torn_line(self.path)
            for number, row in iter_json_rows(self.path):
                self._note(row, f"{self.path}:{number}")
            write_json(self._meta, self._content() | {"settings": dict(settings)})
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RowLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._is_new and not self.rows and not self.report:
            with suppress(OSError):  # Windows removes no open file
                self.path.unlink()
                self._meta.unlink()
        self._file.close()

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows so that they survive the end of this process."""
        taken = list(rows)
        self._file.write("".join(map(json_line, taken)).encode())
        self._file.flush()
        for row in taken:
            self._note(row, str(self.path))

    def finish(self, order: Iterable[Key], report: Mapping[str, Any]) -> None:
        """Put the rows into one order, in one move, and note the report in ``OUTPUT.meta.json``."""
        write_rows(self.path, (self.rows[key] for key in order if key in self.rows))
        self.note(report)

    def note(self, report: Mapping[str, Any]) -> None:
        """Keep a report beside the rows."""
        write_json(self._meta, self._content() | {"report": dict(report)})

    @property
    def report(self) -> dict[str, Any]:
        """The report of the sitting before; empty where there was none."""
        found = self._content().get("report")
        return found if isinstance(found, dict) else {}

    def _note(self, row: dict[str, Any], place: str) -> None:
        try:
            self.rows[tuple(row[name] for name in self._key)] = row
        except (KeyError, TypeError):
            raise DataError(
                f"{place}: no {', '.join(self._key)}; expected a row of this task: move the file away"
            ) from None

    def _content(self) -> dict[str, Any]:
        try:
            content = json.loads(self._meta.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _compare(self, settings: Mapping[str, Any]) -> None:
        noted = self._content().get("settings")
        if not isinstance(noted, dict):
            raise ConfigError(
                f"{self.path} exists, and no {self._meta.name} says how it was made: move it away, or name another "
                "--output"
            )
        now = json.loads(json.dumps(settings))  # tuples are lists in the file
        changed = [name for name in sorted({*now, *noted}) if noted.get(name) != now.get(name)]
        if changed:
            differences = "; ".join(f"{name} was {noted.get(name)!r} and is {now.get(name)!r}" for name in changed)
            raise ConfigError(
                f"{self.path} was begun with other settings ({differences}): go on with those, or name another --output"
            )


def _hold(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DataError(f"another run is writing to {path}: wait until it ends, or name another output") from None


def _drop_torn_line(path: Path) -> None:
    """Cut off what the end of a process left half written."""
    with open(path, "rb+") as file:
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
        file.truncate(end)
