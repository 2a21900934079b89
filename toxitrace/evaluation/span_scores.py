"""How well extracted spans match gold spans (methods.md 1.9).

Every score is a function of per-text counts summed over a corpus, so a bootstrap costs one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from toxitrace.errors import DataError
from toxitrace.evaluation.bootstrap import N_RESAMPLES, Floats, Interval, bootstrap_sums
from toxitrace.spans.merge import merge_spans

Bounds = Sequence[tuple[int, int]]
"""The spans of one text: half-open ``[start, end)`` pairs of characters."""


class SpanCounts(NamedTuple):
    """What the span scores are made of: per text (n,), or summed over the texts of each resample (r,)."""

    tp: Floats
    """Characters predicted and gold."""
    fp: Floats
    """Characters predicted only."""
    fn: Floats
    """Characters gold only."""
    n_predicted: Floats
    """Predicted spans."""
    n_gold: Floats
    """Gold spans, merged where they overlap or touch."""
    predicted_hits: Floats
    """Predicted spans that share a character with a gold span."""
    gold_hits: Floats
    """Gold spans that share a character with a predicted span."""
    exact_hits: Floats
    """Predicted spans with start and end of a gold span."""
    text_f1: Floats
    """Character F1 of the text on its own; 1 where both sides are empty."""
    n_texts: Floats
    """1 per text."""


@dataclass(frozen=True, slots=True)
class SpanScores:
    """The spans of one model on one set of texts, all scores in [0, 1].

    Overlap F1 is blind to length (marking everything scores 1), so it only ever comes with the character scores.
    """

    n_texts: int
    n_predicted: int
    n_gold: int
    character_f1: Interval
    character_precision: Interval
    character_recall: Interval
    iou: Interval
    overlap_f1: Interval
    exact_f1: Interval
    text_f1: Interval

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; undefined values are null."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value.to_dict() if isinstance(value, Interval) else value for name, value in values.items()}


def count_spans(predicted: Sequence[Bounds], gold: Sequence[Bounds]) -> SpanCounts:
    """Compare the spans of every text with its gold spans.

    Args:
        predicted: (n,) spans per text; of two equal spans one counts.
        gold: (n,) spans per text, all occurrences; overlapping or touching ones are merged.

    Returns:
        (n,) each.

    Raises:
        DataError: the two differ in length, or a span is empty or starts before its text.

    >>> counts = count_spans([[(4, 7)]], [[(4, 5), (5, 6)]])
    >>> counts.tp.tolist(), counts.fp.tolist(), counts.n_gold.tolist()
    ([2.0], [1.0], [1.0])
    """
    if len(predicted) != len(gold):
        raise DataError(
            f"{len(predicted)} texts have predicted spans and {len(gold)} gold spans; expected the same texts"
        )
    rows = [_count_text(i, *pair) for i, pair in enumerate(zip(predicted, gold, strict=True))]
    table = np.array(rows, dtype=np.float64).reshape(-1, len(SpanCounts._fields))
    return SpanCounts(*table.T)


def _count_text(index: int, predicted: Bounds, gold: Bounds) -> tuple[float, ...]:
    for start, end in (*predicted, *gold):
        if not 0 <= start < end:
            raise DataError(f"text {index} has the span [{start}, {end}); expected 0 <= start < end")
    guesses = set(predicted)
    truths = set(merge_spans(gold))
    p = {i for start, end in guesses for i in range(start, end)}
    g = {i for start, end in truths for i in range(start, end)}
    tp, fp, fn = len(p & g), len(p - g), len(g - p)
    return (
        tp,
        fp,
        fn,
        len(guesses),
        len(truths),
        sum(not g.isdisjoint(range(start, end)) for start, end in guesses),
        sum(not p.isdisjoint(range(start, end)) for start, end in truths),
        len(guesses & truths),
        2 * tp / (2 * tp + fp + fn) if p or g else 1.0,
        1.0,
    )


def _ratio(numerator: Floats, denominator: Floats, empty: Floats | float = 0.0) -> Floats:
    """Divide, with ``empty`` where there is nothing to divide by."""
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), empty)


def _nothing(counts: SpanCounts) -> Floats:
    """1 where neither side marks anything: that is full agreement, in line with the per-text score."""
    return np.where(counts.n_predicted + counts.n_gold > 0, 0.0, 1.0)


def character_precision(counts: SpanCounts) -> Floats:
    """Share of the predicted characters that are gold, pooled."""
    return _ratio(counts.tp, counts.tp + counts.fp, _nothing(counts))


def character_recall(counts: SpanCounts) -> Floats:
    """Share of the gold characters that are predicted, pooled."""
    return _ratio(counts.tp, counts.tp + counts.fn, _nothing(counts))


def character_f1(counts: SpanCounts) -> Floats:
    """Harmonic mean of character precision and recall, pooled over the corpus."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, _nothing(counts))


def iou(counts: SpanCounts) -> Floats:
    """Characters in both over characters in either, pooled: F1 / (2 - F1)."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn, _nothing(counts))


def overlap_f1(counts: SpanCounts) -> Floats:
    """F1 of spans where sharing one character is enough; blind to length, never tune on it."""
    precision = _ratio(counts.predicted_hits, counts.n_predicted, _nothing(counts))
    recall = _ratio(counts.gold_hits, counts.n_gold, _nothing(counts))
    return _ratio(2 * precision * recall, precision + recall)


def exact_f1(counts: SpanCounts) -> Floats:
    """F1 of spans that agree in start and end."""
    return _ratio(2 * counts.exact_hits, counts.n_predicted + counts.n_gold, _nothing(counts))


def text_f1(counts: SpanCounts) -> Floats:
    """Mean of the texts' own character F1, as in SemEval-2021 task 5."""
    return _ratio(counts.text_f1, counts.n_texts, np.nan)


def score_spans(
    predicted: Sequence[Bounds], gold: Sequence[Bounds], n_resamples: int = N_RESAMPLES, seed: int = 0
) -> SpanScores:
    """All span scores of one model, with bootstrap intervals over texts.

    Args:
        predicted: (n,) spans per text.
        gold: (n,) spans per text.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: see ``count_spans``.
    """
    counts = count_spans(predicted, gold)
    rows = np.stack(counts, axis=1)  # (n, 10)

    def interval(measure: Callable[[SpanCounts], Floats]) -> Interval:
        return bootstrap_sums(rows, lambda sums: measure(SpanCounts(*sums.T)), n_resamples, seed)

    return SpanScores(
        n_texts=len(rows),
        n_predicted=int(counts.n_predicted.sum()),
        n_gold=int(counts.n_gold.sum()),
        character_f1=interval(character_f1),
        character_precision=interval(character_precision),
        character_recall=interval(character_recall),
        iou=interval(iou),
        overlap_f1=interval(overlap_f1),
        exact_f1=interval(exact_f1),
        text_f1=interval(text_f1),
    )


def silence(predicted: Sequence[Bounds], flagged: Sequence[bool]) -> list[Bounds]:
    """Empty the spans of texts that were not predicted toxic: forced extraction -> end-to-end."""
    return [spans if toxic else [] for spans, toxic in zip(predicted, flagged, strict=True)]
