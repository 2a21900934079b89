"""What the store's searches found, judged: read anew whenever labels or scores have changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from toxitrace.explore.operate.identity import is_hash_id
from toxitrace.explore.operate.retire import Trial
from toxitrace.explore.operate.store import Store
from toxitrace.explore.operate.verdicts import Agreement, Judge, Verdicts, compare
from toxitrace.explore.preferences import Compared
from toxitrace.explore.records import SeedItem
from toxitrace.explore.rewards import Judged


@dataclass(frozen=True, slots=True)
class Searched:
    """The last search of a query.

    Attributes:
        number: of the query in the store.
        round: when it was.
        judged: its results without the items it was made from, and which of them are toxic.
        verdicts: label and detector on each of them.
        generators, item_ids: who wrote it, for which items.
        n_rounds: how often it was searched.
        retired: whether it is given up.
    """

    number: int
    round: int
    judged: Judged
    verdicts: tuple[Verdicts, ...]
    generators: tuple[str, ...]
    item_ids: tuple[str, ...]
    n_rounds: int
    retired: bool

    def to_dict(self) -> dict[str, Any]:
        """A row of the log."""
        rates = [Judged("", self.judged.result_ids, tuple(one.by(by) for one in self.verdicts)).tihr for by in _BOTH]
        return {
            **self.judged.to_dict(),
            "tihr_label": rates[0] if all(one.label is not None for one in self.verdicts) else None,
            "tihr_detector": rates[1] if all(one.detector is not None for one in self.verdicts) else None,
            "round": self.round,
            "n_rounds": self.n_rounds,
            "retired": self.retired,
            "generators": list(self.generators),
            "item_ids": list(self.item_ids),
        }


_BOTH: tuple[Judge, Judge] = ("label", "detector")


class Figures:
    """A store as it stands, under one judge.

    Args:
        store: what was searched and found.
        judge: whose verdict counts.
        threshold: probability from which the detector calls a post toxic.
    """

    def __init__(self, store: Store, judge: Judge, threshold: float) -> None:
        self._db = store.connection
        self._store = store
        self._judge: Judge = judge
        self._posts: dict[str, tuple[Verdicts, str | None]] = {
            id: (_verdicts(label, probability, threshold), key)
            for id, label, probability, key in self._db.execute("SELECT id, label, probability, text_key FROM items")
        }

    def trials(self) -> list[Trial]:
        """Every search there was, for `retire`."""
        found = []
        for number, text, pattern in self._db.execute("SELECT number, text, pattern FROM queries").fetchall():
            own = self._own(number)
            rounds = self._db.execute("SELECT round FROM searches WHERE query = ?", (number,)).fetchall()
            for (round,) in rounds:
                judged, _ = self._judged(number, text, round, own)
                found.append(Trial(pattern, round, judged.tihr))
        return found

    def last_searches(self) -> list[Searched]:
        """The last search of every query that was searched, in the order in which queries were written."""
        latest = self._db.execute(
            "SELECT q.number, q.text, max(s.round), count(*), q.pattern IN (SELECT pattern FROM retired) "
            "FROM queries q JOIN searches s ON s.query = q.number GROUP BY q.number ORDER BY q.number"
        ).fetchall()
        return [
            Searched(
                number, round, *self._judged(number, text, round, self._own(number)), *self._origin(number), n, bool(r)
            )
            for number, text, round, n, r in latest
        ]

    def agreement(self, searches: Sequence[Searched]) -> Agreement:
        """Label against detector, on all posts that were found and on the results of each query."""
        return compare([post for post, _ in self._posts.values()], [one.verdicts for one in searches])

    def compared(self, searches: Sequence[Searched]) -> list[Compared]:
        """The judged queries of every flagged item that has some, in the order of the items."""
        by_item: dict[str, list[Judged]] = {}
        for one in searches:
            for id in one.item_ids:
                by_item.setdefault(id, []).append(one.judged)
        return [Compared((seed,), tuple(by_item[seed.id])) for seed in self.seeds() if seed.id in by_item]

    def seeds(self) -> Iterator[SeedItem]:
        """All flagged items, in the order in which they came."""
        for id, text, spans in self._db.execute("SELECT id, text, spans FROM seeds ORDER BY number"):
            yield SeedItem(id, text, tuple((start, end) for start, end in json.loads(spans)))

    def bad_days(self) -> list[tuple[str, int, str]]:
        """Kinds of bad days with their numbers and the last detail, in order of the kind."""
        return [
            (str(kind), int(n), f"{subject}: {detail}")
            for kind, n, subject, detail, _ in self._db.execute(
                "SELECT kind, sum(n), subject, detail, max(last_at) FROM bad_days GROUP BY kind ORDER BY kind"
            )
        ]

    def count(self, table: str) -> int:
        """Rows of one of the store's tables."""
        return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def _judged(self, number: int, text: str, round: int, own: frozenset[str]) -> tuple[Judged, tuple[Verdicts, ...]]:
        found = self._db.execute(
            "SELECT item_id FROM results WHERE query = ? AND round = ? ORDER BY place", (number, round)
        )
        ids = [id for (id,) in found if id not in own and self._posts[id][1] not in own]
        verdicts = tuple(self._posts[id][0] for id in ids)
        return Judged(text, tuple(ids), tuple(one.by(self._judge) for one in verdicts)), verdicts

    def _own(self, number: int) -> frozenset[str]:
        """Ids of the items that a query was made from; of those whose id nobody told, the text in its folded form."""
        ids = self._store.own_ids(number)
        unplaced = [id for id in ids if is_hash_id(id)]
        keys = [self._db.execute("SELECT text_key FROM seeds WHERE id = ?", (id,)).fetchone()[0] for id in unplaced]
        return ids.union(keys)

    def _origin(self, number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        rows = self._db.execute(
            "SELECT generator, seed_id FROM sources JOIN seeds ON id = seed_id WHERE query = ? "
            "ORDER BY generator, seeds.number",
            (number,),
        ).fetchall()
        return tuple(dict.fromkeys(name for name, _ in rows)), tuple(dict.fromkeys(id for _, id in rows))


def _verdicts(label: int | None, probability: float | None, threshold: float) -> Verdicts:
    return Verdicts(None if label is None else bool(label), None if probability is None else probability >= threshold)
