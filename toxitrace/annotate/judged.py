"""Span files in which nobody may have judged a text: rows where the clues stand in say nothing about agreement."""

from __future__ import annotations

from toxitrace.data import SpanAnnotation, iter_json_rows, read_spans

_NOBODY = {"clues", "none"}


def read_judged(source: str) -> tuple[dict[str, SpanAnnotation], frozenset[str]]:
    """All spans by id, and the ids on which nobody decided.

    Args:
        source: a path, or ``builtin:NAME``; files that name no source are taken as judged.

    Raises:
        DataError: the file or one of its rows is unusable.
    """
    notes = read_spans(source)
    if source.startswith("builtin:"):
        return notes, frozenset()
    rows = zip(notes, iter_json_rows(source), strict=True)  # every row has its own id, in the same order
    unjudged = frozenset(id for id, (_, row) in rows if row.get("source") in _NOBODY)
    return notes, unjudged
