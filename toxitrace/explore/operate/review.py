"""Posts for reviewers: the most suspicious ones that were found and not handed out yet, within a budget."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from toxitrace.explore.operate.identity import is_hash_id
from toxitrace.explore.operate.store import Store

_N_QUERIES = 5  # shown for a post
# Found posts that are suspicious enough, neither flagged nor listed before.
_NEW = """
    FROM items WHERE probability >= ? AND id NOT IN (SELECT id FROM seeds) AND id NOT IN (SELECT item_id FROM listed)
"""


@dataclass(frozen=True, slots=True)
class Post:
    """A line of a review list.

    Attributes:
        place: from 1.
        probability: the detector's; posts are in its order.
        spans: half-open offsets with their scores.
        label: the verdict, if there is one by now: posts that have one are not listed.
        queries: what found it, the best ranks first; at most five of ``n_queries``.
        copies: ids of other posts with the same text, listed with it.
    """

    place: int
    id: str
    text: str
    probability: float
    toxic: bool
    spans: tuple[tuple[int, int, float], ...]
    label: bool | None
    queries: tuple[str, ...]
    n_queries: int
    copies: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """A row as `toxitrace predict` writes it, and more; ``--flagged`` takes it back."""
        spans = [
            {"start": start, "end": end, "text": self.text[start:end], "score": score}
            for start, end, score in self.spans
        ]
        return {
            "id": self.id,
            "text": self.text,
            "toxic": self.toxic,
            "probability": self.probability,
            "spans": spans,
            **({} if self.label is None else {"label": int(self.label)}),
            "queries": list(self.queries),
            "n_queries": self.n_queries,
            "copies": list(self.copies),
        }


def fill_list(store: Store, round: int, budget: int, min_probability: float) -> int | None:
    """Begin a list if there is something to list; returns the number of the last list.

    In order of the detector's probability, then of how many queries found the post, then of the id. Flagged items are
    not listed, nor posts with a verdict, nor an id that was listed before. A text is read once: other posts with it are
    listed as its copies. A list never grows: reviewers may have it already. What the same searches found goes onto
    lists of ``budget`` texts together, so that a raised budget gives a further list and the same one gives none.

    Args:
        store: all that was found, in whatever round.
        round: for the record.
        budget: most texts of one list.
        min_probability: posts below are not listed.

    Returns:
        None if there is no list yet and nothing to list.
    """
    db = store.connection
    n_searches = db.execute("SELECT count(*) FROM searches").fetchone()[0]
    (last,) = db.execute("SELECT max(number) FROM lists").fetchone()
    (n_listed,) = db.execute(
        "SELECT count(*) FROM listed JOIN lists ON number = list WHERE n_searches >= ? AND copy_of IS NULL",
        (n_searches,),
    ).fetchone()
    chosen = _candidates(store, budget - n_listed, min_probability)
    if not chosen:
        return None if last is None else int(last)
    number = 1 if last is None else int(last) + 1
    store.add_listed(number, chosen, 1, made_for=(round, n_searches))
    return number


def count_decided(store: Store, min_probability: float) -> int:
    """Found posts that would be listed if they had no verdict: neither flagged nor listed before it was known."""
    unplaced = _unplaced(store)
    rows = store.connection.execute(f"SELECT text_key {_NEW} AND label IS NOT NULL", (min_probability,))
    return sum(key not in unplaced for (key,) in rows)


def count_waiting(store: Store, min_probability: float) -> int:
    """Texts that would be listed next."""
    return len(_candidates(store, None, min_probability))


def read_list(store: Store, number: int, threshold: float) -> list[Post]:
    """The posts of a list, in their order.

    Args:
        threshold: probability from which the detector calls a post toxic.
    """
    db = store.connection
    rows = db.execute(
        "SELECT place, id, text, probability, spans, label FROM listed JOIN items ON id = item_id "
        "WHERE list = ? AND copy_of IS NULL ORDER BY place",
        (number,),
    ).fetchall()
    posts = []
    for place, id, text, probability, spans, label in rows:
        found_by = db.execute(
            "SELECT q.text FROM results r JOIN queries q ON q.number = r.query WHERE item_id = ? "
            "GROUP BY q.number ORDER BY min(place), q.number",
            (id,),
        ).fetchall()
        copies = db.execute("SELECT item_id FROM listed WHERE copy_of = ? ORDER BY item_id", (id,)).fetchall()
        posts.append(
            Post(
                place,
                id,
                text,
                0.0 if probability is None else probability,
                probability is not None and probability >= threshold,
                tuple((start, end, score) for start, end, score in json.loads(spans)),
                None if label is None else bool(label),
                tuple(query for (query,) in found_by[:_N_QUERIES]),
                len(found_by),
                tuple(copy for (copy,) in copies),
            )
        )
    return posts


def count_toxic(store: Store, threshold: float) -> tuple[int, int]:
    """How many found posts the detector calls toxic, and how many of them are flagged items.

    Args:
        threshold: probability from which it does.
    """
    unplaced = _unplaced(store)
    rows = store.connection.execute(
        "SELECT text_key, id IN (SELECT id FROM seeds) FROM items WHERE probability >= ?", (threshold,)
    ).fetchall()
    return len(rows), sum(bool(is_seed) or key in unplaced for key, is_seed in rows)


def _candidates(store: Store, n: int | None, min_probability: float) -> list[list[str]]:
    """The ids of the next ``n`` texts (None: of all), the one that stands for its copies first."""
    if n is not None and n < 1:
        return []
    db = store.connection
    unplaced = _unplaced(store)
    rows = db.execute(
        f"SELECT id, text_key {_NEW} AND label IS NULL ORDER BY probability DESC, "
        "(SELECT count(DISTINCT query) FROM results WHERE item_id = id) DESC, id",
        (min_probability,),
    )
    by_text: dict[str, list[str]] = {}
    for id, key in rows:
        if key not in unplaced and (key in by_text or n is None or len(by_text) < n):
            by_text.setdefault(key, []).append(id)
    return list(by_text.values())


def _unplaced(store: Store) -> set[str]:
    """Of flagged items without an id on the platform the text, which tells which post they are."""
    return {key for id, key in store.connection.execute("SELECT id, text_key FROM seeds") if is_hash_id(id)}
