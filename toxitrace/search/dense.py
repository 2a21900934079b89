"""Search by meaning, exactly: the inner product of the query's vector with every item's. N items, D dimensions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from toxitrace.errors import ConfigError
from toxitrace.search.protocol import Hit, Item, exclusions, unique_items
from toxitrace.search.ranking import best_rows
from toxitrace.search.splitter import has_words

Encode = Callable[[Sequence[str]], NDArray[np.float32]]

_N_SCORES = 1 << 25  # held at once: 128 MiB
# A matrix product rounds equal rows differently, by their place in it; what lies closer to the k-th best than this
# share of the largest score is worked out again, every row alike.
_ROUNDING = 1e-5


class DenseEngine:
    """Every item as a vector; nothing is approximate, equal vectors score equally.

    A score may be 0 or less here: vectors always have some inner product, so that ``k`` hits come if there are as many
    items. Memory: 4 N D bytes.

    Args:
        encode: texts -> (n, D) vectors; normalise them there for the cosine.
        n_texts: texts handed to ``encode`` at once.

    >>> engine = DenseEngine(lambda texts: np.array([[text.count("骗"), 1] for text in texts], np.float32))
    >>> engine.index([Item("a", "天气好"), Item("b", "骗子")])
    >>> engine.search("骗", k=1)
    [Hit(id='b', score=2.0)]
    """

    def __init__(self, encode: Encode, n_texts: int = 256) -> None:
        if n_texts < 1:
            raise ConfigError(f"n_texts is {n_texts}; expected the texts to encode at once, 1 or more: raise it")
        self._encode = encode
        self._n_texts = n_texts
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._vectors = np.zeros((0, 0), np.float32)

    def index(self, items: Iterable[Item]) -> None:
        held = unique_items(items)
        vectors = encode_in_parts(self._encode, [item.text for item in held], self._n_texts)
        self._ids = [item.id for item in held]
        self._row_of = {id: row for row, id in enumerate(self._ids)}
        self._vectors = vectors

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        return self.search_many([query], k, [exclude])[0]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        unwanted = exclusions(queries, k, exclude)
        hits: list[list[Hit]] = [[] for _ in queries]
        asked = [i for i, query in enumerate(queries) if has_words(query)] if self._ids else []
        n_at_once = max(1, _N_SCORES // max(1, len(self._ids)))
        for begin in range(0, len(asked), n_at_once):
            part = asked[begin : begin + n_at_once]
            vectors = encode_in_parts(self._encode, [queries[i] for i in part], self._n_texts)
            scores = vectors @ self._vectors.T  # (part, D) -> (part, N)
            for i, vector, row_scores in zip(part, vectors, scores, strict=True):
                hits[i] = self._best(vector, row_scores, k, unwanted[i])
        return hits

    def __len__(self) -> int:
        return len(self._ids)

    def _best(
        self, vector: NDArray[np.float32], scores: NDArray[np.float32], k: int, exclude: Collection[str]
    ) -> list[Hit]:
        scores[[self._row_of[id] for id in exclude if id in self._row_of]] = -np.inf
        close = np.flatnonzero(scores > -np.inf)
        if k < len(close):
            kth_best = np.partition(scores, len(scores) - k)[len(scores) - k]
            close = np.flatnonzero(scores >= kth_best - _ROUNDING * np.abs(scores[close]).max())
        exact = (self._vectors[close].astype(np.float64) * vector).sum(axis=1).astype(np.float32)  # -> (close,)
        best = best_rows(exact, k)
        found = zip(close[best].tolist(), exact[best].tolist(), strict=True)
        return [Hit(self._ids[row], score) for row, score in found]


def encode_in_parts(encode: Encode, texts: Sequence[str], n_texts: int) -> NDArray[np.float32]:
    """Vectors of all the texts, (n, D).

    Raises:
        ConfigError: ``encode`` returns something else than one finite vector for each text.
    """
    parts = []
    for begin in range(0, len(texts), n_texts):
        part = texts[begin : begin + n_texts]
        vectors = np.asarray(encode(part), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(part) or not np.isfinite(vectors).all():
            raise ConfigError(
                f"encode returned shape {vectors.shape} for {len(part)} texts, or numbers that are not finite; "
                "expected one finite vector for each text"
            )
        parts.append(vectors)
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
