"""Measures of ranked results: nDCG@10, MRR@10, Recall@100, MAP by trec_eval's own code, and paired tests of two runs.

trec_eval is asked through ``pytrec_eval`` (the `explore` extra). Equal scores are ordered by id, the larger first, as
trec_eval does. Two of its habits are undone here: it leaves queries without results out of the mean (they count 0), and
it compares scores in single precision (they are ranked in double beforehand).

Symbols: Q queries · R random draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toxitrace.errors import ConfigError, DataError, MissingExtraError
from toxitrace.evaluation.bootstrap import N_RESAMPLES, Interval, bootstrap_sums

Floats = npt.NDArray[np.float64]
Run = Mapping[str, Mapping[str, float]]
"""Query id -> document id -> score."""
Qrels = Mapping[str, Mapping[str, int]]
"""Query id -> document id -> grade, above 0 relevant."""

# name -> (trec_eval's measure, its name in the result, how many results it may see; None: all)
MEASURES: dict[str, tuple[str, str, int | None]] = {
    "ndcg@10": ("ndcg_cut.10", "ndcg_cut_10", None),
    "mrr@10": ("recip_rank", "recip_rank", 10),
    "recall@100": ("recall.100", "recall_100", None),
    "map": ("map", "map", None),
}
# Signs held at once; 2^22 bytes.
_CHUNK_CELLS = 1 << 22


@dataclass(frozen=True, slots=True)
class RankingScores:
    """What one run reaches on the queries that have a relevant document.

    Attributes:
        per_query: measure -> query id -> value, every measure of the same queries in the same order.
        n_empty: queries for which the run has no results; they count 0.
    """

    per_query: Mapping[str, Mapping[str, float]]
    n_empty: int = 0

    @property
    def n_queries(self) -> int:
        return len(next(iter(self.per_query.values()), {}))

    def mean(self, measure: str) -> float:
        """Mean over the queries."""
        values = self.per_query[measure].values()
        return math.fsum(values) / len(values)

    def interval(self, measure: str, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Interval:
        """The mean with its bootstrap interval over queries."""
        return _mean_interval(np.array([*self.per_query[measure].values()]), n_resamples, seed)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: means, intervals and every query."""
        return {
            "n_queries": self.n_queries,
            "n_empty": self.n_empty,
            "means": {measure: self.interval(measure).to_dict() for measure in self.per_query},
            "per_query": {measure: dict(values) for measure, values in self.per_query.items()},
        }


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Whether one run is better than another on the same queries.

    Attributes:
        difference: mean of (first - second) with its paired bootstrap interval.
        p_value: two-sided, of the paired randomisation test.
        n_better, n_worse, n_equal: queries on which the first run is better, worse, equal.
    """

    measure: str
    difference: Interval
    p_value: float
    n_better: int
    n_worse: int
    n_equal: int

    def to_dict(self) -> dict[str, Any]:
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return row | {"difference": self.difference.to_dict()}


def score_ranking(qrels: Qrels, run: Run) -> RankingScores:
    """Score a run by every measure in `MEASURES`.

    Args:
        qrels: queries without a relevant document are left out: no run could find any.
        run: results, at least the best 100 of each query (1000 for a MAP that others can be compared with). A query
            that it lacks, or that found nothing, counts 0: all of them, if the run found nothing at all. A document
            under the query's own id counts like any other: `toxitrace.expand` makes runs without it.

    Raises:
        DataError: no query has a relevant document, no query of the run is in the qrels (they are of two sets), or a
            score is not finite.
        MissingExtraError: pytrec_eval is not installed.

    >>> scores = score_ranking({"q": {"d1": 1}}, {"q": {"d1": 0.5, "d2": 0.9}})
    >>> scores.mean("mrr@10")
    0.5
    """
    try:
        import pytrec_eval
    except ImportError:
        raise MissingExtraError("pytrec_eval", "explore") from None
    judged = {
        query_id: {id: int(grade) for id, grade in graded.items()}
        for query_id, graded in qrels.items()
        if any(grade > 0 for grade in graded.values())
    }
    if not judged:
        raise DataError("no query has a relevant document; expected qrels with grades above 0: is it the right split?")
    ranked = {query_id: ranked_ids(run[query_id]) for query_id in judged if run.get(query_id)}
    if run and run.keys().isdisjoint(qrels):
        raise DataError(
            f"the run and the qrels have no query id in common (the run's first is {next(iter(run))!r}, the qrels' "
            f"{next(iter(qrels))!r}); expected both of one set and split: is one of the files another set's?"
        )
    per_query: dict[str, dict[str, float]] = {}
    for measure, (asked, answered, cut) in MEASURES.items():
        # whole numbers in rank order: no two are equal in single precision
        runs = {query_id: {id: float(-rank) for rank, id in enumerate(ids[:cut])} for query_id, ids in ranked.items()}
        found = pytrec_eval.RelevanceEvaluator(judged, {asked}).evaluate(runs)
        per_query[measure] = {id: float(found[id][answered]) if id in found else 0.0 for id in judged}
    return RankingScores(per_query, len(judged) - len(ranked))


def ranked_ids(scores: Mapping[str, float]) -> list[str]:
    """Document ids, best first; of equal scores the larger id first, as trec_eval does.

    >>> ranked_ids({"a": 1.0, "b": 2.0, "c": 1.0})
    ['b', 'c', 'a']
    """
    if not all(math.isfinite(score) for score in scores.values()):
        raise DataError("a score of the run is not finite; expected numbers: is the engine's index damaged?")
    return [id for _, id in sorted(((score, id) for id, score in scores.items()), reverse=True)]


def compare_runs(
    first: RankingScores, second: RankingScores, measure: str = "ndcg@10", *, n_draws: int = 10_000, seed: int = 0
) -> PairedTest:
    """Paired randomisation test (Fisher; for retrieval Smucker et al. 2007), with the interval of the difference.

    If the runs were alike, each query's difference might as well have the other sign. The p-value is the share of draws
    of random signs whose mean lies at least as far from 0 as the one observed, that one counted among the draws.

    Args:
        n_draws: R.
        seed: of the signs and of the bootstrap.

    Raises:
        DataError: the runs were scored on different queries.

    >>> a = RankingScores({"map": {"q1": 1.0, "q2": 0.5}})
    >>> compare_runs(a, a, "map").p_value
    1.0
    """
    if n_draws < 1:
        raise ConfigError(f"the paired test has {n_draws} draws; expected 1 or more")
    ones, others = first.per_query[measure], second.per_query[measure]
    if ones.keys() != others.keys():
        raise DataError(
            f"the two runs were scored on different queries ({len(ones)} and {len(others)} of them); expected the same "
            "queries: score both on one split"
        )
    differences = np.array([ones[id] - others[id] for id in ones])
    return PairedTest(
        measure=measure,
        difference=_mean_interval(differences, min(n_draws, N_RESAMPLES), seed),
        p_value=randomisation_p(differences, n_draws, seed),
        n_better=int((differences > 0).sum()),
        n_worse=int((differences < 0).sum()),
        n_equal=int((differences == 0).sum()),
    )


def randomisation_p(differences: npt.ArrayLike, n_draws: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of the hypothesis that the (Q,) differences are symmetric around 0.

    >>> randomisation_p([0.0, 0.0])
    1.0
    """
    table = np.asarray(differences, dtype=np.float64)
    observed = abs(float(table.sum()))
    rng = np.random.default_rng(seed)
    per_block = max(1, _CHUNK_CELLS // max(table.size, 1))
    n_as_far = 0
    for done in range(0, n_draws, per_block):
        rows = min(per_block, n_draws - done)
        signs = rng.integers(0, 2, size=(rows, table.size), dtype=np.int8) * 2 - 1  # (r, Q)
        # a draw that only sums in another order is as far as the observed one
        n_as_far += int((np.abs(signs @ table) >= observed - 1e-12 * (1 + observed)).sum())
    return (n_as_far + 1) / (n_draws + 1)


def _mean_interval(values: Floats, n_resamples: int, seed: int) -> Interval:
    rows = np.stack([values, np.ones_like(values)], axis=1)  # (Q, 2)
    return bootstrap_sums(rows, lambda sums: sums[:, 0] / sums[:, 1], n_resamples, seed)
