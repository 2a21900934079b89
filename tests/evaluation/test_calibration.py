"""Calibration and thresholds against scikit-learn, brute force and hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toxitrace.errors import DataError
from toxitrace.evaluation import (
    best_threshold,
    brier_score,
    calibrated,
    cross_fitted_ece,
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_platt,
    recall_at_false_alarm,
    score_calibration,
)

metrics = pytest.importorskip("sklearn.metrics")


def drawn(seed: int, n: int, scale: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose labels follow sigmoid(scale * margin + offset)."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(0.5, 3.0, n)
    return margins, (rng.random(n) < 1 / (1 + np.exp(-(scale * margins + offset)))).astype(int)


def test_ece_of_a_hand_worked_example() -> None:
    # [0, .5]: mean 0.2 against 1/3 toxic, 3 texts; (.5, 1]: 0.8 against 1, 1 text.
    probabilities, labels = [0.0, 0.1, 0.5, 0.8], [0, 1, 0, 1]
    assert expected_calibration_error(probabilities, labels, n_bins=2) == pytest.approx((0.4 + 0.2) / 4)
    # Equal mass: {0, .1} mean .05 against 1/2, {.5, .8} mean .65 against 1/2.
    equal_mass = expected_calibration_error(probabilities, labels, n_bins=2, bins="equal_mass")
    assert equal_mass == pytest.approx((0.45 + 0.15) / 2)


def test_equal_mass_bins_do_not_depend_on_the_order_of_tied_texts() -> None:
    probabilities, labels = np.full(20, 0.3), np.arange(20) % 2
    for order in (np.arange(20), np.argsort(labels)):
        ece = expected_calibration_error(probabilities, labels[order], 5, "equal_mass")
        assert ece == pytest.approx(0.2)


def test_probabilities_of_zero_and_one_fall_into_the_outer_bins() -> None:
    assert expected_calibration_error([0.0, 1.0], [0, 1]) == 0.0
    assert expected_calibration_error([0.0, 1.0], [1, 0]) == 1.0


def test_brier_score_agrees_with_sklearn() -> None:
    margins, labels = drawn(1, 100, 1.0, 0.0)
    probabilities = 1 / (1 + np.exp(-margins))
    assert brier_score(probabilities, labels) == pytest.approx(metrics.brier_score_loss(labels, probabilities))


def test_platt_scaling_finds_the_curve_that_made_the_labels() -> None:
    fitted = fit_platt(*drawn(2, 20_000, scale=0.7, offset=-1.0))
    assert fitted.scale == pytest.approx(0.7, abs=0.03)
    assert fitted.offset == pytest.approx(-1.0, abs=0.06)


def test_platt_scaling_is_the_maximum_likelihood_of_sklearn_on_smoothed_labels() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    margins, labels = drawn(3, 300, scale=0.7, offset=0.4)
    n1, n0 = labels.sum(), (1 - labels).sum()
    target = np.where(labels == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    # A soft label t is a text seen t times as toxic and 1 - t times as not.
    reference = linear_model.LogisticRegression(C=1e12, tol=1e-12, max_iter=1000).fit(
        np.tile(margins, 2)[:, None], np.repeat([1, 0], 300), np.concatenate([target, 1 - target])
    )
    fitted = fit_platt(margins, labels)
    assert fitted.scale == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert fitted.offset == pytest.approx(reference.intercept_[0], rel=1e-3)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_platt_scaling_of_separable_margins_is_finite_and_right(size: float) -> None:
    margins, labels = np.array([-2.0, -1.0, 1.0, 2.0]) * size, [0, 0, 1, 1]
    probabilities = calibrated(margins, fit_platt(margins, labels))
    assert probabilities == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.2)
    assert (np.diff(probabilities) > 0).all()


def test_platt_scaling_of_misleading_margins_gives_the_share_of_toxic_texts() -> None:
    margins, labels = np.array([3.0, 2.0, 1.0, -1.0, -2.0]), [0, 0, 0, 1, 1]
    assert calibrated(margins, fit_platt(margins, labels)) == pytest.approx([0.42] * 5, abs=0.02)


@pytest.mark.parametrize(("labels", "expected"), [([1] * 4, 5 / 6), ([0] * 4, 1 / 6)])
def test_platt_scaling_of_one_class_gives_its_smoothed_share(labels: list[int], expected: float) -> None:
    margins = np.array([0.5, 0.5, 0.5, 0.5])
    assert calibrated(margins, fit_platt(margins, labels)) == pytest.approx([expected] * 4, abs=1e-6)


def test_extreme_margins_do_not_overflow() -> None:
    with np.errstate(all="raise", under="ignore"):
        assert calibrated([-1e300, 1e300], fit_platt([-1.0, 1.0], [0, 1])).tolist() == [0.0, 1.0]


def test_cross_fitting_never_lets_a_text_rate_itself() -> None:
    margins, labels = drawn(4, 30, 1.0, 0.0)
    before = cross_fitted_probabilities(margins, labels, n_folds=30)
    for i in (0, 17):
        others = np.arange(30) != i
        assert before[i] == pytest.approx(calibrated(margins[i : i + 1], fit_platt(margins[others], labels[others]))[0])


def test_cross_fitted_ece_of_calibratable_margins_is_small() -> None:
    margins, labels = drawn(5, 4000, scale=0.3, offset=-1.0)
    raw = 1 / (1 + np.exp(-margins))
    assert expected_calibration_error(raw, labels) > 0.15
    assert cross_fitted_ece(margins, labels) < 0.03


def test_cross_fitting_with_fewer_texts_than_folds_is_refused() -> None:
    with pytest.raises(DataError, match="5 folds over 3 texts"):
        cross_fitted_ece([1.0, 2.0, 3.0], [0, 1, 1])


@pytest.mark.parametrize("seed", range(3))
def test_the_best_threshold_beats_every_other(seed: int) -> None:
    margins, labels = drawn(seed, 60, 0.6, -0.5)
    probabilities = np.round(1 / (1 + np.exp(-margins)), 2)
    best = best_threshold(probabilities, labels)

    def score(threshold: float) -> float:
        return float(metrics.f1_score(labels, probabilities >= threshold, average="macro", zero_division=0))

    assert score(best) == pytest.approx(max(score(t) for t in np.linspace(0, 1, 201)))


def test_tied_thresholds_go_to_the_one_nearest_to_a_half() -> None:
    assert best_threshold([0.1, 0.3, 0.9], [0, 1, 1]) == pytest.approx(0.2)
    assert best_threshold([0.0, 1.0], [0, 1]) == 0.5


def test_neighbouring_floats_are_told_apart() -> None:
    low, high = 0.7, float(np.nextafter(0.7, 1))
    assert best_threshold([low, high], [0, 1]) == high


def test_recall_at_a_false_alarm_rate_agrees_with_the_roc_curve() -> None:
    margins, labels = drawn(6, 500, 0.7, 0.0)
    scores = np.round(margins, 1)
    for rate in (0.0, 0.05, 0.1, 0.5, 1.0):
        fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
        expected = tpr[fpr <= rate + 1e-12].max()
        assert recall_at_false_alarm(scores[labels == 1], scores[labels == 0], rate) == pytest.approx(expected)


def test_scores_tied_with_a_false_alarm_are_not_found_for_free() -> None:
    assert recall_at_false_alarm([0.5, 0.5], [0.5] * 10, rate=0.1) == 0.0


def test_calibration_scores_are_ready_for_json() -> None:
    row = score_calibration([0.0, 1.0], [0, 1]).to_dict()
    assert row == {"ece": 0.0, "ece_equal_mass": 0.0, "brier": 0.0}


def test_a_margin_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="score 1 is inf"):
        fit_platt([0.0, math.inf], [0, 1])
