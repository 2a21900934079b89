"""Posts of a platform and the flagged ones among them, from JSON lines: those of `toxitrace predict` as well."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from toxitrace.data import attach_spans, iter_json_rows, read_spans
from toxitrace.data.fields import build_example, collect, get_field, parse_id, parse_label, parse_offsets, parse_text
from toxitrace.data.records import Example
from toxitrace.errors import ConfigError, DataError
from toxitrace.explore.records import SeedItem

Which = Literal["evidence", "toxic", "all"]


def read_items(paths: Iterable[str | os.PathLike[str]]) -> list[Example]:
    """Read ``{"id", "text"}`` rows; ``label`` or ``toxic``, and ``spans`` as pairs or objects, where they have them.

    Args:
        paths: JSON lines, also compressed (.xz, .gz); ids are unique across them.

    Raises:
        DataError: a file or row is unusable, an id comes twice, or there are no rows.
    """
    files = list(paths)
    return collect((pair for path in files for pair in _rows(path)), ", ".join(map(str, files)) or "no file")


def flagged_items(
    paths: Iterable[str | os.PathLike[str]], *, spans: str | None = None, which: Which = "evidence"
) -> list[SeedItem]:
    """The posts that queries are made from.

    Args:
        paths: see `read_items`.
        spans: file (or ``builtin:`` name) of ``{"id", "spans"}`` rows, joined by id.
        which: those with evidence spans, those labelled toxic, or all of them.

    Raises:
        DataError: no post is flagged, or the spans belong to other texts.
    """
    items = read_items(paths)
    if spans is not None:
        notes = read_spans(spans)
        if notes.keys().isdisjoint(item.id for item in items):
            raise DataError(f"{spans}: none of its {len(notes)} ids is among the {len(items)} items: name its items")
        items = attach_spans(items, notes)
    found = [SeedItem(item.id, item.text, item.spans or ()) for item in items if _is_flagged(item, which)]
    if not found:
        expected = "some labelled toxic" if which == "toxic" else "some with spans (--spans joins them by id)"
        raise DataError(f"none of {len(items)} items is flagged; expected {expected}, or take --which all")
    return found


def _is_flagged(item: Example, which: Which) -> bool:
    return which == "all" or (bool(item.spans) if which == "evidence" else item.label == 1)


def limited(items: list[SeedItem], limit: int | None, seed: int) -> list[SeedItem]:
    """A sample by a hash of the ids, the same whatever their order; the order is kept.

    >>> len(limited([SeedItem(str(n), "笨蛋") for n in range(9)], 4, seed=1))
    4
    """
    if limit is None or limit >= len(items):
        return items
    if limit < 1:
        raise ConfigError(f"--limit is {limit}; expected 1 or more items: raise it")

    def drawn(item: SeedItem) -> bytes:
        return hashlib.sha256(f"{seed}\0{item.id}".encode("utf-8", "surrogatepass")).digest()

    chosen = {item.id for item in sorted(items, key=drawn)[:limit]}
    return [item for item in items if item.id in chosen]


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, Example]]:
    for number, row in iter_json_rows(path):
        place = f"{path}:{number}"
        name = "label" if row.get("label") is not None else "toxic"
        yield (
            place,
            build_example(
                place,
                id=parse_id(_required(row, place), number, place),
                text=parse_text(get_field(row, "text", place), place, allow_blank=True),
                label=None if row.get(name) is None else parse_label(row[name], place, name),
                spans=None if row.get("spans") is None else parse_offsets(_pairs(row["spans"]), place),
            ),
        )


def _required(row: dict[str, Any], place: str) -> object:
    # searches leave an item out of its own results by its id: a line's number would be another one in the index
    value = get_field(row, "id", place)
    if value is None:
        raise DataError(f"{place}: id is null; expected the item's id on the platform: correct the row")
    return value


def _pairs(spans: Any) -> Any:
    """``{"start", "end", ...}`` of `toxitrace predict` -> ``[start, end]``; what is neither is complained of later."""
    if not isinstance(spans, list):
        return spans
    return [[span.get("start"), span.get("end")] if isinstance(span, dict) else span for span in spans]
