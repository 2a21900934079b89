"""JSON lines keyed by query id, appended as they come: a run that was killed goes on, nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from toxitrace.data import iter_json_rows
from toxitrace.errors import ConfigError, DataError


class RowFile:
    """The growing output of one stage; ``OUTPUT.meta.json`` beside it says with what settings it is made.

    Args:
        settings: whatever shapes a row; a run that goes on must have the same.
        resume: go on with the rows that are there; without it, an output that exists is refused, not overwritten.

    Attributes:
        rows: what is there, by id; of two rows with one id the later.

    Raises:
        ConfigError: the output exists, or was begun with other settings.
        DataError: it holds something else.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any], *, resume: bool) -> None:
        self.path = Path(path)
        self.rows: dict[str, dict[str, Any]] = {}
        self._meta = self.path.with_name(f"{self.path.name}.meta.json")
        if self.path.exists():
            if not resume:
                raise ConfigError(f"{self.path} exists: go on with --resume, move it away, or name another --output")
            self._compare(settings)
            _drop_torn_line(self.path)
            self.rows = read_rows(self.path)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._meta, {"settings": dict(settings)})
        self._file = open(self.path, "ab")  # noqa: SIM115 - open as long as this object

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, row: dict[str, Any]) -> None:
        """Write a row so that it survives the end of this process."""
        self._file.write(_line(row))
        self._file.flush()
        self.rows[row["id"]] = row

    def put_in_order(self, ids: Iterable[str]) -> None:
        """Rewrite the file in one move: rows of these ids alone, in this order."""
        self._file.close()
        write_rows(self.path, (self.rows[id] for id in ids if id in self.rows))
        self._file = open(self.path, "ab")  # noqa: SIM115 - as above

    def _compare(self, settings: Mapping[str, Any]) -> None:
        try:
            noted = json.loads(self._meta.read_text(encoding="utf-8"))["settings"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{self.path} exists, and no {self._meta.name} says how it was made: move it away, or name another "
                "--output"
            ) from None
        now = json.loads(json.dumps(settings))  # tuples are lists in the file
        changed = [name for name, value in now.items() if noted.get(name) != value]
        if changed:
            differences = "; ".join(f"{name} was {noted.get(name)!r} and is {now[name]!r}" for name in changed)
            raise ConfigError(
                f"{self.path} was begun with other settings ({differences}): go on with those, or name another --output"
            )


def read_rows(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Rows by their ``id``; of two with one id the later, as a resumed run may write a row anew.

    Raises:
        DataError: the file cannot be read, or a row has no id.
    """
    rows: dict[str, dict[str, Any]] = {}
    for number, row in iter_json_rows(path):
        if not isinstance(row.get("id"), str):
            raise DataError(f"{path}:{number}: id is {row.get('id')!r}; expected a string: correct the row")
        rows[row["id"]] = row
    return rows


def write_rows(path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines in one move; returns how many."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    n_rows = 0
    with open(part, "wb") as sink:
        for n_rows, row in enumerate(rows, start=1):  # noqa: B007 - the last number is the count
            sink.write(_line(row))
    os.replace(part, target)
    return n_rows


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write one JSON document in one move."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(part, target)


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # a lone surrogate is no UTF-8: such a row is written in ASCII
        return json.dumps(row, allow_nan=False).encode("ascii") + b"\n"


def _drop_torn_line(path: Path) -> None:
    """Cut off what the end of a process left half written."""
    with open(path, "rb+") as file:
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
        file.truncate(end)
