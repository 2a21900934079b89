"""JSON lines and JSON documents, written in one move: a reader never sees half a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toxitrace.data.jsonl import iter_json_rows
from toxitrace.errors import DataError
from toxitrace.jsonline import json_line


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
            sink.write(json_line(row).encode())
    os.replace(part, target)
    return n_rows


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write one JSON document in one move."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(part, target)
