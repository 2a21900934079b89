"""Weak spans, rationales and queries: read from a file or from the package, joined by id, never by line."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from toxitrace.data.fields import get_field, parse_id, parse_offsets, parse_text
from toxitrace.data.jsonl import iter_json_rows
from toxitrace.data.offsets import Offsets
from toxitrace.data.records import Example
from toxitrace.errors import DataError

BUILTINS = {
    "builtin:cold-spans": "cold-spans.jsonl.xz",
    "builtin:cold-rationales": "cold-rationales.jsonl.xz",
    "builtin:cold-queries": "cold-queries.jsonl.xz",
    "builtin:swsr-spans": "swsr-spans.jsonl.xz",
}
"""Annotations that ship with the package; ``annotations/NOTICE.txt`` says what they are."""


@dataclass(frozen=True, slots=True)
class SpanAnnotation:
    """Evidence in one text; ``place`` (``file:line``) is for errors that show only at the join."""

    id: str
    spans: Offsets
    place: str


@dataclass(frozen=True, slots=True)
class Rationales:
    """The best argument that a text is toxic, and the best that it is not."""

    id: str
    toxic: str
    non_toxic: str


@dataclass(frozen=True, slots=True)
class Queries:
    """Search queries that find more of the same, best first."""

    id: str
    queries: tuple[str, ...]


def read_spans(source: str | os.PathLike[str]) -> dict[str, SpanAnnotation]:
    """Read ``{"id", "spans"}`` rows from a path or ``builtin:`` name, by id.

    Raises:
        DataError: the file or one of its rows is unusable, or an id comes twice.

    >>> len(read_spans("builtin:cold-spans"))
    14993
    """
    rows: dict[str, SpanAnnotation] = {}
    for id, row, place in _rows(source):
        rows[id] = SpanAnnotation(id, parse_offsets(get_field(row, "spans", place), place), place)
    return rows


def read_rationales(source: str | os.PathLike[str]) -> dict[str, Rationales]:
    """Read ``{"id", "toxic", "non_toxic"}`` rows from a path or ``builtin:`` name, by id; raises like `read_spans`."""
    rows: dict[str, Rationales] = {}
    for id, row, place in _rows(source):
        sides = [parse_text(get_field(row, side, place), place) for side in ("toxic", "non_toxic")]
        rows[id] = Rationales(id, sides[0], sides[1])
    return rows


def read_queries(source: str | os.PathLike[str]) -> dict[str, Queries]:
    """Read ``{"id", "queries"}`` rows from a path or ``builtin:`` name, by id; raises like `read_spans`."""
    rows: dict[str, Queries] = {}
    for id, row, place in _rows(source):
        queries = get_field(row, "queries", place)
        if not isinstance(queries, list):
            raise DataError(f"{place}: queries is {type(queries).__name__}; expected a list of strings: correct it")
        rows[id] = Queries(id, tuple(parse_text(query, place) for query in queries))
    return rows


def read_probabilities(source: str | os.PathLike[str]) -> dict[str, float]:
    """Read ``{"id", "probability"}`` rows, such as `toxitrace predict` writes, by id; raises like `read_spans`."""
    found: dict[str, float] = {}
    for id, row, place in _rows(source):
        value = get_field(row, "probability", place)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise DataError(f"{place}: probability is {value!r}; expected a number from 0 to 1: correct the row")
        found[id] = float(value)
    return found


def attach_spans(examples: Iterable[Example], spans: Mapping[str, SpanAnnotation]) -> list[Example]:
    """Give every example the spans annotated under its id; the others stay as they are.

    Raises:
        DataError: a span lies outside its text, with the annotation's file and line.

    >>> note = SpanAnnotation("a", ((4, 6),), "spans.jsonl:1")
    >>> attach_spans([Example("a", "你真是个笨蛋", 1)], {"a": note})[0].evidence
    ('笨蛋',)
    """
    return [_attach(example, spans.get(example.id)) for example in examples]


def unknown_ids(examples: Iterable[Example], annotations: Mapping[str, object]) -> tuple[str, ...]:
    """Ids that are annotated but belong to no example: expected for a subset, suspicious for a whole data set."""
    known = {example.id for example in examples}
    return tuple(id for id in annotations if id not in known)


def _attach(example: Example, note: SpanAnnotation | None) -> Example:
    if note is None:
        return example
    try:
        return dataclasses.replace(example, spans=note.spans)
    except DataError as error:
        raise DataError(
            f"{note.place}: id {note.id!r}: {error}: check that the annotations belong to these texts"
        ) from None


def _rows(source: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, object], str]]:
    lines: dict[str, int] = {}
    with _local(source) as path:
        for number, row in iter_json_rows(path):
            place = f"{source}:{number}"
            value = get_field(row, "id", place)
            if value is None:
                raise DataError(f"{place}: id is null; expected the id of the annotated text: correct the row")
            id = parse_id(value, number - 1, place)
            if id in lines:
                raise DataError(
                    f"{place}: id {id!r} was already used in line {lines[id]}; expected each id once: drop one row"
                )
            lines[id] = number
            yield id, row, place
    if not lines:
        raise DataError(f"{source} holds no rows; expected annotations: check that it is the right file")


@contextmanager
def _local(source: str | os.PathLike[str]) -> Iterator[Path]:
    name = os.fspath(source)
    if not name.startswith("builtin:"):
        yield Path(name)
        return
    if name not in BUILTINS:
        raise DataError(f"{name} does not exist; expected a path or one of {', '.join(BUILTINS)}")
    # as_file: the package may be inside a zip
    with resources.as_file(resources.files("toxitrace.data").joinpath("annotations", BUILTINS[name])) as path:
        yield path
