"""How well a model tells toxic texts from others (methods.md 1.8: macro-F1, accuracy).

Symbols: n texts · confusion (..., 2, 2) with gold in the rows, prediction in the columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toxitrace.evaluation.bootstrap import N_RESAMPLES, Floats, Interval, bootstrap_counts, bootstrap_sums
from toxitrace.evaluation.inputs import read_labels, read_scores

LABELS = ("non_toxic", "toxic")


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Precision, recall and F1 of one class; ``n_texts`` counts its gold texts."""

    label: str
    precision: float
    recall: float
    f1: float
    n_texts: int


@dataclass(frozen=True, slots=True)
class TopicScores:
    """The scores on the texts of one topic; ``auroc`` is NaN where the topic holds one class only."""

    topic: str
    accuracy: float
    macro_f1: float
    auroc: float
    n_texts: int
    n_toxic: int


@dataclass(frozen=True, slots=True)
class Classification:
    """The verdicts of one model on one set of texts, all scores in [0, 1]."""

    n_texts: int
    threshold: float
    accuracy: Interval
    macro_f1: Interval
    auroc: Interval
    per_class: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, int], tuple[int, int]]
    topics: tuple[TopicScores, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; undefined values are null."""
        row = asdict(self)
        for name in ("accuracy", "macro_f1", "auroc"):
            row[name] = getattr(self, name).to_dict()
        for topic in row["topics"]:
            topic["auroc"] = None if math.isnan(topic["auroc"]) else topic["auroc"]
        return row


def confusion_rows(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Floats:
    """One-hot cell of the confusion matrix per text: (n, 4) in the order tn, fp, fn, tp."""
    cells = 2 * read_labels(labels) + read_labels(predicted)
    rows: Floats = np.eye(4)[cells]
    return rows


def confusion_matrix(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Floats:
    """Texts by gold (rows) and predicted (columns) class: (2, 2).

    >>> confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1]).tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    table: Floats = confusion_rows(labels, predicted).sum(axis=0).reshape(2, 2)
    return table


def accuracy(confusion: Floats) -> Floats:
    """Share of texts on the diagonal: (..., 2, 2) -> (...)."""
    share: Floats = np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))
    return share


def precision_recall_f1(confusion: Floats) -> tuple[Floats, Floats, Floats]:
    """Per class: (..., 2, 2) -> three (..., 2); 0 where nothing was predicted or nothing was there."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    predicted, gold = confusion.sum(axis=-2), confusion.sum(axis=-1)
    # A zero denominator comes with a zero numerator, so any positive stand-in gives the 0 that is wanted.
    precision = hits / np.where(predicted > 0, predicted, 1)
    recall = hits / np.where(gold > 0, gold, 1)
    f1 = 2 * hits / np.where(predicted + gold > 0, predicted + gold, 1)
    return precision, recall, f1


def macro_f1(confusion: Floats) -> Floats:
    """Mean of the two classes' F1: (..., 2, 2) -> (...)."""
    mean: Floats = precision_recall_f1(confusion)[2].mean(axis=-1)
    return mean


def auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Chance that a toxic text scores above another one, ties counting half; NaN with one class only.

    >>> auroc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])
    0.875
    """
    values, truth = read_scores(scores, labels)
    return float(weighted_auroc(values, truth, np.ones((1, len(values))))[0])


def weighted_auroc(scores: Floats, labels: npt.NDArray[np.int64], counts: Floats) -> Floats:
    """AUROC of many resamples at once.

    Args:
        scores: (n,)
        labels: (n,) 0 or 1.
        counts: (r, n) how often each text stands in each resample.

    Returns:
        (r,) NaN where a resample holds one class only.
    """
    order = np.argsort(scores, kind="stable")
    first_of_tie = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered = counts[:, order]
    toxic = np.add.reduceat(ordered * labels[order], first_of_tie, axis=1)  # (r, n) -> (r, distinct scores)
    other = np.add.reduceat(ordered * (1 - labels[order]), first_of_tie, axis=1)
    below = np.cumsum(other, axis=1) - other / 2
    pairs = toxic.sum(axis=1) * other.sum(axis=1)
    wins: Floats = (toxic * below).sum(axis=1)
    return np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1), np.nan)


def topic_scores(
    probabilities: Floats, labels: npt.NDArray[np.int64], topics: Sequence[str], threshold: float
) -> tuple[TopicScores, ...]:
    """The scores on every topic, topics in alphabetical order."""
    names = np.asarray(topics, dtype=object)
    rows = []
    for name in sorted(set(topics)):
        chosen = names == name
        truth, given = labels[chosen], probabilities[chosen]
        table = confusion_matrix(truth, given >= threshold)
        scores = (float(accuracy(table)), float(macro_f1(table)), auroc(given, truth))
        rows.append(TopicScores(name, *scores, n_texts=len(truth), n_toxic=int(truth.sum())))
    return tuple(rows)


def score_classification(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    threshold: float = 0.5,
    topics: Sequence[str] | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Classification:
    """Score the verdicts ``probability >= threshold``, with bootstrap intervals over texts.

    Args:
        probabilities: (n,) of toxicity.
        labels: (n,) gold, 0 or 1.
        threshold: probability from which a text counts as toxic.
        topics: (n,) names for the per-topic table; None leaves it out.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: a label or probability is out of range, or their numbers differ.
    """
    given, truth = read_scores(probabilities, labels, probability=True)
    rows = confusion_rows(truth, given >= threshold)
    table = rows.sum(axis=0).reshape(2, 2)
    per_class = zip(LABELS, *precision_recall_f1(table), table.sum(axis=1), strict=True)
    return Classification(
        n_texts=len(truth),
        threshold=threshold,
        accuracy=bootstrap_sums(rows, lambda sums: accuracy(sums.reshape(-1, 2, 2)), n_resamples, seed),
        macro_f1=bootstrap_sums(rows, lambda sums: macro_f1(sums.reshape(-1, 2, 2)), n_resamples, seed),
        auroc=bootstrap_counts(lambda counts: weighted_auroc(given, truth, counts), len(truth), n_resamples, seed),
        per_class=tuple(ClassScores(name, float(p), float(r), float(f), int(n)) for name, p, r, f, n in per_class),
        confusion=((int(table[0, 0]), int(table[0, 1])), (int(table[1, 0]), int(table[1, 1]))),
        topics=topic_scores(given, truth, topics, threshold) if topics is not None else (),
    )
