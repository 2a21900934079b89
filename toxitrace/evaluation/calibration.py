"""Whether a probability means what it says, and the scaling and thresholds that make it useful."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from toxitrace.errors import DataError
from toxitrace.evaluation.bootstrap import Floats
from toxitrace.evaluation.classification import macro_f1
from toxitrace.evaluation.inputs import read_scores
from toxitrace.settings import Calibration

Bins = Literal["equal_width", "equal_mass"]

# The flattest curve a fit may return, per standard deviation of the margins: Calibration asks for a rising one.
_LEAST_SCALE = 1e-3


@dataclass(frozen=True, slots=True)
class CalibrationScores:
    """How far probabilities are from observed frequencies; 0 is perfect.

    No intervals: the bootstrap of a calibration error is biased upwards and would not hold its value.
    """

    ece: float
    ece_equal_mass: float
    brier: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def score_calibration(probabilities: npt.ArrayLike, labels: npt.ArrayLike, n_bins: int = 15) -> CalibrationScores:
    """All calibration scores of one set of probabilities."""
    return CalibrationScores(
        ece=expected_calibration_error(probabilities, labels, n_bins),
        ece_equal_mass=expected_calibration_error(probabilities, labels, n_bins, "equal_mass"),
        brier=brier_score(probabilities, labels),
    )


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, n_bins: int = 15, bins: Bins = "equal_width"
) -> float:
    """Mean distance between probability and frequency of toxic texts over bins, weighted by their texts.

    Args:
        probabilities: (n,) of toxicity; bins are over this, not over the confidence in the verdict.
        labels: (n,) 0 or 1.
        n_bins: number of bins.
        bins: cut [0, 1] into equal widths, or the sorted texts into equal numbers.

    >>> round(expected_calibration_error([0.2, 0.2, 0.9, 0.9], [0, 1, 1, 1], n_bins=2), 3)
    0.2
    """
    given, truth = read_scores(probabilities, labels, probability=True)
    if bins == "equal_width":
        # Right-closed as in Guo et al. (2017), with 0 in the first bin.
        places = np.clip(np.ceil(given * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    else:
        # Ties share a bin, else the result would depend on the order of the texts.
        rank = np.searchsorted(np.sort(given), given, side="left")
        places = rank * n_bins // len(given)
    gaps = np.bincount(places, weights=given - truth, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(given))


def brier_score(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean squared distance between probability and label."""
    given, truth = read_scores(probabilities, labels, probability=True)
    return float(np.mean((given - truth) ** 2))


def calibrated(margins: npt.ArrayLike, calibration: Calibration) -> Floats:
    """Probabilities of margins under a fitted scaling, without overflow at any margin."""
    z = calibration.scale * np.asarray(margins, dtype=np.float64) + calibration.offset
    return _sigmoid(z)


def fit_platt(margins: npt.ArrayLike, labels: npt.ArrayLike) -> Calibration:
    """Fit probability = sigmoid(scale * margin + offset) by maximum likelihood (Platt 1999).

    Labels are smoothed to (N1+1)/(N1+2) and 1/(N0+2), so separable classes or a single class still have a
    finite best fit. Where margins do not rise with the label the curve stays almost flat, every
    probability near the share of toxic texts.

    Args:
        margins: (n,) z_tox - z_non.
        labels: (n,) 0 or 1.

    Raises:
        DataError: there are no texts, a margin is not finite or a label neither 0 nor 1.
    """
    x, truth = read_scores(margins, labels)
    n_toxic = int(truth.sum())
    target = np.where(truth == 1, (n_toxic + 1) / (n_toxic + 2), 1 / (len(truth) - n_toxic + 2))
    spread = float(x.std()) or 1.0
    centre = float(x.mean())
    u = (x - centre) / spread  # standardised: Newton's steps are then well scaled whatever the margins
    weights = _newton(np.stack([u, np.ones_like(u)], axis=1), target)
    slope, height = float(weights[0]), float(weights[1])
    if slope < _LEAST_SCALE:
        slope, height = _LEAST_SCALE, float(_newton(np.ones((len(x), 1)), target, base=_LEAST_SCALE * u)[0])
    return Calibration(slope / spread, height - slope / spread * centre)


def cross_fitted_probabilities(
    margins: npt.ArrayLike, labels: npt.ArrayLike, n_folds: int = 5, seed: int = 0
) -> Floats:
    """Probabilities of texts under a scaling fitted on the other folds, so that no text rates itself.

    Raises:
        DataError: fewer texts than folds, fewer than 2 folds, or unusable margins or labels.
    """
    x, truth = read_scores(margins, labels)
    if not 2 <= n_folds <= len(x):
        raise DataError(f"{n_folds} folds over {len(x)} texts; expected 2 folds or more and a text for each")
    shuffled = np.random.default_rng(seed).permutation(len(x))
    # Dealt out class by class, every fold gets its share of the toxic texts.
    dealt = shuffled[np.argsort(truth[shuffled], kind="stable")]
    fold = np.empty(len(x), dtype=np.int64)
    fold[dealt] = np.arange(len(x)) % n_folds
    result = np.empty(len(x))
    for k in range(n_folds):
        held_out = fold == k
        result[held_out] = calibrated(x[held_out], fit_platt(x[~held_out], truth[~held_out]))
    return result


def cross_fitted_ece(
    margins: npt.ArrayLike, labels: npt.ArrayLike, n_folds: int = 5, n_bins: int = 15, seed: int = 0
) -> float:
    """Calibration error to expect after ``fit_platt``: one ECE over the pooled held-out probabilities.

    Pooled and not averaged over folds, because the ECE of a small fold is mostly noise and always positive.
    """
    return expected_calibration_error(cross_fitted_probabilities(margins, labels, n_folds, seed), labels, n_bins)


def best_threshold(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The threshold t with the highest macro-F1 for ``probability >= t``; on ties the one nearest to 0.5.

    >>> best_threshold([0.1, 0.25, 0.5, 0.8], [0, 0, 1, 1])
    0.375
    """
    given, truth = read_scores(probabilities, labels, probability=True)
    levels, place = np.unique(given, return_inverse=True)
    toxic = np.bincount(place, weights=truth)
    other = np.bincount(place, weights=1 - truth)
    tp, fp = np.cumsum(toxic[::-1])[::-1], np.cumsum(other[::-1])[::-1]  # from this level upwards
    tables = np.stack([np.stack([fp[0] - fp, fp], -1), np.stack([tp[0] - tp, tp], -1)], -2)  # (levels, 2, 2)
    scores = macro_f1(tables)
    # Half-way between two levels a new text is safest; 0 lets everything through.
    middles = np.concatenate([[0.0], (levels[:-1] + levels[1:]) / 2])
    thresholds = np.where(middles > np.concatenate([[-1.0], levels[:-1]]), middles, levels)
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def recall_at_false_alarm(pos_scores: npt.ArrayLike, neg_scores: npt.ArrayLike, rate: float = 0.10) -> float:
    """Highest share of toxic texts found by a threshold that flags at most ``rate`` of the others.

    Args:
        pos_scores: (n1,) scores of toxic texts.
        neg_scores: (n0,) scores of the others.
        rate: allowed share of false alarms, from 0 to 1.

    Raises:
        DataError: either side is empty or not finite, or ``rate`` is out of range.

    >>> recall_at_false_alarm([0.9, 0.6, 0.3, 0.2], [0.5, 0.1, 0.1, 0.1, 0.1], rate=0.2)
    1.0
    >>> recall_at_false_alarm([0.9, 0.6, 0.3, 0.2], [0.5, 0.1, 0.1, 0.1, 0.1], rate=0.1)
    0.5
    """
    found, _ = read_scores(pos_scores, np.ones(np.shape(pos_scores)))
    alarms, _ = read_scores(neg_scores, np.zeros(np.shape(neg_scores)))
    if not 0.0 <= rate <= 1.0:
        raise DataError(f"false-alarm rate is {rate}; expected a share from 0 to 1")
    allowed = int(np.floor(rate * len(alarms) + 1e-9))
    if allowed >= len(alarms):
        return 1.0
    return float(np.mean(found > np.sort(alarms)[::-1][allowed]))


def _sigmoid(z: Floats) -> Floats:
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def _newton(features: Floats, target: Floats, base: Floats | float = 0.0) -> Floats:
    """Logistic regression on soft targets, by Newton's method with halved steps (Lin, Lin and Weng 2007).

    The ridge of 1e-10 only keeps the Hessian invertible where all features are equal.
    """
    weights = np.zeros(features.shape[1])

    def loss(w: Floats) -> float:
        z = features @ w + base
        return float(np.sum(np.logaddexp(0.0, z) - target * z))

    current = loss(weights)
    for _ in range(100):
        p = _sigmoid(features @ weights + base)
        gradient = features.T @ (p - target)
        if np.abs(gradient).max() < 1e-9 * len(target):
            break
        hessian = features.T @ (features * (p * (1 - p))[:, None]) + 1e-10 * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        rate = 1.0
        while loss(weights - rate * step) > current and rate > 1e-10:
            rate /= 2
        weights = weights - rate * step
        current = loss(weights)
    return weights
