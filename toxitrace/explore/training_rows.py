"""Rows that the trainers read: made from D and D_cat, written, read back, and turned into what trl expects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toxitrace.data import rowfile
from toxitrace.data.fields import get_field
from toxitrace.data.jsonl import iter_json_rows
from toxitrace.errors import DataError
from toxitrace.explore.config import PromptLimits
from toxitrace.explore.preferences import Preference
from toxitrace.explore.prompts import Style, chat_messages, render, write_queries
from toxitrace.explore.records import QueryRecord, SeedItem


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One row for SFT: a prompt and the reply that is right.

    Attributes:
        prompt: see `toxitrace.explore.prompts.render`.
        completion: the queries, one per line, best first.
        item_ids: the items in the prompt.
        style: of the prompt.
    """

    prompt: str
    completion: str
    item_ids: tuple[str, ...]
    style: Style = "compact"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"item_ids": list(self.item_ids)}


def demonstrations(
    groups: Iterable[Sequence[SeedItem]],
    records: Sequence[QueryRecord],
    *,
    style: Style,
    max_queries: int = 3,
    limits: PromptLimits | None = None,
) -> list[Demonstration]:
    """SFT rows of single items or of groups (D_cat); those without a query give none.

    A group's queries come by rank, the first of every item before the second of any.

    >>> item = SeedItem("a", "你真是个笨蛋", ((4, 6),))
    >>> demonstrations([[item]], [QueryRecord("a", "笨蛋", 0)], style="chat")[0].completion
    '笨蛋'
    """
    by_item: dict[str, list[QueryRecord]] = {}
    for record in records:
        by_item.setdefault(record.item_id, []).append(record)
    rows: list[Demonstration] = []
    for group in groups:
        of_group = [record for item in group for record in by_item.get(item.id, ())]
        queries = dict.fromkeys(record.query for record in sorted(of_group, key=lambda record: record.rank))
        if queries:
            completion = write_queries(list(queries)[:max_queries])
            rows.append(Demonstration(render(group, style, limits), completion, tuple(i.id for i in group), style))
    return rows


def write_rows(rows: Iterable[Demonstration | Preference], path: str | os.PathLike[str]) -> int:
    """Write rows as JSON lines, all or nothing; returns how many."""
    return rowfile.write_rows(path, (row.to_dict() for row in rows))


def read_demonstrations(path: str | os.PathLike[str]) -> list[Demonstration]:
    """Read what `write_rows` wrote; raises DataError with file and line."""
    rows: list[Demonstration] = []
    for place, row in _placed(path):
        prompt, completion = _strings(row, place, "prompt", "completion")
        rows.append(Demonstration(prompt, completion, *_origin(row, place)))
    return rows


def read_preferences(path: str | os.PathLike[str]) -> list[Preference]:
    """Read ``{"prompt", "chosen", "rejected", "reward_chosen", "reward_rejected"}`` rows; ids and style may be missing.

    Raises:
        DataError: the file or a row of it is unusable, with file and line.
    """
    rows: list[Preference] = []
    for place, row in _placed(path):
        better, worse = (get_field(row, name, place) for name in ("reward_chosen", "reward_rejected"))
        if not isinstance(better, int | float) or not isinstance(worse, int | float):
            raise DataError(
                f"{place}: rewards are {better!r:.20} and {worse!r:.20}; expected two numbers: correct them"
            )
        prompt, chosen, rejected = _strings(row, place, "prompt", "chosen", "rejected")
        try:
            rows.append(Preference(prompt, chosen, rejected, better, worse, *_origin(row, place)))
        except DataError as error:
            raise DataError(f"{place}: {error}: correct the row") from None
    return rows


def trl_rows(rows: Sequence[Demonstration | Preference], style: Style) -> list[dict[str, Any]]:
    """Rows in trl's form: plain strings in style ``compact``, messages in style ``chat``.

    Raises:
        DataError: there are no rows, or they are of another style than the model.
    """
    if not rows:
        raise DataError("there are no rows to train on; expected one or more: look at how many items have queries")
    wrong = next((row for row in rows if row.style != style), None)
    if wrong is not None:
        raise DataError(
            f"rows of style {wrong.style!r} (items {', '.join(wrong.item_ids)}) for a model of style {style!r}: make "
            "the rows anew for this model"
        )
    return [_trl_row(row) for row in rows]


def _trl_row(row: Demonstration | Preference) -> dict[str, Any]:
    replies: Mapping[str, str] = (
        {"completion": row.completion}
        if isinstance(row, Demonstration)
        else {"chosen": row.chosen, "rejected": row.rejected}
    )
    if row.style == "compact":
        return {"prompt": row.prompt, **replies}
    answers = {name: [{"role": "assistant", "content": reply}] for name, reply in replies.items()}
    return {"prompt": chat_messages(row.prompt), **answers}


def _placed(path: str | os.PathLike[str]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{path}:{number}", row) for number, row in iter_json_rows(path)]


def _strings(row: dict[str, Any], place: str, *names: str) -> list[str]:
    values = [get_field(row, name, place) for name in names]
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, str) or not value:
            raise DataError(f"{place}: {name} is {value!r:.60}; expected a string that is not empty: correct the row")
    return values


def _origin(row: dict[str, Any], place: str) -> tuple[tuple[str, ...], Style]:
    ids, style = row.get("item_ids", []), row.get("style", "compact")
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise DataError(f"{place}: item_ids is {ids!r:.60}; expected a list of strings: correct the row")
    if style == "chat" or style == "compact":
        return tuple(ids), style
    raise DataError(f"{place}: style is {style!r:.60}; expected chat or compact: correct the row")
