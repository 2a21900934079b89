"""Several ranked lists as one: reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from toxitrace.errors import ConfigError
from toxitrace.search.protocol import Hit, Item, SearchEngine


def fuse(rankings: Iterable[Sequence[Hit]], k: int = 60) -> list[Hit]:
    """Score every id by the sum of 1 / (k + rank) over the lists that hold it; equal sums in order of id.

    Args:
        rankings: lists, best first.
        k: how little the first ranks stand out; 60 in the paper.

    >>> lists = [[Hit("a", 9.0), Hit("b", 5.0)], [Hit("b", 0.7)]]
    >>> [(hit.id, round(hit.score, 4)) for hit in fuse(lists)]
    [('b', 0.0325), ('a', 0.0164)]
    """
    if k < 0:
        raise ConfigError(f"k of the fusion is {k}; expected 0 or more: correct it")
    terms: defaultdict[str, list[float]] = defaultdict(list)
    for ranking in rankings:
        for rank, hit in enumerate(ranking, start=1):
            terms[hit.id].append(1.0 / (k + rank))
    # Sorted before they are added: whichever list comes first, equal ranks give equal sums.
    fused = [Hit(id, sum(sorted(parts))) for id, parts in terms.items()]
    return sorted(fused, key=lambda hit: (-hit.score, hit.id))


class HybridEngine:
    """Asks several engines and fuses what they found.

    Args:
        engines: e.g. BM25 and dense; the same items in each.
        depth: hits asked of each engine, ``k`` if that is more.
        fusion_k: the ``k`` of `fuse`.
    """

    def __init__(self, engines: Sequence[SearchEngine], depth: int = 100, fusion_k: int = 60) -> None:
        if not engines or depth < 1:
            raise ConfigError(f"{len(engines)} engines, depth {depth}; expected at least one engine and a depth of 1")
        self._engines = tuple(engines)
        self._depth = depth
        self._fusion_k = fusion_k

    def index(self, items: Iterable[Item]) -> None:
        held = list(items)
        for engine in self._engines:
            engine.index(held)

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        return self.search_many([query], k, [exclude])[0]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        if k < 1:
            raise ConfigError(f"k is {k}; expected the number of hits wanted, 1 or more: raise it")
        found = [engine.search_many(queries, max(k, self._depth), exclude) for engine in self._engines]
        return [fuse(rankings, self._fusion_k)[:k] for rankings in zip(*found, strict=True)]

    def __len__(self) -> int:
        return len(self._engines[0])
