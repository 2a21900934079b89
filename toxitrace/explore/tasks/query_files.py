"""Files of queries: written by a generator or an annotator, or judged, with the decision which belong to D."""

from __future__ import annotations

import os

from toxitrace.data import iter_json_rows, read_queries
from toxitrace.data.annotations import BUILTINS
from toxitrace.data.fields import get_field, parse_id, parse_text
from toxitrace.data.hashing import sha256_file
from toxitrace.errors import DataError


def read_query_lists(source: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Item id -> its queries, best first.

    Args:
        source: ``{"id", "queries"}`` rows (a path or ``builtin:`` name), or what `toxitrace explore rewards` wrote,
            ``{"id", "query", "rank", "kept"}`` rows, of which the kept ones are taken.

    Raises:
        DataError: the file or a row is unusable.
    """
    if os.fspath(source) in BUILTINS or not _is_judged(source):
        return {id: list(row.queries) for id, row in read_queries(source).items()}
    ranked: dict[str, list[tuple[int, str]]] = {}
    for number, row in iter_json_rows(source):
        place = f"{source}:{number}"
        id = parse_id(get_field(row, "id", place), number, place)
        query, rank = parse_text(get_field(row, "query", place), place), get_field(row, "rank", place)
        if type(rank) is not int:
            raise DataError(f"{place}: rank is {rank!r:.20}; expected a whole number: judge the queries again")
        ranked.setdefault(id, [])
        if row.get("kept", True):
            ranked[id].append((rank, query))
    return {id: [query for _, query in sorted(found)] for id, found in ranked.items()}


def fingerprint(source: str | os.PathLike[str]) -> str:
    """What a run that goes on compares: a hash of the file; shipped annotations are known by name."""
    return os.fspath(source) if os.fspath(source) in BUILTINS else sha256_file(source)


def _is_judged(source: str | os.PathLike[str]) -> bool:
    return any("query" in row and "queries" not in row for _, row in [next(iter_json_rows(source), (0, {}))])
