"""Do two sources of evidence agree? A language model beside another, beside people, or beside the clues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toxitrace.data.annotations import SpanAnnotation, attach_spans
from toxitrace.data.offsets import Offsets
from toxitrace.data.records import Example
from toxitrace.errors import DataError
from toxitrace.evaluation import Interval, bootstrap_sums, score_spans

N_TOP = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """A text on which the sources differ; ``n_chars`` characters are marked by one of them alone."""

    id: str
    text: str
    label: int | None
    left: Offsets
    right: Offsets
    n_chars: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two sources of spans agree on the texts that both have looked at.

    Attributes:
        n_texts: texts both have looked at.
        n_left_only, n_right_only: texts that one of them alone has judged.
        n_left_not_judged, n_right_not_judged: rows on which nobody decided, which are in no other figure.
        left_empty, right_empty: shares of the texts without evidence.
        same_verdict: share of the texts where both find evidence, or both none.
        kappa: the same beyond chance (Cohen), 1 perfect, 0 chance; undefined where both always say the same.
        character_f1, iou, exact_f1: of the spans, pooled; the same whichever source is taken for gold.
        character_f1_both: pooled over the texts where both find evidence.
        n_both: number of those texts.
        left_top, right_top: most frequent strings of evidence, with the number of their spans.
        differences: texts that differ, by characters marked by one source alone, most first.
    """

    n_texts: int
    n_left_only: int
    n_right_only: int
    n_left_not_judged: int
    n_right_not_judged: int
    left_empty: Interval
    right_empty: Interval
    same_verdict: Interval
    kappa: Interval
    character_f1: Interval
    iou: Interval
    exact_f1: Interval
    character_f1_both: Interval
    n_both: int
    left_top: tuple[tuple[str, int], ...]
    right_top: tuple[tuple[str, int], ...]
    differences: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready figures, without texts and strings."""
        values = {name: getattr(self, name) for name in self.__slots__}
        figures = {name: value for name, value in values.items() if not isinstance(value, tuple)}
        return {name: value.to_dict() if isinstance(value, Interval) else value for name, value in figures.items()}


def compare(
    examples: Sequence[Example],
    left: Mapping[str, SpanAnnotation],
    right: Mapping[str, SpanAnnotation],
    *,
    not_judged: tuple[Container[str], Container[str]] = ((), ()),
    n_resamples: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Compare two sources on the texts that both have looked at.

    Args:
        examples: the annotated texts; others are passed over.
        left, right: spans by id, as ``read_spans`` gives them.
        not_judged: of either source, ids of rows that nobody decided on, as `read_judged` gives them: left out.
        n_resamples: of the bootstrap over texts.
        seed: of the bootstrap.

    Raises:
        DataError: there is no such text, or a span lies outside its text.
    """
    n_rows = len(left), len(right)
    left, right = (
        {id: note for id, note in source.items() if id not in unjudged}
        for source, unjudged in zip((left, right), not_judged, strict=True)
    )
    n_not_judged = n_rows[0] - len(left), n_rows[1] - len(right)
    shared = [example for example in examples if example.id in left and example.id in right]
    if not shared:
        left_out = f" (rows that nobody judged: {n_not_judged[0]} and {n_not_judged[1]})" if any(n_not_judged) else ""
        raise DataError(
            f"none of the {len(examples)} texts is annotated in both files{left_out}; "
            "compare annotations of the same texts, and name those with --texts"
        )
    left_spans, right_spans = (
        [example.spans or () for example in attach_spans(shared, source)] for source in (left, right)
    )
    scores = score_spans(left_spans, right_spans, n_resamples, seed)
    both = [(a, b) for a, b in zip(left_spans, right_spans, strict=True) if a and b]
    verdicts = np.array(
        [(bool(a), bool(b), bool(a) and bool(b), 1) for a, b in zip(left_spans, right_spans, strict=True)], np.float64
    )

    def interval(measure: Callable[[Any], Any]) -> Interval:
        return bootstrap_sums(verdicts, lambda sums: measure(sums.T), n_resamples, seed)

    return Agreement(
        n_texts=len(shared),
        n_left_only=len(left.keys() - right.keys()),
        n_right_only=len(right.keys() - left.keys()),
        n_left_not_judged=n_not_judged[0],
        n_right_not_judged=n_not_judged[1],
        left_empty=interval(lambda sums: 1 - sums[0] / sums[3]),
        right_empty=interval(lambda sums: 1 - sums[1] / sums[3]),
        same_verdict=interval(_same_verdict),
        kappa=interval(_kappa),
        character_f1=scores.character_f1,
        iou=scores.iou,
        exact_f1=scores.exact_f1,
        character_f1_both=score_spans([a for a, _ in both], [b for _, b in both], n_resamples, seed).character_f1
        if both
        else Interval.undefined(),
        n_both=len(both),
        left_top=_top(shared, left_spans),
        right_top=_top(shared, right_spans),
        differences=_differences(shared, left_spans, right_spans),
    )


def _same_verdict(sums: Any) -> Any:
    """Share of the texts on which both say the same; (k, r) sums: left marks, right marks, both mark, texts."""
    left, right, both, n = sums
    return (n - left - right + 2 * both) / n


def _kappa(sums: Any) -> Any:
    left, right, _, n = sums
    chance = (left * right + (n - left) * (n - right)) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance < 1, (_same_verdict(sums) - chance) / (1 - chance), np.nan)


def _top(examples: Sequence[Example], spans: Sequence[Offsets]) -> tuple[tuple[str, int], ...]:
    strings = Counter(
        example.text[start:end] for example, own in zip(examples, spans, strict=True) for start, end in own
    )
    # equal counts in the order of the strings: the same report on every run
    return tuple(sorted(strings.items(), key=lambda item: (-item[1], item[0]))[:N_TOP])


def _differences(
    examples: Sequence[Example], left: Sequence[Offsets], right: Sequence[Offsets]
) -> tuple[Difference, ...]:
    found = []
    for example, a, b in zip(examples, left, right, strict=True):
        marked = [{i for start, end in own for i in range(start, end)} for own in (a, b)]
        n_chars = len(marked[0] ^ marked[1])
        if n_chars:
            found.append(Difference(example.id, example.text, example.label, a, b, n_chars))
    return tuple(sorted(found, key=lambda difference: -difference.n_chars))
