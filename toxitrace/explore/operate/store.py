"""What the loop did and what is left to do. Every method is one transaction: whole, or as if it had not been called."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from toxitrace.explore.operate.identity import query_pattern, storable, text_key
from toxitrace.explore.operate.retire import Retired
from toxitrace.explore.operate.writers import Written
from toxitrace.explore.records import SeedItem
from toxitrace.search.protocol import Hit
from toxitrace.search.splitter import has_words
from toxitrace.types import Prediction, Span

# A query is open in a round if it was not searched in it and its words are not retired.
_OPEN = """
    FROM queries q WHERE NOT EXISTS (SELECT 1 FROM searches s WHERE s.query = q.number AND s.round = :round)
    AND NOT EXISTS (SELECT 1 FROM retired r WHERE r.pattern = q.pattern)
"""
_NEW = " AND NOT EXISTS (SELECT 1 FROM searches s WHERE s.query = q.number) ORDER BY q.number"
_KNOWN = " AND EXISTS (SELECT 1 FROM searches s WHERE s.query = q.number) ORDER BY q.number"


@dataclass(frozen=True, slots=True)
class OpenQuery:
    """A query that is to be searched.

    Attributes:
        number: in the store.
        own_ids: the items it was made from, their copies included.
    """

    number: int
    text: str
    own_ids: frozenset[str]


class Store:
    """State over one connection, see `toxitrace.explore.operate.schema.open_database`.

    Args:
        connection: to a file or to memory.
        now: seconds since 1970.
    """

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], float] = time.time) -> None:
        self.connection = connection
        self._now = now

    def fact(self, name: str) -> str | None:
        """A setting that the store was made with."""
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Keep a setting."""
        with self.connection:
            self.connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def open_round(self, mark: str, n_items: int) -> int:
        """Number of the round: the last one, or a new one if the index is in another state than it was then.

        Args:
            mark: tells states of the index apart.
            n_items: what it holds.
        """
        last = self.connection.execute("SELECT number, mark FROM rounds ORDER BY number DESC LIMIT 1").fetchone()
        if last is not None and last[1] == mark:
            return int(last[0])
        number = 1 if last is None else int(last[0]) + 1
        with self.connection:
            self.connection.execute("INSERT INTO rounds VALUES (?, ?, ?, ?)", (number, mark, n_items, self._now()))
        return number

    def note(self, kind: str, subject: str, detail: str, *, again: bool = False) -> None:
        """Record a bad day; ``again`` counts one that is on record already, else it stays as it is."""
        with self.connection:
            self._note(kind, subject, detail, again)

    def add_seeds(self, seeds: Iterable[SeedItem]) -> None:
        """Take flagged items in; those on record stay as they are. Equal texts are one task, and a bad day."""
        with self.connection:
            for seed in seeds:
                key = text_key(seed.text)
                added = self.connection.execute(
                    "INSERT OR IGNORE INTO seeds (id, text, spans, text_key) VALUES (?, ?, ?, ?)",
                    (seed.id, seed.text, json.dumps(seed.spans), key),
                ).rowcount
                find_first = "SELECT id FROM seeds WHERE text_key = ? ORDER BY number LIMIT 1"
                first = self.connection.execute(find_first, (key,)).fetchone()[0]
                if added and first != seed.id:
                    self._note("duplicate_text", seed.id, f"flagged with the same text as {first}: asked once")

    def unwritten_seeds(self, generator: str) -> list[SeedItem]:
        """Items for which this generator has not written yet, in the order in which they came; of copies the first."""
        found = self.connection.execute(
            "SELECT id, text, spans FROM seeds s WHERE NOT EXISTS "
            "(SELECT 1 FROM replies r WHERE r.seed_id = s.id AND r.generator = ?) AND NOT EXISTS "
            "(SELECT 1 FROM seeds e WHERE e.text_key = s.text_key AND e.number < s.number) ORDER BY number",
            (generator,),
        )
        return [_seed(*row) for row in found]

    def add_written(self, generator: str, written: Iterable[Written]) -> None:
        """Take queries in, each once whatever its spelling; failed items stay unwritten."""
        with self.connection:
            for one in written:
                for query in one.queries:
                    self._add_query(query, one.item_id, generator)
                subject = f"{one.item_id} ({generator})"
                if not one.answered:
                    if one.outcome == "failed":
                        self._note("no_reply", subject, one.error, again=True)
                    continue
                if one.outcome != "written":
                    self._note(one.outcome, subject, "no queries for this item")
                if one.n_dropped:
                    self._note("dropped_lines", subject, f"{one.n_dropped} lines of the answer are no query")
                row = (one.item_id, generator, one.outcome)
                self.connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", row)

    def open_queries(self, round: int, *, known: bool) -> list[OpenQuery]:
        """Queries to be searched in a round: those never searched, or those of earlier rounds."""
        found = self.connection.execute(f"SELECT number, text {_OPEN}{_KNOWN if known else _NEW}", {"round": round})
        return [OpenQuery(number, text, self.own_ids(number)) for number, text in found.fetchall()]

    def own_ids(self, query: int) -> frozenset[str]:
        """The items that a query was made from, with those flagged for the same text."""
        found = self.connection.execute(
            "SELECT copy.id FROM sources JOIN seeds own ON own.id = seed_id "
            "JOIN seeds copy ON copy.text_key = own.text_key WHERE query = ?",
            (query,),
        )
        return frozenset(id for (id,) in found)

    def add_search(
        self,
        query: OpenQuery,
        round: int,
        hits: Sequence[Hit],
        repeated: Iterable[str],
        texts: Mapping[str, str],
        labels: Mapping[str, bool],
    ) -> None:
        """Record a search with what it found."""
        with self.connection:
            row = (query.number, round, len(hits), self._now())
            self.connection.execute("INSERT INTO searches VALUES (?, ?, ?, ?)", row)
            places = [(query.number, round, place, hit.id, hit.score) for place, hit in enumerate(hits)]
            self.connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?)", places)
            for hit in hits:
                text = texts.get(hit.id)
                item = (hit.id, text, None if text is None else text_key(text), labels.get(hit.id))
                add = "INSERT OR IGNORE INTO items (id, text, text_key, label) VALUES (?, ?, ?, ?)"
                self.connection.execute(add, item)
                if text is None:
                    self._note("no_text", hit.id, "no file of --items has this id: it cannot be scored")
            if not hits:
                self._note("empty_result", f"query {query.number} in round {round}", "nothing was found")
            for id in repeated:
                self._note("duplicate_id", id, f"twice among the results of query {query.number}")

    def refresh_items(self, texts: Mapping[str, str], labels: Mapping[str, bool], *, rescore: bool) -> None:
        """Bring what is known of found items up to date; edited texts, and all with ``rescore``, are scored anew."""
        known = self.connection.execute("SELECT id, text, label FROM items").fetchall()
        with self.connection:
            if rescore:
                self.connection.execute("UPDATE items SET probability = NULL, spans = '[]'")
            for id, text, label in known:
                if id in texts and texts[id] != text:
                    change = "UPDATE items SET text = ?, text_key = ?, probability = NULL, spans = '[]' WHERE id = ?"
                    self.connection.execute(change, (texts[id], text_key(texts[id]), id))
                    self.connection.execute("DELETE FROM bad_days WHERE kind = 'no_text' AND subject = ?", (id,))
                if id in labels and labels[id] != label:
                    self.connection.execute("UPDATE items SET label = ? WHERE id = ?", (labels[id], id))

    def unscored_items(self, limit: int, max_chars: int) -> list[tuple[str, str]]:
        """Ids and texts of found items that the detector has not seen, in order of the id: as many as have no more
        than ``max_chars`` characters together, but one at least.
        """
        query = "SELECT id, text FROM items WHERE probability IS NULL AND text IS NOT NULL ORDER BY id LIMIT ?"
        rows = [(str(id), str(text)) for id, text in self.connection.execute(query, (limit,))]
        so_far = accumulate(len(text) for _, text in rows)
        return [row for place, (row, n) in enumerate(zip(rows, so_far, strict=True)) if not place or n <= max_chars]

    def add_scores(self, scores: Mapping[str, Prediction]) -> None:
        """Keep the detector's answers."""
        with self.connection:
            self.connection.executemany(
                "UPDATE items SET probability = ?, spans = ? WHERE id = ?",
                [(one.probability, _spans_json(one.spans), id) for id, one in scores.items()],
            )

    def add_retired(self, patterns: Iterable[Retired], round: int) -> None:
        """Give patterns up; those given up before keep their date."""
        with self.connection:
            rows = [(one.pattern, round, one.n_trials, one.tihr) for one in patterns]
            self.connection.executemany("INSERT OR IGNORE INTO retired VALUES (?, ?, ?, ?)", rows)

    def add_listed(
        self, number: int, texts: Sequence[Sequence[str]], first_place: int, *, made_for: tuple[int, int] | None
    ) -> None:
        """Put posts on a review list, for good.

        Args:
            number: of the list.
            texts: for each text the ids of its posts; the first stands for the others.
            first_place: of the first text.
            made_for: round and number of searches so far, for a new list.
        """
        with self.connection:
            if made_for is not None:
                self.connection.execute("INSERT INTO lists VALUES (?, ?, ?)", (number, *made_for))
            for place, ids in enumerate(texts, start=first_place):
                rows = [(id, number, place, None if id == ids[0] else ids[0]) for id in ids]
                self.connection.executemany("INSERT INTO listed VALUES (?, ?, ?, ?)", rows)
                for id in ids[1:]:
                    self._note("duplicate_text", id, f"found with the same text as {ids[0]}: listed with it")

    def _add_query(self, query: str, seed_id: str, generator: str) -> None:
        key = text_key(query)
        if not has_words(key):
            self._note("no_query", f"{seed_id} ({generator})", "an answer without a word to search for")
            return
        find = "SELECT number FROM queries WHERE key = ?"
        row = self.connection.execute(find, (key,)).fetchone()
        if row is None:
            values = (key, query, query_pattern(query))
            self.connection.execute("INSERT INTO queries (key, text, pattern) VALUES (?, ?, ?)", values)
            row = self.connection.execute(find, (key,)).fetchone()
        self.connection.execute("INSERT OR IGNORE INTO sources VALUES (?, ?, ?)", (row[0], seed_id, generator))

    def _note(self, kind: str, subject: str, detail: str, again: bool = False) -> None:
        on_record = "DO UPDATE SET n = n + 1, last_at = excluded.last_at" if again else "DO NOTHING"
        now = self._now()
        self.connection.execute(
            f"INSERT INTO bad_days VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (kind, subject) {on_record}",
            (kind, storable(subject), storable(detail), now, now),
        )


def _seed(id: str, text: str, spans: str) -> SeedItem:
    return SeedItem(id, text, tuple((start, end) for start, end in json.loads(spans)))


def _spans_json(spans: Iterable[Span]) -> str:
    return json.dumps([[span.start, span.end, span.score] for span in spans])
