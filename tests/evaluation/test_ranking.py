"""Ranking measures against pytrec_eval itself and by hand; the paired test against all sign flips."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from toxitrace.errors import DataError
from toxitrace.evaluation.ranking import (
    RankingScores,
    compare_runs,
    randomisation_p,
    ranked_ids,
    score_ranking,
)

pytrec_eval = pytest.importorskip("pytrec_eval")


def random_set(seed: int, *, ties: bool) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    rng = np.random.default_rng(seed)
    qrels, run = {}, {}
    for query in range(20):
        documents = [f"d{number}" for number in rng.permutation(300)]
        qrels[f"q{query}"] = {id: int(rng.integers(0, 4)) for id in documents[:30]} | {documents[0]: 1}
        scores = rng.integers(0, 9, 150) / 4 if ties else rng.normal(size=150)
        run[f"q{query}"] = dict(zip(documents[10:160], map(float, scores), strict=True))
    return qrels, run


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_measures_equal_those_of_pytrec_eval_on_random_runs(seed: int, ties: bool) -> None:
    qrels, run = random_set(seed, ties=ties)
    scores = score_ranking(qrels, run)
    reference = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100", "map"}).evaluate(run)
    for ours, theirs in (("ndcg@10", "ndcg_cut_10"), ("recall@100", "recall_100"), ("map", "map")):
        for query_id, values in reference.items():
            assert scores.per_query[ours][query_id] == pytest.approx(values[theirs], abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_reciprocal_rank_at_ten_is_that_of_pytrec_eval_where_it_is_a_tenth_or_more(ties: bool) -> None:
    qrels, run = random_set(7, ties=ties)
    scores = score_ranking(qrels, run)
    for query_id, values in pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(run).items():
        rank = values["recip_rank"]
        assert scores.per_query["mrr@10"][query_id] == pytest.approx(rank if rank > 0.099 else 0.0)


def test_reciprocal_rank_is_that_of_ir_measures_at_ten() -> None:
    ir_measures = pytest.importorskip("ir_measures")
    qrels, run = random_set(7, ties=False)
    scores = score_ranking(qrels, run)
    found = {value.query_id: value.value for value in ir_measures.iter_calc([ir_measures.RR @ 10], qrels, run)}
    assert dict(scores.per_query["mrr@10"]) == pytest.approx(found)


def test_measures_by_hand() -> None:
    scores = score_ranking({"q": {"a": 1, "b": 1}}, {"q": {"x": 3.0, "a": 2.0, "y": 1.0, "b": 0.5}})
    dcg, ideal = 1 / math.log2(3) + 1 / math.log2(5), 1 + 1 / math.log2(3)
    assert scores.mean("ndcg@10") == pytest.approx(dcg / ideal)
    assert scores.mean("mrr@10") == pytest.approx(0.5)
    assert scores.mean("map") == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert scores.mean("recall@100") == 1.0


def test_a_relevant_document_at_rank_eleven_has_no_reciprocal_rank_at_ten() -> None:
    results = {f"d{rank:02}": 100.0 - rank for rank in range(20)}
    assert score_ranking({"q": {"d09": 1}}, {"q": results}).mean("mrr@10") == pytest.approx(0.1)
    assert score_ranking({"q": {"d10": 1}}, {"q": results}).mean("mrr@10") == 0.0


def test_a_query_without_results_counts_zero_and_one_without_relevant_documents_not_at_all() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 0}}
    scores = score_ranking(qrels, {"q1": {"a": 1.0}, "q2": {}, "q3": {"c": 1.0}})
    assert dict(scores.per_query["map"]) == {"q1": 1.0, "q2": 0.0}
    assert scores.n_empty == 1


def test_scores_that_single_precision_cannot_tell_apart_are_ranked_in_double() -> None:
    assert score_ranking({"q": {"a": 1}}, {"q": {"a": 1.0 + 1e-12, "b": 1.0}}).mean("mrr@10") == 1.0


def test_equal_scores_are_ordered_by_id_from_the_largest() -> None:
    assert ranked_ids({"a": 0.5, "c": 0.5, "b": 0.5}) == ["c", "b", "a"]


def test_a_run_on_other_queries_is_refused() -> None:
    for run in ({"other": {"a": 1.0}}, {"other": {}}):
        with pytest.raises(DataError, match=r"no query id in common .* 'other', the qrels' 'q'"):
            score_ranking({"q": {"a": 1}}, run)


@pytest.mark.parametrize("run", [{}, {"q1": {}, "q2": {}}, {"q1": {}, "other": {"a": 1.0}}, {"q3": {"c": 1.0}}])
def test_a_run_that_finds_nothing_is_scored_zero(run: dict[str, dict[str, float]]) -> None:
    scores = score_ranking({"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 0}}, run)
    assert scores.n_empty == scores.n_queries == 2
    assert {scores.mean(measure) for measure in scores.per_query} == {0.0}


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        score_ranking({"q": {"a": 1}}, {"q": {"a": math.nan}})


def test_the_p_value_is_the_share_of_all_sign_flips_that_lie_as_far() -> None:
    differences = np.array([0.5, 0.25, -0.125, 0.75, 0.3, 0.1, 0.2, -0.05])
    flips = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    exact = (np.abs(flips @ differences) >= abs(differences.sum()) - 1e-12).mean()
    assert randomisation_p(differences, 40_000, seed=3) == pytest.approx(exact, abs=0.005)


def test_differences_of_one_sign_are_significant_and_the_same_seed_gives_the_same_p() -> None:
    differences = np.full(30, 0.1)
    assert randomisation_p(differences, 5000) == pytest.approx(1 / 5001)
    mixed = np.random.default_rng(0).normal(0.2, 1.0, 40)
    assert randomisation_p(mixed, 500, seed=1) == randomisation_p(mixed, 500, seed=1)
    assert randomisation_p(mixed, 500, seed=1) != randomisation_p(mixed, 500, seed=2)


def test_under_the_null_hypothesis_p_values_are_uniform() -> None:
    rng = np.random.default_rng(5)
    p_values = [randomisation_p(rng.normal(size=25), 200, seed=number) for number in range(400)]
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_two_runs_are_compared_query_by_query() -> None:
    first = RankingScores({"map": {"q1": 1.0, "q2": 0.5, "q3": 0.2}})
    second = RankingScores({"map": {"q3": 0.2, "q2": 0.7, "q1": 0.5}})
    test = compare_runs(first, second, "map", n_draws=200)
    assert (test.n_better, test.n_worse, test.n_equal) == (1, 1, 1)
    assert test.difference.value == pytest.approx(0.1)
    assert test.to_dict()["difference"]["value"] == pytest.approx(0.1)


def test_runs_on_different_queries_are_not_compared() -> None:
    with pytest.raises(DataError, match="the same queries"):
        compare_runs(RankingScores({"map": {"q1": 1.0}}), RankingScores({"map": {"q2": 1.0}}), "map")
