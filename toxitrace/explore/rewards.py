"""What a query is worth: how much of what it finds is toxic (methods.md 2). Pure, but for the engine that is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toxitrace.errors import DataError

if TYPE_CHECKING:
    from toxitrace.search.protocol import SearchEngine

Judge = Mapping[str, bool] | Callable[[str], bool]
"""τ: whether the item of an id is toxic, by its label or by a detector."""


def hit(toxic: Sequence[bool]) -> int:
    """Number of toxic results.

    >>> hit([True, False, True])
    2
    """
    return sum(toxic)


def tihr(toxic: Sequence[bool]) -> float:
    """Toxic-item hit rate: share of the results that are toxic; 0 if nothing was returned.

    Note: reconstruction; the paper names the rate, the formula is ours.

    >>> tihr([True, False, True, False]), tihr([])
    (0.5, 0.0)
    """
    return hit(toxic) / len(toxic) if toxic else 0.0


def precision_at(toxic: Sequence[bool], n: int) -> float:
    """Toxic results among the first ``n``, over ``n``: results that are missing count as misses.

    >>> precision_at([True, True], 10)
    0.2
    """
    return hit(toxic[:n]) / n


@dataclass(frozen=True, slots=True)
class Judged:
    """A query with its results, best first, and which of them are toxic.

    Attributes:
        query: what was searched for.
        result_ids: ids of the items found, without those that the query was made from.
        result_toxic: τ of each.
    """

    query: str
    result_ids: tuple[str, ...]
    result_toxic: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.result_ids) != len(self.result_toxic):
            raise DataError(f"{len(self.result_ids)} results but {len(self.result_toxic)} judgements; expected as many")

    @property
    def n_results(self) -> int:
        return len(self.result_ids)

    @property
    def hit(self) -> int:
        """Toxic results."""
        return hit(self.result_toxic)

    @property
    def tihr(self) -> float:
        """Share of toxic results."""
        return tihr(self.result_toxic)

    @property
    def precision_at_10(self) -> float:
        """Toxic results among the first ten, over ten."""
        return precision_at(self.result_toxic, 10)

    @property
    def toxic_ids(self) -> tuple[str, ...]:
        """Ids of the toxic results, best first."""
        return tuple(id for id, toxic in zip(self.result_ids, self.result_toxic, strict=True) if toxic)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row without the results themselves."""
        return {
            "query": self.query,
            "n_results": self.n_results,
            "hit": self.hit,
            "tihr": self.tihr,
            "precision_at_10": self.precision_at_10,
        }


def judge_queries(
    engine: SearchEngine,
    queries: Sequence[str],
    toxic: Judge,
    k: int = 100,
    exclude: Sequence[Collection[str]] | None = None,
    *,
    batch_size: int = 1024,
) -> list[Judged]:
    """Search for every query and judge what comes back.

    Args:
        engine: an index of the platform.
        queries: may repeat.
        toxic: τ by id; a mapping must know every id that is found.
        k: most results of a query.
        exclude: for each query the ids that may not count: the items it was made from.
        batch_size: queries handed to the engine at once, which bounds its memory.

    Raises:
        DataError: an item was found that ``toxic`` does not know, or ``exclude`` is of another length.
    """
    return list(iter_judged(engine, queries, toxic, k, exclude, batch_size=batch_size))


def iter_judged(
    engine: SearchEngine,
    queries: Sequence[str],
    toxic: Judge,
    k: int = 100,
    exclude: Sequence[Collection[str]] | None = None,
    *,
    batch_size: int = 1024,
) -> Iterator[Judged]:
    """`judge_queries`, one query after the other, for runs that write as they go."""
    if exclude is not None and len(exclude) != len(queries):
        raise DataError(f"{len(queries)} queries but {len(exclude)} sets of excluded ids; expected one for each query")
    judge = _judging(toxic)
    for start in range(0, len(queries), batch_size):
        part = queries[start : start + batch_size]
        hidden = None if exclude is None else exclude[start : start + batch_size]
        for query, hits in zip(part, engine.search_many(part, k=k, exclude=hidden), strict=True):
            ids = tuple(found.id for found in hits)
            yield Judged(query, ids, tuple(judge(id) for id in ids))


def _judging(toxic: Judge) -> Callable[[str], bool]:
    if not isinstance(toxic, Mapping):
        return toxic

    def by_label(id: str) -> bool:
        try:
            return bool(toxic[id])
        except KeyError:
            raise DataError(
                f"the search found item {id!r}, which has no label; expected one for every item of the index: judge "
                "by the detector, or index labelled items only"
            ) from None

    return by_label
