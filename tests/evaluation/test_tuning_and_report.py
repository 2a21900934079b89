"""Tuning against exhaustive search, and the report against its own sections."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from toxitrace.errors import DataError
from toxitrace.evaluation import (
    BiCSEGrid,
    EvaluationReport,
    score_calibration,
    score_classification,
    score_faithfulness,
    score_spans,
    tune_bicse,
    tune_topk,
)
from toxitrace.settings import BiCSEParams
from toxitrace.spans import bicse, topk

Corpus = tuple[list[np.ndarray], list[np.ndarray], list[list[tuple[int, int]]]]


def corpus(n_texts: int = 25, seed: int = 0, height: float = 0.55) -> Corpus:
    """Texts whose gold words stand ``height`` and more above a noisy ground."""
    rng = np.random.default_rng(seed)
    saliencies, separators, gold = [], [], []
    for _ in range(n_texts):
        n = int(rng.integers(8, 30))
        start = int(rng.integers(0, n - 4))
        saliency = rng.random(n) * 0.35
        saliency[start : start + 3] = height + rng.random(3) * (1 - height)
        stops = rng.random(n) < 0.1
        stops[start : start + 3] = False
        saliencies.append(saliency)
        separators.append(stops)
        gold.append([(start, start + 3)])
    return saliencies, separators, gold


def measured(data: Corpus, params: BiCSEParams) -> float:
    saliencies, separators, gold = data
    found = [[s.bounds for s in bicse(*pair, params)] for pair in zip(saliencies, separators, strict=True)]
    return score_spans(found, gold, n_resamples=1).character_f1.value


def test_a_grid_without_refinement_is_searched_exhaustively() -> None:
    data = corpus(height=0.3)
    grid = BiCSEGrid((0.3, 0.6), (0.3, 0.6), (0.1, 0.3), (0, 1), (1, 3), refine_steps=())
    best, score = tune_bicse(*data, grid)
    combinations = itertools.product(grid.seed, grid.cliff, grid.floor, grid.gap, grid.min_chars)
    assert score == pytest.approx(max(measured(data, BiCSEParams(*values)) for values in combinations))
    assert score == pytest.approx(measured(data, best))


def test_refinement_never_loses_and_reports_what_its_parameters_score() -> None:
    data = corpus(height=0.3)
    coarse = BiCSEGrid((0.5,), (0.5,), (0.15,), (1,), (1,), refine_steps=())
    fine = BiCSEGrid((0.5,), (0.5,), (0.15,), (1,), (1,))
    best, score = tune_bicse(*data, fine)
    assert score >= tune_bicse(*data, coarse)[1]
    assert score == pytest.approx(measured(data, best))


def test_words_that_stand_out_are_found_without_fault() -> None:
    assert tune_bicse(*corpus())[1] == 1.0


def test_tuning_twice_gives_the_same_parameters() -> None:
    data = corpus(12, height=0.3)
    assert tune_bicse(*data) == tune_bicse(*data)


def test_tuning_does_not_choose_to_mark_everything() -> None:
    saliencies, separators, gold = corpus()
    best, _ = tune_bicse(saliencies, separators, gold)
    marked = [s.end - s.start for pair in zip(saliencies, separators, strict=True) for s in bicse(*pair, best)]
    assert sum(marked) == sum(end - start for spans in gold for start, end in spans)


def test_a_large_part_does_not_outvote_a_small_one() -> None:
    small, (saliencies, separators, gold) = corpus(6, seed=1), corpus(60, seed=2, height=0.3)
    large = saliencies, separators, [[(0, end + 1)] for ((_, end),) in gold]  # wants long spans, the other short ones
    both: Corpus = (small[0] + large[0], small[1] + large[1], small[2] + large[2])
    parts = ["small"] * 6 + ["large"] * 60
    grid = BiCSEGrid((0.3, 0.6), (0.3, 0.6), (0.1, 0.3), (0, 1), (1, 3), refine_steps=())
    best, score = tune_bicse(*both, grid, parts=parts)
    means = {
        values: (measured(small, BiCSEParams(*values)) + measured(large, BiCSEParams(*values))) / 2
        for values in itertools.product(grid.seed, grid.cliff, grid.floor, grid.gap, grid.min_chars)
    }
    assert score == pytest.approx(max(means.values()))
    assert score == pytest.approx((measured(small, best) + measured(large, best)) / 2)
    assert score > (measured(small, pooled := tune_bicse(*both, grid)[0]) + measured(large, pooled)) / 2


def test_topk_takes_the_ratio_with_the_highest_character_f1() -> None:
    saliencies, separators, gold = corpus()
    ratios = (0.05, 0.2, 0.8)
    ratio, score = tune_topk(saliencies, separators, gold, ratios)
    scores = []
    for candidate in ratios:
        found = [[s.bounds for s in topk(*pair, candidate)] for pair in zip(saliencies, separators, strict=True)]
        scores.append(score_spans(found, gold, n_resamples=1).character_f1.value)
    assert (ratio, score) == (0.2, pytest.approx(max(scores)))


def test_unequal_numbers_and_gold_outside_its_text_are_refused() -> None:
    saliencies, separators, gold = corpus(2)
    with pytest.raises(DataError, match="2 saliencies, 2 separators and 1 gold"):
        tune_bicse(saliencies, separators, gold[:1])
    with pytest.raises(DataError, match=r"gold span \[0, 99\)"):
        tune_bicse(saliencies, separators, [gold[0], [(0, 99)]])
    with pytest.raises(DataError, match="1 names of parts for 2 texts"):
        tune_bicse(saliencies, separators, gold, parts=["one"])
    with pytest.raises(DataError, match="0 ratios"):
        tune_topk(saliencies, separators, gold, ())
    with pytest.raises(DataError, match=r"no value for bicse\.gap"):
        BiCSEGrid(gap=())


def full_report() -> EvaluationReport:
    probabilities, labels = [0.2, 0.7, 0.9, 0.4], [0, 1, 1, 1]
    spans = score_spans([[(0, 2)], []], [[(0, 2)], [(1, 2)]], n_resamples=5)
    return EvaluationReport(
        part="cold/dev_expert",
        model="tiny",
        classification=score_classification(probabilities, labels, topics=list("abab"), n_resamples=5),
        calibration=score_calibration(probabilities, labels),
        spans=spans,
        spans_forced=spans,
        faithfulness=score_faithfulness(["笨蛋"], [[]], lambda texts: [0.5] * len(texts), n_resamples=5),
        settings={"seed": 0},
    )


def test_a_report_is_strict_json_and_leaves_out_what_was_not_measured() -> None:
    row = json.loads(json.dumps(full_report().to_dict(), allow_nan=False))
    assert "spans_topk" not in row
    assert row["spans"]["character_f1"]["value"] == pytest.approx(0.8)
    assert row["settings"] == {"seed": 0}


def test_rows_hold_every_interval_of_every_section() -> None:
    report = full_report()
    rows = {(row.section, row.measure): row for row in report.to_rows()}
    assert len(rows) == len(report.to_rows())
    for name, section in report.to_dict().items():
        if isinstance(section, dict) and name != "settings":
            for measure, value in section.items():
                if isinstance(value, dict):
                    assert rows[name, measure][2:] == (value["value"], value["low"], value["high"])
    assert rows["classification/toxic", "recall"].value == pytest.approx(2 / 3)
    assert rows["classification/topic a", "n_texts"].value == 2
    assert rows["faithfulness", "flip_rate"].value is None


def test_overlap_f1_never_stands_without_character_f1() -> None:
    rows = full_report().to_rows()
    overlap = {row.section for row in rows if row.measure == "overlap_f1"}
    assert overlap <= {row.section for row in rows if row.measure == "character_f1"}
