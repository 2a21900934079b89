"""Rows written as they come, put into input order at the end: killed at any moment, nothing is lost or doubled.

``OUTPUT.journal`` takes every row the moment it is there. When the run ends, the rows go to ``OUTPUT`` in the order
of the texts, in one move, and the journal goes away. A run that goes on reads the journal, or else the output. A row
that is written again replaces the one before: that is how failed rows get another chance.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from toxitrace.errors import ConfigError, DataError
from toxitrace.jsonline import json_line


class Journal:
    """The rows of one run.

    Args:
        output: the file that receives the usable rows.
        order: ids of the texts in the order in which their rows are to stand.
        resume: go on with what an earlier run left, instead of starting again.
        rejects: whether rows that are not usable go to ``OUTPUT.rejected`` instead of among the others.
        hashes: ``text_hash`` of the texts by id, noted in every row; a row of another text is as if it were not there.

    Attributes:
        done: ids that need no more work; a row whose outcome is ``failed`` is not done.
        outcomes: number of rows by outcome.
        stale: ids whose row was written for another text.

    Raises:
        DataError: what was left is no output of this command, or belongs to other texts; nothing is changed then.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        order: Sequence[str],
        *,
        resume: bool,
        rejects: bool = False,
        hashes: Mapping[str, str] | None = None,
    ) -> None:
        self.output = Path(output)
        self.order = order
        self.rejected = beside(self.output, "rejected") if rejects else None
        self.done: set[str] = set()
        self.stale: set[str] = set()
        self._hashes = hashes or {}
        self._known = set(order)
        self._outcome: dict[str, str] = {}
        self._places: dict[str, tuple[int, int]] = {}  # id -> start and length of its line
        path = beside(self.output, "journal")
        if not resume:
            path.unlink(missing_ok=True)
        elif not path.exists():
            self._seed(path)
        self._file = open(path, "a+b")  # noqa: SIM115 - open as long as this object
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def outcomes(self) -> Counter[str]:
        """Number of rows by outcome."""
        return Counter(self._outcome.values())

    def add(self, row: dict[str, Any]) -> None:
        """Write a row so that it survives the end of this process."""
        if row["id"] in self._hashes:
            row = row | {"text_sha256": self._hashes[row["id"]]}
        line = json_line(row).encode()
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(line)
        self._file.flush()
        self._note(row, start, len(line))

    def publish(self) -> None:
        """Write the output, usable rows in the order of the texts."""
        ids = [id for id in self.order if id in self._places]
        if self.rejected:
            refused = [id for id in ids if self._outcome[id] != "ok"]
            self._write(refused, self.rejected) if refused else self.rejected.unlink(missing_ok=True)
            ids = [id for id in ids if self._outcome[id] == "ok"]
        self._write(ids, self.output)

    def finish(self) -> None:
        """Remove the journal; the output must have been published."""
        self._file.close()
        beside(self.output, "journal").unlink()

    def _write(self, ids: Iterable[str], path: Path) -> None:
        part = beside(path, "part")
        with open(part, "wb") as sink:
            for id in ids:
                start, length = self._places[id]
                self._file.seek(start)
                sink.write(self._file.read(length))
        os.replace(part, path)

    def _seed(self, path: Path) -> None:
        """Begin with the rows of a finished or stopped run, once it is sure that they are rows."""
        sources = [source for source in (self.output, self.rejected) if source and source.exists()]
        for source in sources:
            with open(source, "rb") as file:
                self._refuse_strays(self._parsed(line, source, number)["id"] for number, line in enumerate(file, 1))
        part = beside(path, "part")
        with open(part, "wb") as sink:
            for source in sources:
                with open(source, "rb") as file:
                    shutil.copyfileobj(file, sink)
        os.replace(part, path)

    def _read(self) -> None:
        position = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break  # torn off by the end of the process
            self._note(self._parsed(line, beside(self.output, "journal"), number), position, len(line))
            position += len(line)
        self._refuse_strays([*self._places, *self.stale])
        self._file.truncate(position)

    def _parsed(self, line: bytes, path: Path, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
            if line.endswith(b"\n") and isinstance(row["id"], str) and isinstance(row["outcome"], str):
                return dict(row)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise DataError(
            f"{path}: line {number} is no whole row of toxitrace annotate: put the file back as it was, or leave "
            "--resume out to start again"
        )

    def _refuse_strays(self, ids: Iterable[str]) -> None:
        stray = sorted(set(ids) - self._known)
        if stray:
            raise DataError(
                f"{self.output} has {len(stray)} rows of other texts (first id {stray[0]!r}); "
                "name the texts it was begun with, or leave --resume out to start again"
            )

    def _note(self, row: dict[str, Any], start: int, length: int) -> None:
        id, outcome = row["id"], row["outcome"]
        # rows of before there were hashes are believed
        if row.get("text_sha256") and row["text_sha256"] != self._hashes.get(id, row["text_sha256"]):
            self.stale.add(id)
            self._places.pop(id, None)
            self._outcome.pop(id, None)
            self.done.discard(id)
            return
        self.stale.discard(id)
        self._places[id] = start, length
        self._outcome[id] = outcome
        (self.done.discard if outcome == "failed" else self.done.add)(id)


def beside(path: Path, ending: str) -> Path:
    """``rows.jsonl`` -> ``rows.jsonl.ENDING``."""
    return path.with_name(f"{path.name}.{ending}")


def begin_meta(output: Path, settings: dict[str, Any], *, resume: bool) -> None:
    """Note what a run is made with in ``OUTPUT.meta.json``; a run that goes on must be made with the same.

    Raises:
        ConfigError: the run to be resumed had other settings, or there is an output that no run of ours has made.
    """
    content = read_meta(output)
    if output.exists() and "settings" not in content and not beside(output, "journal").exists():
        raise ConfigError(
            f"{output} exists, and no run of toxitrace annotate has made it (there is no {output.name}.meta.json "
            "beside it that says so): name another --output, or move the file away"
        )
    content = content if resume else {}
    noted = content.get("settings", {})
    changed = [
        f"{key} was {json.dumps(noted.get(key), ensure_ascii=False)} and is {json.dumps(value, ensure_ascii=False)}"
        for key, value in settings.items()
        if noted and noted.get(key) != value
    ]
    if changed:
        raise ConfigError(
            f"{output} was begun with other settings ({'; '.join(changed)}); go on with those it was begun with "
            "or leave --resume out to start again (answers in the cache are not asked for twice)"
        )
    write_meta(output, content | {"settings": settings})


def write_meta(output: Path, content: dict[str, Any]) -> None:
    """Write ``OUTPUT.meta.json`` in one move."""
    path = beside(output, "meta.json")
    part = beside(path, "part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def read_meta(output: Path) -> dict[str, Any]:
    """What ``OUTPUT.meta.json`` says; empty if there is none."""
    try:
        content = json.loads(beside(output, "meta.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
