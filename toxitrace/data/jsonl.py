"""JSON Lines: one object per line; and JSON files that hold one list of objects."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from toxitrace.data.fields import (
    build_example,
    collect,
    get_field,
    optional_str,
    parse_id,
    parse_label,
    parse_offsets,
    parse_text,
)
from toxitrace.data.lines import iter_lines, read_text
from toxitrace.data.records import Example
from toxitrace.errors import DataError


def parse_json_row(line: str, place: str) -> dict[str, Any]:
    """One line of JSON Lines as a dict.

    Raises:
        DataError: no JSON, or JSON that is no object.

    >>> parse_json_row('{"text": "你好"}', "a.jsonl:1")
    {'text': '你好'}
    """
    try:
        row = json.loads(line)
    # RecursionError: a line of ten thousand "[" is bad input too, not a crash
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: no valid JSON ({error}); expected one object per line: correct the line") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: a JSON {type(row).__name__}; expected one object {{...}} per line: correct the line")
    return row


def iter_json_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line number from 1, row)`` without loading the file; blank lines are no rows.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object.
    """
    for number, line in iter_lines(path):
        if line.strip():
            yield number, parse_json_row(line, f"{path}:{number}")


def read_json_list(path: str | os.PathLike[str]) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a JSON list, or of the only list inside a JSON object, each with its place.

    Raises:
        DataError: the file cannot be read, is no JSON, or holds no such list.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: no valid JSON ({error.msg}); expected a list of objects") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no valid JSON ({error}); expected a list of objects") from None
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else None
    if not isinstance(content, list):
        raise DataError(f"{path} holds no list of rows; expected a JSON list of objects: check that it is the file")
    rows: list[tuple[str, dict[str, Any]]] = []
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is a JSON {type(row).__name__}; expected an object: correct it")
        rows.append((f"{path}: row {number}", row))
    return rows


def read_jsonl(
    path: str | os.PathLike[str],
    *,
    text_field: str = "text",
    label_field: str = "label",
    require_label: bool = True,
    label_from_spans: bool = False,
) -> list[Example]:
    """Read ``{"id", "text", "label"}`` rows, with ``topic``, ``fine`` and ``spans`` where a row has them.

    Args:
        require_label: data to train or evaluate on, where a missing label or a blank text is an error.
        label_from_spans: a row without label but with ``spans`` counts as 1 if there are any, else as 0.

    Raises:
        DataError: the file or one of its rows is unusable.
    """
    return collect(_rows(path, text_field, label_field, require_label, label_from_spans), path)


def _rows(
    path: str | os.PathLike[str], text_field: str, label_field: str, require_label: bool, label_from_spans: bool
) -> Iterator[tuple[str, Example]]:
    for number, row in iter_json_rows(path):
        place = f"{path}:{number}"
        text = parse_text(get_field(row, text_field, place), place, allow_blank=not require_label)
        spans = parse_offsets(row["spans"], place) if row.get("spans") is not None else None
        if row.get(label_field) is None and label_from_spans and spans is not None:
            label: int | None = int(bool(spans))
        elif row.get(label_field) is None and not require_label:
            label = None
        else:
            label = parse_label(get_field(row, label_field, place), place, label_field)
        yield (
            place,
            build_example(
                place,
                id=parse_id(row.get("id"), number - 1, place),
                text=text,
                label=label,
                topic=optional_str(row.get("topic")),
                spans=spans,
                fine=optional_str(row.get("fine")),
            ),
        )
