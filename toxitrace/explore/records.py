"""Flagged items with their spans, the queries written for them, and which of those are kept: D of methods.md 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from toxitrace.data import Example, Queries
from toxitrace.data.offsets import Offsets
from toxitrace.errors import DataError


@dataclass(frozen=True, slots=True)
class SeedItem:
    """A toxic item that queries are made from.

    Attributes:
        id: its id on the platform, so that it is never among its own results.
        text: the untouched string.
        spans: evidence as half-open offsets in code points; () = none known.

    >>> SeedItem("a", "你真是个笨蛋", ((4, 6),)).evidence
    ('笨蛋',)
    """

    id: str
    text: str
    spans: Offsets = ()

    def __post_init__(self) -> None:
        for start, end in self.spans:
            if not 0 <= start < end <= len(self.text):
                raise DataError(
                    f"item {self.id!r}: span [{start}, {end}) does not fit its text of {len(self.text)} characters; "
                    "expected code points of this very text: check that the spans belong to it"
                )

    @property
    def evidence(self) -> tuple[str, ...]:
        """The marked stretches as strings, in reading order."""
        return tuple(self.text[start:end] for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class QueryRecord:
    """A query that somebody wrote for an item.

    Attributes:
        item_id: the item it was made from.
        query: as it would be typed.
        rank: 0 for the best of its item.
    """

    item_id: str
    query: str
    rank: int


@dataclass(frozen=True, slots=True)
class KeepRule:
    """Which annotated queries are D: ``hit >= min_hits or len <= max_chars`` (the paper: hit > 0 or len <= 10).

    Attributes:
        min_hits: other toxic items that the query has to find.
        max_chars: queries of at most so many characters stay whatever they find; 0 switches that off.
    """

    min_hits: int = 1
    max_chars: int = 10

    def keeps(self, query: str, hit: int) -> bool:
        """Whether a query with ``hit`` toxic results belongs to D.

        >>> KeepRule().keeps("笨蛋", 0), KeepRule().keeps("你们这些笨蛋都给我走开", 0)
        (True, False)
        """
        return hit >= self.min_hits or len(query) <= self.max_chars


def seed_items(examples: Iterable[Example]) -> list[SeedItem]:
    """Examples with spans as seed items; those without are left out (there is no evidence to search by)."""
    return [SeedItem(example.id, example.text, example.spans) for example in examples if example.spans]


def query_records(items: Sequence[SeedItem], queries: Mapping[str, Queries]) -> list[QueryRecord]:
    """The annotated queries of ``items``, joined by id, in the items' order; items without queries give none.

    Raises:
        DataError: none of the ids meet, so that the files do not belong together.

    >>> notes = {"a": Queries("a", ("笨蛋", "骗子"))}
    >>> [record.query for record in query_records([SeedItem("a", "你是笨蛋和骗子")], notes)]
    ['笨蛋', '骗子']
    """
    if items and queries and not any(item.id in queries for item in items):
        raise DataError(
            f"none of the {len(queries)} ids with queries is among the {len(items)} items; expected the queries of "
            "these items: check that the files belong together"
        )
    return [
        QueryRecord(item.id, query, rank)
        for item in items
        if item.id in queries
        for rank, query in enumerate(queries[item.id].queries)
    ]


def keep_annotated(
    records: Sequence[QueryRecord], hits: Sequence[int], rule: KeepRule | None = None
) -> tuple[list[QueryRecord], list[QueryRecord]]:
    """Split annotated queries into ``(D, dropped)`` by what they find [paper].

    Args:
        records: annotated queries.
        hits: toxic results of each, in the same order.
        rule: default `KeepRule`.
    """
    rule = rule or KeepRule()
    kept: list[QueryRecord] = []
    dropped: list[QueryRecord] = []
    for record, hit in zip(records, hits, strict=True):
        (kept if rule.keeps(record.query, hit) else dropped).append(record)
    return kept, dropped
