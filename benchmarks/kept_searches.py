"""Searches that outlive the process: what was asked once is not asked again."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from toxitrace.search import Hit, Item, SearchEngine

Key = tuple[str, int, str]


class KeptSearches:
    """An engine that asks another one only what nobody has asked it before.

    Args:
        engine: holds the items already; its scores are float32, as BM25's are.
        ids: of all its items, in an order that stays.
        path: the answers so far, of this engine and these items alone.
    """

    def __init__(self, engine: SearchEngine, ids: Sequence[str], path: Path) -> None:
        self._engine = engine
        self._ids = ids
        self._place = {id: place for place, id in enumerate(ids)}
        self._store = sqlite3.connect(path)
        self._store.execute(
            "CREATE TABLE IF NOT EXISTS answers (query TEXT, k INTEGER, hidden TEXT, places BLOB, scores BLOB, "
            "PRIMARY KEY (query, k, hidden)) WITHOUT ROWID"
        )

    def index(self, items: Iterable[Item]) -> None:
        raise NotImplementedError("the answers belong to the items that are held; expected no others")

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        return self.search_many([query], k, [exclude])[0]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        hidden = [sorted(set(ids)) for ids in exclude] if exclude is not None else [[] for _ in queries]
        keys = [(query, k, "\n".join(ids)) for query, ids in zip(queries, hidden, strict=True)]
        wanted = dict(zip(keys, hidden, strict=True))
        found = {key: hits for key in wanted if (hits := self._kept(key)) is not None}
        new = [key for key in wanted if key not in found]
        if new:
            answers = self._engine.search_many([query for query, _, _ in new], k, [wanted[key] for key in new])
            found |= zip(new, answers, strict=True)
            with self._store:
                self._store.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", map(self._row, new, answers))
        return [found[key] for key in keys]

    def __len__(self) -> int:
        return len(self._engine)

    def _kept(self, key: Key) -> list[Hit] | None:
        row = self._store.execute(
            "SELECT places, scores FROM answers WHERE query = ? AND k = ? AND hidden = ?", key
        ).fetchone()
        if row is None:
            return None
        places, scores = np.frombuffer(row[0], np.int32).tolist(), np.frombuffer(row[1], np.float32).tolist()
        return [Hit(self._ids[place], score) for place, score in zip(places, scores, strict=True)]

    def _row(self, key: Key, hits: Sequence[Hit]) -> tuple[str, int, str, bytes, bytes]:
        places = np.array([self._place[hit.id] for hit in hits], np.int32)
        return (*key, places.tobytes(), np.array([hit.score for hit in hits], np.float32).tobytes())
