"""What is known of the platform's items beside the index: their texts, and verdicts where there are some."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from toxitrace.data.fields import get_field, parse_id, parse_label, parse_text
from toxitrace.data.jsonl import iter_json_rows
from toxitrace.errors import DataError
from toxitrace.explore.operate.identity import storable

Note = Callable[[str, str, str], object]
"""Told of a bad day: kind, subject (id, or file and line), detail."""


def read_texts(paths: Iterable[str | os.PathLike[str]], note: Note) -> dict[str, str]:
    """Texts by id; of an id that comes twice the first text stays, and ``note`` is told.

    Raises:
        DataError: a file is unusable, or a row of it has no id or no text, with file and line.
    """
    texts: dict[str, str] = {}
    for path in paths:
        for number, row in iter_json_rows(path):
            place = f"{path}:{number}"
            id = _id(row, place)
            text = storable(parse_text(get_field(row, "text", place), place, allow_blank=True))
            if id in texts:
                note("duplicate_id", id, f"{place}: this id came before; the first text stays")
            else:
                texts[id] = text
    return texts


def read_labels(path: str | os.PathLike[str]) -> dict[str, bool]:
    """Verdicts by id, from ``label`` or ``toxic``; rows with null have none yet. The last row of an id wins.

    Raises:
        DataError: the file is unusable, or holds no verdict at all.
    """
    labels: dict[str, bool] = {}
    for number, row in iter_json_rows(path):
        place = f"{path}:{number}"
        if "label" not in row and "probability" in row:
            continue  # a prediction or a line of a review list that nobody has decided on
        name = "label" if "label" in row else "toxic"
        value = get_field(row, name, place)
        if value is not None:
            labels[_id(row, place)] = bool(parse_label(value, place, name))
    if not labels:
        raise DataError(f'{path} holds no verdicts; expected {{"id", "label"}} rows: check that it is the right file')
    return labels


def _id(row: dict[str, object], place: str) -> str:
    value = get_field(row, "id", place)
    if value is None:
        raise DataError(f"{place}: id is null; expected the item's id in the index: correct the row")
    return storable(parse_id(value, 0, place))
