"""Read texts to score, line by line, whatever is wrong with some of them.

Unlike the readers of training data, these stop at nothing: a bad line becomes a ``BadLine`` and the next is read.
"""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from toxitrace.errors import DataError

_BOM = b"\xef\xbb\xbf"
# Rows at the beginning of a JSONL file of which one must have the text, or --text-column is taken to be wrong.
_FIRST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Record:
    """A text to score.

    Attributes:
        id: the input's own id, any JSON value, else the zero-based number of its line (of its row in a CSV file).
        text: the text, untouched.
        line: one-based line of the file it begins on.
    """

    id: Any
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, or a CSV row of several lines, that holds no text.

    Attributes:
        line: one-based line of the file it begins on.
        raw: its bytes, line end included.
        reason: what is wrong with it.
    """

    line: int
    raw: bytes
    reason: str


def read_txt(lines: Iterable[bytes], column: str) -> Iterator[Record | BadLine]:
    """One text per line; a blank line is an empty text. ``column`` is not used."""
    for index, raw in enumerate(_without_bom(lines)):
        try:
            yield Record(index, raw.rstrip(b"\r\n").decode("utf-8"), index + 1)
        except UnicodeDecodeError as error:
            yield BadLine(index + 1, raw, _no_utf8(error))


def read_jsonl(lines: Iterable[bytes], column: str) -> Iterator[Record | BadLine]:
    """One JSON object per line with its text under ``column``; blank lines are skipped.

    Raises:
        DataError: none of the first rows has such a key.
    """
    rows = ((index, raw) for index, raw in enumerate(_without_bom(lines)) if raw.strip())
    first = list(islice(rows, _FIRST_ROWS))
    _check_column([raw for _, raw in first], column)
    for index, raw in chain(first, rows):
        try:
            yield _record(_parse(raw), column, index)
        except UnicodeDecodeError as error:
            yield BadLine(index + 1, raw, _no_utf8(error))
        except RecursionError:
            yield BadLine(index + 1, raw, "no usable JSON: nested too deeply")
        except json.JSONDecodeError as error:
            yield BadLine(index + 1, raw, f"no valid JSON: {error.msg.removesuffix(' at')} at column {error.colno}")
        except (ValueError, DataError) as error:
            too_long = "set_int_max_str_digits" in str(error)  # Python's advice, for whoever writes programs
            yield BadLine(
                index + 1, raw, "no usable JSON: a number beyond the limit of digits" if too_long else str(error)
            )


def read_csv(lines: Iterable[bytes], column: str) -> Iterator[Record | BadLine]:
    """A CSV file with a header; the text stands under ``column``, the id under ``id`` if there is such a column.

    Raises:
        DataError: the header has no such column.
    """
    csv.field_size_limit(sys.maxsize)  # process-wide; the default stops at a text of 128 KiB
    taken: list[bytes] = []

    def decoded() -> Iterator[str]:
        for raw in _without_bom(lines):
            taken.append(raw)
            yield raw.decode("utf-8", "surrogateescape")  # the row is checked as a whole, below

    # Strict, or an unclosed quote would swallow the rest of the file without a word.
    rows = csv.reader(decoded(), strict=True)
    header = _csv_header(rows, column)
    line, index = 1 + len(taken), 0
    while True:
        taken.clear()
        try:
            row: list[str] | None = next(rows, None)
            if row is None:
                return
            reason = _csv_fault(row, header, column, b"".join(taken))
        except csv.Error as error:
            row, reason = [], f"no valid CSV: {error}"
        if reason is not None:
            yield BadLine(line, b"".join(taken), reason)
        elif row:
            values = dict(zip(header, row, strict=False))
            yield Record(values.get("id") or index, values[column], line)
        index += bool(row or reason)
        line += len(taken)


READERS: dict[str, Callable[[Iterable[bytes], str], Iterator[Record | BadLine]]] = {
    "txt": read_txt,
    "jsonl": read_jsonl,
    "csv": read_csv,
}


def _without_bom(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines without a mark of UTF-8 at their beginning.

    Raises:
        DataError: they begin with a mark of UTF-16, whose lines end elsewhere.
    """
    for index, raw in enumerate(lines):
        if index == 0 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError("the file is UTF-16; convert it first: iconv -f utf-16 -t utf-8")
        yield raw.removeprefix(_BOM) if index == 0 else raw


def _parse(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)


def _check_column(first: list[bytes], column: str) -> None:
    """A wrong --text-column would make every line a bad one: stop instead, and say which keys there are."""
    keys: dict[str, None] = {}
    for raw in first:
        try:
            row = _parse(raw)
        except (ValueError, RecursionError):  # reported in its turn
            continue
        keys.update(dict.fromkeys(row if isinstance(row, dict) else ()))
    if keys and column not in keys:
        rows = "the only row" if len(first) == 1 else f"none of the first {len(first)} rows"
        has = "has no" if len(first) == 1 else "has"
        raise DataError(f"{rows} {has} {column!r}, the keys are {_shown(keys)}; name one of them with --text-column")


def _shown(keys: Iterable[str]) -> str:
    names = [repr(key) for key in islice(keys, 11)]
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _record(row: Any, column: str, index: int) -> Record:
    if not isinstance(row, dict):
        raise DataError(f"expected a JSON object, not {type(row).__name__}")
    if column not in row:
        raise DataError(f"the object has no {column!r}")
    if not isinstance(row[column], str):
        raise DataError(f"{column!r} is {type(row[column]).__name__}; expected a string")
    record_id = row.get("id")
    if record_id is None:
        record_id = index
    elif not isinstance(record_id, (str, int)):
        json.dumps(record_id, allow_nan=False)  # 1e999 reads as infinity, which no JSON line can hold
    return Record(record_id, row[column], index + 1)


def _csv_header(rows: Iterator[list[str]], column: str) -> list[str]:
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise DataError(f"the header is no valid CSV: {error}") from None
    if column not in header:
        raise DataError(f"the header has no column {column!r}, it has {header}; name one with --text-column")
    return header


def _csv_fault(row: list[str], header: list[str], column: str, raw: bytes) -> str | None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return _no_utf8(error)
    if row and len(row) <= header.index(column):
        return f"{len(row)} columns; expected {len(header)}, the text in column {header.index(column) + 1}"
    if len(row) > len(header):  # most likely an unquoted comma: scoring the column would lose the rest of the text
        return f"{len(row)} columns; expected {len(header)}: quote a text that holds the separator"
    return None


def _no_utf8(error: UnicodeDecodeError) -> str:
    return f"no valid UTF-8 at byte {error.start} (if the file is GBK: iconv -f gb18030 -t utf-8)"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"no valid JSON: {name}")
