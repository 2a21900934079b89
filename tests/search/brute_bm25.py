"""BM25 written out, to hold the engines against."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

from toxitrace.search import Hit, Item, split


def bm25(items: Sequence[Item], query: str, k1: float = 1.5, b: float = 0.75) -> dict[str, float]:
    """Score of every item that shares a word with the query."""
    counts = {item.id: Counter(split(item.text)) for item in items}
    mean_length = sum(map(Counter.total, counts.values())) / max(1, len(items))
    scores: dict[str, float] = {}
    for id, words in counts.items():
        for word in split(query):
            if f := words[word]:
                n_with = sum(word in other for other in counts.values())
                idf = math.log(1 + (len(items) - n_with + 0.5) / (n_with + 0.5))
                damped = k1 * (1 - b + b * words.total() / mean_length)
                scores[id] = scores.get(id, 0.0) + idf * f * (k1 + 1) / (f + damped)
    return scores


def assert_best(hits: Sequence[Hit], scores: dict[str, float], k: int, exclude: Collection[str] = ()) -> None:
    """``hits`` are the best ``k`` of ``scores``, in order; scores that differ by rounding alone may change places."""
    wanted = {id: score for id, score in scores.items() if id not in exclude}
    ids = [hit.id for hit in hits]
    assert len(set(ids)) == len(ids) == min(k, len(wanted))
    assert set(ids) <= set(wanted)
    for hit, best in zip(hits, sorted(wanted.values(), reverse=True), strict=False):
        assert math.isclose(hit.score, wanted[hit.id], rel_tol=1e-4)
        assert math.isclose(hit.score, best, rel_tol=1e-4)
    assert [(-hit.score, hit.id) for hit in hits] == sorted((-hit.score, hit.id) for hit in hits)
