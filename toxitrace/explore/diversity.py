"""How different queries are from each other, in words and in what they find. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from itertools import combinations

from toxitrace.text.segment import SegmentEngine, segment


def distinct_n(queries: Iterable[str], n: int, unit: SegmentEngine = "chars") -> float:
    """Distinct n-grams over all n-grams of all queries (Li et al. 2016, arXiv 1510.03055); 0 if there are none.

    Args:
        queries: repeated ones count again, so that repetition lowers the figure.
        n: length of the n-grams.
        unit: "chars" or "jieba" for words; white space is neither.

    >>> distinct_n(["笨蛋", "笨蛋"], 1), distinct_n(["笨蛋", "骗子"], 2)
    (0.5, 1.0)
    """
    n_all = 0
    distinct: set[tuple[str, ...]] = set()
    for query in queries:
        units = [query[start:end] for start, end in segment(query, unit)]
        units = [one for one in units if not one.isspace()]
        grams = list(zip(*(units[i:] for i in range(n)), strict=False))
        n_all += len(grams)
        distinct.update(grams)
    return len(distinct) / n_all if n_all else 0.0


def jaccard(a: Collection[str], b: Collection[str]) -> float:
    """Shared over all elements; 0 for two empty sets.

    >>> jaccard(["a", "b"], ["b", "c"]) == 1 / 3
    True
    """
    one, two = set(a), set(b)
    return len(one & two) / len(one | two) if one or two else 0.0


def mean_jaccard(results: Sequence[Collection[str]], *, max_pairs: int = 100_000, seed: int = 1) -> float | None:
    """Mean `jaccard` over all pairs of result sets that are not empty; None with fewer than two of them.

    Args:
        results: the ids that each query found.
        max_pairs: with more pairs than this, so many are drawn: the mean is then an estimate.
        seed: of that draw.

    >>> mean_jaccard([["a", "b"], ["a", "b"], ["c"], []]) == 1 / 3
    True
    """
    sets = [frozenset(ids) for ids in results if ids]
    n = len(sets)
    if n < 2:
        return None
    if n * (n - 1) // 2 <= max_pairs:
        pairs: Iterable[tuple[int, int]] = combinations(range(n), 2)
    else:
        rng = random.Random(seed)
        pairs = [
            (lambda a, b: (a, b if b < a else b + 1))(rng.randrange(n), rng.randrange(n - 1)) for _ in range(max_pairs)
        ]
    values = [jaccard(sets[a], sets[b]) for a, b in pairs]
    return sum(values) / len(values)
