"""What the package asks of a search engine, whichever it is: items in, the best of them for a query out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from toxitrace.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Item:
    """A text of the platform under the name it has there."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that a query found.

    Attributes:
        score: the higher, the better; comparable within one result list alone.
    """

    id: str
    score: float


class SearchEngine(Protocol):
    """Items that can be searched.

    Laws: at most ``k`` hits, best first, equal scores in ascending order of id, at the k-th place too; no hit without
    a word in common (engines for keywords: ``score > 0``); an excluded id never appears and costs no place; a query
    without words finds nothing.
    """

    def index(self, items: Iterable[Item]) -> None:
        """Hold these items instead of those before.

        Raises:
            DataError: two items have the same id.
        """
        ...

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        """The best ``k`` items for one query; ``exclude`` holds ids, known or not, that are not wanted."""
        ...

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        """The same for many queries, in their order, faster than one by one.

        Args:
            exclude: the unwanted ids of each query; None: none.
        """
        ...

    def __len__(self) -> int:
        """How many items are held."""
        ...


def unique_items(items: Iterable[Item]) -> list[Item]:
    """The items in ascending order of id, the order in which equal scores are reported.

    Raises:
        DataError: an id occurs twice.

    >>> [item.id for item in unique_items([Item("b", "骗子"), Item("a", "笨蛋")])]
    ['a', 'b']
    """
    ordered = sorted(items, key=lambda item: item.id)
    for before, item in pairwise(ordered):
        if before.id == item.id:
            raise DataError(f"two items have the id {item.id!r}; expected every id once: remove or rename one")
    return ordered


def exclusions(queries: Sequence[str], k: int, exclude: Sequence[Collection[str]] | None) -> Sequence[Collection[str]]:
    """One collection of unwanted ids for each query, after a check of what was asked.

    Raises:
        ConfigError: ``k`` is no number of hits, or ``exclude`` does not fit the queries.
    """
    if k < 1:
        raise ConfigError(f"k is {k}; expected the number of hits wanted, 1 or more: raise it")
    if exclude is None:
        return [()] * len(queries)
    if len(exclude) != len(queries):
        raise ConfigError(
            f"exclude has {len(exclude)} entries for {len(queries)} queries; expected one collection of ids for each"
        )
    return exclude
