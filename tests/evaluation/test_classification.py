"""Classification scores against scikit-learn."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from toxitrace.errors import DataError
from toxitrace.evaluation import auroc, score_classification
from toxitrace.evaluation.classification import weighted_auroc

metrics = pytest.importorskip("sklearn.metrics")


def example(seed: int, n: int = 200, levels: int = 21) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    noisy = np.clip(0.3 * labels + rng.random(n) * 0.7, 0, 1)
    return np.round(noisy * (levels - 1)) / (levels - 1), labels  # few levels: many ties


@pytest.mark.parametrize("seed", range(5))
def test_all_scores_agree_with_sklearn(seed: int) -> None:
    probabilities, labels = example(seed)
    result = score_classification(probabilities, labels, threshold=0.55, n_resamples=10)
    predicted = probabilities >= 0.55
    assert result.accuracy.value == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert result.macro_f1.value == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert result.auroc.value == pytest.approx(metrics.roc_auc_score(labels, probabilities))
    assert np.array_equal(result.confusion, metrics.confusion_matrix(labels, predicted))
    reference = metrics.precision_recall_fscore_support(labels, predicted)
    ours = [(c.precision, c.recall, c.f1, c.n_texts) for c in result.per_class]
    assert np.allclose(np.array(ours).T, reference)


def test_the_auroc_of_a_resample_is_the_auroc_of_its_texts() -> None:
    probabilities, labels = example(9, n=40)
    chosen = np.random.default_rng(0).integers(0, 40, (20, 40))
    counts = np.stack([np.bincount(row, minlength=40) for row in chosen]).astype(float)
    expected = [metrics.roc_auc_score(labels[row], probabilities[row]) for row in chosen]
    assert weighted_auroc(probabilities, labels, counts) == pytest.approx(np.array(expected))


def test_intervals_hold_their_value() -> None:
    result = score_classification(*example(3), n_resamples=300)
    for interval in (result.accuracy, result.macro_f1, result.auroc):
        assert interval.low < interval.value < interval.high


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    result = score_classification([0.1, 0.2, 0.3], [0, 0, 1], n_resamples=10)
    assert result.per_class[1].precision == result.per_class[1].f1 == 0.0
    assert result.macro_f1.value == pytest.approx(0.4)


def test_the_threshold_itself_counts_as_toxic() -> None:
    assert score_classification([0.5], [1], threshold=0.5, n_resamples=2).confusion == ((0, 0), (0, 1))


def test_auroc_of_one_class_is_undefined_and_null_in_json() -> None:
    assert math.isnan(auroc([0.1, 0.9], [1, 1]))
    row = score_classification([0.1, 0.9], [1, 1], topics=["a", "a"], n_resamples=10).to_dict()
    assert row["auroc"]["value"] is None
    assert row["topics"][0]["auroc"] is None
    assert "NaN" not in json.dumps(row)


def test_topics_are_scored_apart_and_sorted() -> None:
    probabilities, labels = example(4, n=60)
    topics = ["region" if i % 3 else "gender" for i in range(60)]
    result = score_classification(probabilities, labels, topics=topics, n_resamples=5)
    assert [row.topic for row in result.topics] == ["gender", "region"]
    assert [row.n_texts for row in result.topics] == [20, 40]
    chosen = np.array(topics) == "gender"
    assert result.topics[0].auroc == pytest.approx(metrics.roc_auc_score(labels[chosen], probabilities[chosen]))


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.5], [7], "label 0 is 7"),
        ([0.2, 1.5], [0, 1], "score 1 is 1.5"),
        ([0.2, float("nan")], [0, 1], "score 1 is nan"),
        ([0.2], [0, 1], "expected one score per label"),
        ([], [], "at least one label"),
    ],
)
def test_unusable_input_is_named(probabilities: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score_classification(probabilities, labels)
