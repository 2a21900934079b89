"""Keyword search in memory: BM25 over the project's own words, exact, for hundreds of thousands of queries."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toxitrace.errors import MissingExtraError
from toxitrace.search.bm25_folder import StoredIndex, read_index, write_index
from toxitrace.search.postings import Postings, best_documents
from toxitrace.search.protocol import Hit, Item, exclusions, unique_items
from toxitrace.search.splitter import split


class BM25Engine:
    """The items' words with their BM25 weights, worked out once by bm25s; queries only add them up.

        score(q, d) = Σ_{w∈q} ln(1 + (N - n_w + ½) / (n_w + ½)) · f (k1 + 1) / (f + k1 (1 - b + b |d| / mean |d|))

    over the words of the query, repetitions counted; f = how often d holds w. Safe to search from several threads.
    Memory: 8 bytes for each pair of an item and a word it holds (97 MB for 343,000 posts of 36 characters), the words
    and ids on top; the texts are not kept.

    Args:
        k1: how fast repetitions stop counting.
        b: how much long items are held back, 0 to 1.

    >>> engine = BM25Engine()
    >>> engine.index([Item("a", "他是骗子"), Item("b", "天气真好"), Item("c", "別信那個騙子")])
    >>> [hit.id for hit in engine.search("骗子")], engine.search("！？")
    (['a', 'c'], [])
    """

    def __init__(self, k1: float = 1.5, b: float = 0.75) -> None:
        self._index = StoredIndex([], {}, _no_postings(0), k1, b)
        self._row_of: dict[str, int] = {}

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> BM25Engine:
        """An engine that `save` wrote.

        Raises:
            DataError: the folder holds no such index, a broken one, or one made with another splitter.
        """
        engine = cls()
        engine._hold(read_index(folder))
        return engine

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index to a folder, in place of the index that it may hold; complete or not at all.

        Raises:
            DataError: the folder holds something else, or cannot be written.
        """
        write_index(folder, self._index)

    def index(self, items: Iterable[Item]) -> None:
        held = unique_items(items)
        words: dict[str, int] = {}
        # Numbers of words from the dictionary itself: shared objects, a pointer each.
        documents = [[words.setdefault(word, len(words)) for word in split(item.text)] for item in held]
        k1, b = self._index.k1, self._index.b
        postings = _weighed(documents, words, k1, b) if words else _no_postings(len(held))
        self._hold(StoredIndex([item.id for item in held], words, postings, k1, b))

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        return self.search_many([query], k, [exclude])[0]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        unwanted = exclusions(queries, k, exclude)
        scratch = np.zeros(len(self), np.float32)
        return [self._best(query, k, ids, scratch) for query, ids in zip(queries, unwanted, strict=True)]

    def __len__(self) -> int:
        return len(self._index.ids)

    @property
    def n_bytes(self) -> int:
        """Memory of the weights; ids and words come on top."""
        return self._index.postings.n_bytes

    def _hold(self, index: StoredIndex) -> None:
        self._index = index
        self._row_of = {id: row for row, id in enumerate(index.ids)}

    def _best(self, query: str, k: int, exclude: Collection[str], scratch: NDArray[np.float32]) -> list[Hit]:
        known = self._index.words
        counts = Counter(known[word] for word in split(query) if word in known)
        unwanted = {self._row_of[id] for id in exclude if id in self._row_of}
        rows, scores = best_documents(self._index.postings, counts, k + len(unwanted), scratch)
        ids = self._index.ids
        hits = [
            Hit(ids[row], score)
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
            if row not in unwanted
        ]
        return hits[:k]


def _no_postings(n_documents: int) -> Postings:
    return Postings(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), n_documents)


def _weighed(documents: list[list[int]], words: dict[str, int], k1: float, b: float) -> Postings:
    try:
        import bm25s
    except ModuleNotFoundError:
        raise MissingExtraError("bm25s", "explore") from None
    # Term frequencies as Milvus weighs them (bm25s calls that "atire"), so that scores are comparable.
    model: Any = bm25s.BM25(k1=k1, b=b, method="atire", idf_method="lucene", dtype="float32")
    model.index((documents, words), create_empty_token=False, show_progress=False)
    arrays = model.scores
    return Postings(
        np.asarray(arrays["indptr"], np.int64),
        np.asarray(arrays["indices"], np.int32),
        np.asarray(arrays["data"], np.float32),
        len(documents),
    )
