"""How good a set of queries is: hit rates, precision, yield, recall and diversity. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from toxitrace.explore.diversity import distinct_n, mean_jaccard
from toxitrace.explore.rewards import Judged

THRESHOLDS = (0.05, 0.1, 0.5)


class Reviewed(NamedTuple):
    """A post that reviewers would see, and the query that brought it first."""

    id: str
    toxic: bool
    query: str


@dataclass(frozen=True, slots=True)
class QuerySetMetrics:
    """Figures of one set of queries; rates are shares in [0, 1] of all its queries, repeated ones included.

    Attributes:
        n_queries, n_distinct_queries: how many.
        n_without_results: queries that found nothing.
        qhr: share with hit > 0 (query hit rate).
        qhr_at: share with tihr > p, for each p.
        mean_tihr: mean toxic-item hit rate.
        mean_precision_at_10: mean share of toxic items among the first ten.
        budget: most posts that are reviewed.
        n_reviewed: distinct posts in the review list, at most ``budget``.
        precision_at_budget: share of them that are toxic.
        n_new_toxic: distinct toxic items found by all queries together that were not known before.
        new_toxic_per_100_queries: that number per 100 queries.
        new_toxic_per_1000_reviewed: new toxic items per 1,000 posts of the review list.
        recall: share of the toxic items of the platform, less the known ones, that the queries found; None: their
            number was not told.
        distinct_1_chars, distinct_2_chars, distinct_1_words, distinct_2_words: distinct n-grams over all n-grams.
        mean_jaccard: mean overlap of two queries' results; None with fewer than two queries that found something.
        base_rate: share of toxic items on the platform, beside which the rates have to be read; None: not told.
    """

    n_queries: int
    n_distinct_queries: int
    n_without_results: int
    qhr: float
    qhr_at: tuple[tuple[float, float], ...]
    mean_tihr: float
    mean_precision_at_10: float
    budget: int
    n_reviewed: int
    precision_at_budget: float
    n_new_toxic: int
    new_toxic_per_100_queries: float
    new_toxic_per_1000_reviewed: float
    recall: float | None
    distinct_1_chars: float
    distinct_2_chars: float
    distinct_1_words: float
    distinct_2_words: float
    mean_jaccard: float | None
    base_rate: float | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row; ``qhr_at`` maps thresholds to shares."""
        return asdict(self) | {"qhr_at": {str(p): share for p, share in self.qhr_at}}


def measure(
    judged: Sequence[Judged],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    budget: int = 1000,
    known: Collection[str] = frozenset(),
    n_toxic: int | None = None,
    base_rate: float | None = None,
    seed: int = 1,
) -> QuerySetMetrics:
    """All figures of a set of judged queries; of an empty set they are 0.

    Args:
        judged: the queries, best first within an item, items in any order.
        thresholds: p of QHR@p.
        budget: posts that reviewers can read.
        known: toxic items known beforehand (the seeds), which are nothing new.
        n_toxic: toxic items on the platform, the known ones included.
        base_rate: share of toxic items on the platform, for the record.
        seed: draws pairs of queries for the overlap where there are too many.
    """
    known = frozenset(known)
    n = len(judged)
    rates = [one.tihr for one in judged]
    reviewed = review_list(judged, budget, known)
    found = new_toxic(judged, known)
    n_true = sum(post.toxic for post in reviewed)
    queries = [one.query for one in judged]
    return QuerySetMetrics(
        n_queries=n,
        n_distinct_queries=len(set(queries)),
        n_without_results=sum(not one.n_results for one in judged),
        qhr=_share(sum(one.hit > 0 for one in judged), n),
        qhr_at=tuple((p, _share(sum(rate > p for rate in rates), n)) for p in thresholds),
        mean_tihr=_share(sum(rates), n),
        mean_precision_at_10=_share(sum(one.precision_at_10 for one in judged), n),
        budget=budget,
        n_reviewed=len(reviewed),
        precision_at_budget=_share(n_true, len(reviewed)),
        n_new_toxic=len(found),
        new_toxic_per_100_queries=100 * _share(len(found), n),
        new_toxic_per_1000_reviewed=1000 * _share(n_true, len(reviewed)),
        recall=None if n_toxic is None else _share(len(found), n_toxic - len(known)),
        distinct_1_chars=distinct_n(queries, 1),
        distinct_2_chars=distinct_n(queries, 2),
        distinct_1_words=distinct_n(queries, 1, "jieba"),
        distinct_2_words=distinct_n(queries, 2, "jieba"),
        mean_jaccard=mean_jaccard([one.result_ids for one in judged], seed=seed),
        base_rate=base_rate,
    )


def review_list(judged: Sequence[Judged], budget: int, known: Collection[str] = frozenset()) -> list[Reviewed]:
    """The first ``budget`` distinct posts when every query in turn hands in its best, then its second, and so on.

    By rank and not by score: scores of different queries do not compare.
    Note: reconstruction; the paper does not say how results are merged.

    >>> one, two = Judged("笨蛋", ("a", "b"), (True, False)), Judged("骗子", ("a", "c"), (True, True))
    >>> [post.id for post in review_list([one, two], budget=3)]
    ['a', 'b', 'c']
    """
    posts: list[Reviewed] = []
    seen = set(known)
    for rank in range(max((one.n_results for one in judged), default=0)):
        for one in judged:
            if len(posts) >= budget:
                return posts
            if rank < one.n_results and one.result_ids[rank] not in seen:
                seen.add(one.result_ids[rank])
                posts.append(Reviewed(one.result_ids[rank], one.result_toxic[rank], one.query))
    return posts


def new_toxic(judged: Sequence[Judged], known: Collection[str] = frozenset()) -> set[str]:
    """Distinct toxic items that the queries found together, less the known ones."""
    return {id for one in judged for id in one.toxic_ids} - set(known)


def _share(part: float, whole: int) -> float:
    return part / whole if whole > 0 else 0.0
