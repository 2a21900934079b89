"""The operating loop: write queries, search, score what was found, until nothing is left (methods.md 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

from toxitrace.explore.operate.config import OperateConfig
from toxitrace.explore.operate.figures import Figures
from toxitrace.explore.operate.flagged import Scorer
from toxitrace.explore.operate.retire import retire
from toxitrace.explore.operate.review import fill_list
from toxitrace.explore.operate.searching import PacedSearch
from toxitrace.explore.operate.store import OpenQuery, Store
from toxitrace.explore.operate.writers import Writer
from toxitrace.explore.records import SeedItem
from toxitrace.search.errors import SearchError

_GROUP, _GROUP_CHARS = 256, 100_000  # texts and characters scored at once: what a kill loses
_GO_ON = "the same command goes on"
# One query that no try could search may be the query's own fault; two in a row are the engine's.
_MAX_FAILED_IN_A_ROW = 2
_MAX_UNANSWERED_IN_A_ROW = 20  # the service is down, or the budget spent: other items would fare alike


@dataclass(frozen=True, slots=True)
class Ending:
    """How a sitting ended.

    Attributes:
        n_searches: made in it.
        n_seeds_left: flagged items without queries.
        n_searches_left: queries not searched.
        reason: why it ended early; "" if it did not.
        interrupted: by the user.
        list_number: the last review list; None: there is none, or the sitting ended early.
        advice: how to go on.
    """

    n_searches: int
    n_seeds_left: int
    n_searches_left: int
    reason: str = ""
    interrupted: bool = False
    list_number: int | None = None
    advice: str = _GO_ON

    @property
    def complete(self) -> bool:
        """Whether everything was done that could be, a quota of searches aside."""
        return not self.reason


class Loop:
    """One sitting over a store.

    The store says what is left, so that a run that was killed goes on where it was: no search on record is made again.
    (A search that was under way at that moment is on no record, and is the only one to be made again.) Queries are
    retired and the review list is filled at the end alone, when everything is done: an undisturbed run decides alike.

    Args:
        store: with the flagged items in it.
        round: of the index, see `Store.open_round`.
        writer: writes queries.
        search: asks the index.
        detector: scores what is found.
        texts, labels: of the platform, by id.
        config: the run's settings.
        stop: set by Ctrl-C.
        progress: told how many searches are done and how many are known to be left.
    """

    def __init__(
        self,
        store: Store,
        round: int,
        writer: Writer,
        search: PacedSearch,
        detector: Scorer,
        texts: Mapping[str, str],
        labels: Mapping[str, bool],
        config: OperateConfig,
        *,
        stop: Event | None = None,
        progress: Callable[[int, int], object] = lambda n_done, n_left: None,
    ) -> None:
        self._store, self._round, self._writer, self._search = store, round, writer, search
        self._detector, self._texts, self._labels, self._config = detector, texts, labels, config
        self._stop, self._progress = stop or Event(), progress
        self._n_searches = 0
        self._n_hits = self._n_hits_with_text = 0
        self._n_items_written = self._n_new_queries = 0
        self._tried: set[int] = set()  # queries that no try could search in this sitting
        self._unanswered: set[str] = set()  # items that got no reply in this sitting
        self._n_failed_in_a_row = self._n_unanswered_in_a_row = 0
        self._no_replies = ""

    def run(self) -> Ending:
        """Work until everything is done or something stops it."""
        reason, interrupted, advice = "", False, _GO_ON
        try:
            self._work()
        except KeyboardInterrupt:
            reason, interrupted = "interrupted", True
        except SearchError as error:
            reason = f"the search engine failed: {error}"
        if not reason and self._has_strange_items():
            reason = "--items is not the file that was indexed: it has the text of no post that was found"
            advice = "the command with the right --items goes on"
        if not reason and self._no_replies:
            reason = f"some items got no reply: {self._no_replies}"
        if not reason and self._tried:
            reason = "some searches failed"
        number = None
        if not reason:
            number = self._finish()
        n_open = len(self._store.open_queries(self._round, known=False))
        n_open += len(self._store.open_queries(self._round, known=True)) if self._config.again else 0
        n_seeds = len(self._store.unwritten_seeds(self._writer.name))
        return Ending(self._n_searches, n_seeds, n_open, reason, interrupted, number, advice)

    def _work(self) -> None:
        self._score()  # what a killed run had found
        self._search_open(known=False)
        # where no text is known nothing can be scored: no more is spent on it
        while not self._knows_no_text() and (items := self._next_items()):
            self._write(items)
            self._search_open(known=False)
        if self._config.again and not self._knows_no_text():
            self._search_open(known=True)

    def _next_items(self) -> list[SeedItem]:
        if self._stop.is_set():
            raise KeyboardInterrupt
        if self._spent():
            return []
        waiting = self._store.unwritten_seeds(self._writer.name)
        return [item for item in waiting if item.id not in self._unanswered][: self._config.batch]

    def _write(self, items: list[SeedItem]) -> None:
        written = self._writer.write(items)
        self._store.add_written(self._writer.name, written)
        failed = [one for one in written if not one.answered]
        self._n_items_written += len(written) - len(failed)
        self._unanswered.update(one.item_id for one in failed)
        if self._stop.is_set():
            raise KeyboardInterrupt
        if failed:
            self._no_replies = failed[-1].error
        for one in written:
            self._n_unanswered_in_a_row = 0 if one.answered else self._n_unanswered_in_a_row + 1
        if self._n_unanswered_in_a_row >= _MAX_UNANSWERED_IN_A_ROW:
            self._unanswered.update(seed.id for seed in self._store.unwritten_seeds(self._writer.name))

    def _search_open(self, *, known: bool) -> None:
        waiting = [one for one in self._store.open_queries(self._round, known=known) if one.number not in self._tried]
        n_later = 0 if known else self._n_later(len(waiting))
        for number, query in enumerate(waiting):
            if self._spent():
                break
            if self._stop.is_set():
                raise KeyboardInterrupt
            self._search_one(query)
            self._progress(self._n_searches, self._bounded(len(waiting) - number - 1 + n_later))
        self._score()

    def _n_later(self, n_new: int) -> int:
        """Searches after those of the new queries at hand: of known queries, and of items that have none yet, for
        which as many are expected as the items of this sitting got on average, or one before there are any.
        """
        if self._n_items_written:
            self._n_new_queries += n_new
        per_item = self._n_new_queries / self._n_items_written if self._n_items_written else 1.0
        waiting = self._store.unwritten_seeds(self._writer.name)
        n_items = sum(item.id not in self._unanswered for item in waiting)
        n_known = len(self._store.open_queries(self._round, known=True)) if self._config.again else 0
        return n_known + round(per_item * n_items)

    def _bounded(self, n_left: int) -> int:
        most = self._config.max_searches
        return n_left if most is None else min(n_left, most - self._n_searches)

    def _search_one(self, query: OpenQuery) -> None:
        try:
            hits, repeated = self._search.search(query.text, query.own_ids)
        except SearchError:
            self._tried.add(query.number)
            self._n_failed_in_a_row += 1
            if self._n_failed_in_a_row >= _MAX_FAILED_IN_A_ROW:
                raise
            return
        self._n_failed_in_a_row = 0
        self._store.add_search(query, self._round, hits, repeated, self._texts, self._labels)
        self._n_searches += 1
        self._n_hits += len(hits)
        self._n_hits_with_text += sum(hit.id in self._texts for hit in hits)

    def _has_strange_items(self) -> bool:
        return self._knows_no_text() or (self._n_hits > 0 and not self._n_hits_with_text)

    def _knows_no_text(self) -> bool:
        """Whether posts were found and the text of none of them is known."""
        n_found, n_known = self._store.connection.execute("SELECT count(*), count(text) FROM items").fetchone()
        return bool(n_found and not n_known)

    def _score(self) -> None:
        while rows := self._store.unscored_items(_GROUP, _GROUP_CHARS):
            predictions = self._detector.predict([text for _, text in rows])
            self._store.add_scores({id: one for (id, _), one in zip(rows, predictions, strict=True)})
            if self._stop.is_set():
                raise KeyboardInterrupt

    def _spent(self) -> bool:
        most = self._config.max_searches
        return most is not None and self._n_searches >= most

    def _finish(self) -> int | None:
        config = self._config
        trials = Figures(self._store, config.judge, self._detector.threshold).trials()
        self._store.add_retired(retire(trials, config.retire), self._round)
        return fill_list(self._store, self._round, config.budget, config.min_probability)
