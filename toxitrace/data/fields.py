"""Single fields of a row: raw values in, checked values out, errors that name the place.

``place`` is ``file:line``, or ``file: row N`` where a file has rows but no lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from toxitrace.data.offsets import Offsets, merge_offsets
from toxitrace.data.records import Example
from toxitrace.errors import DataError


def get_field(row: Mapping[str, Any], name: str, place: str) -> Any:
    """``row[name]``, or an error that lists the fields that do exist."""
    if name not in row:
        raise DataError(
            f"{place}: there is no field {name!r}; the row has {', '.join(map(repr, row)) or 'no fields'}: "
            "name the right field or correct the row"
        )
    return row[name]


def parse_id(value: object, default: int, place: str) -> str:
    """A string or whole number as string; None (no id) becomes ``default``, the row's number from 0."""
    if value is None:
        return str(default)
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{place}: id is {value!r}; expected a non-empty string or a whole number: correct the row")


def parse_text(value: object, place: str, *, allow_blank: bool = False) -> str:
    """A string; blank ones only where ``allow_blank``, since nothing can be learnt from them."""
    if not isinstance(value, str):
        raise DataError(
            f"{place}: text is {_short(value)} ({type(value).__name__}); expected a string: correct the row"
        )
    if not allow_blank and not value.strip():
        raise DataError(f"{place}: text is empty or blank ({_short(value)}); expected words: leave the row out")
    return value


def parse_label(value: object, place: str, name: str = "label") -> int:
    """0 or 1, from a number, a boolean or (CSV) its digits.

    >>> parse_label("1.0", "a.csv:2"), parse_label(False, "a.jsonl:1")
    (1, 0)
    """
    if isinstance(value, str):
        label = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}.get(value.strip().strip("\0"))
    elif isinstance(value, int | float) and value in (0, 1):
        label = int(value)
    else:
        label = None
    if label is None:
        raise DataError(
            f"{place}: {name} is {_short(value)}; expected 0 (not toxic) or 1 (toxic): correct the row or leave it out"
        )
    return label


def parse_offsets(value: object, place: str) -> Offsets:
    """A JSON list of ``[start, end]`` pairs, merged; whether they fit the text is for whoever has the text."""
    items: list[Any] = value if isinstance(value, list) else [value]
    pairs: list[tuple[int, int]] = []
    for item in items:
        whole = isinstance(item, list) and len(item) == 2 and all(type(number) is int for number in item)
        if not whole or not 0 <= item[0] < item[1]:
            raise DataError(
                f"{place}: span is {_short(item)}; expected a list of [start, end] pairs of whole numbers with "
                "0 <= start < end, in code points: correct the row"
            )
        pairs.append((item[0], item[1]))
    return merge_offsets(pairs)


def optional_str(value: object) -> str | None:
    """A class or topic name; None and blank strings mean that there is none."""
    return str(value) if value is not None and str(value).strip() else None


def build_example(
    place: str,
    *,
    id: str,
    text: str,
    label: int | None,
    topic: str | None = None,
    spans: Offsets | None = None,
    fine: str | None = None,
) -> Example:
    """An `Example`, with ``place`` put in front of whatever its invariants object to."""
    try:
        return Example(id, text, label, topic, spans, fine)
    except DataError as error:
        raise DataError(f"{place}: {error}: correct the row") from None


def collect(rows: Iterable[tuple[str, Example]], path: object) -> list[Example]:
    """The examples of ``(place, example)`` pairs; raises DataError on a repeated id or when there are none."""
    examples: list[Example] = []
    places: dict[str, str] = {}
    for place, example in rows:
        if example.id in places:
            raise DataError(
                f"{place}: id {example.id!r} was already used at {places[example.id]}; expected each id once: "
                "rename or drop one of the rows"
            )
        places[example.id] = place
        examples.append(example)
    if not examples:
        raise DataError(f"{path} holds no rows; expected at least one: check that it is the right file")
    return examples


def _short(value: object) -> str:
    # a bad row may carry a megabyte of offensive text; the message needs only enough to find it
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
