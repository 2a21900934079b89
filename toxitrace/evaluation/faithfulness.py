"""Whether the spans are what the model decided by (methods.md 1.9; DeYoung et al. 2020).

A span is masked by writing a mask character over each of its characters, so that length, offsets and
punctuation around it stay. The default "□" is rare in posts and carries no meaning; "*" would not do, because
writers censor abuse with it and a model may have learnt that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toxitrace.errors import DataError
from toxitrace.evaluation.bootstrap import N_RESAMPLES, Floats, Interval, bootstrap_sums
from toxitrace.evaluation.span_scores import Bounds
from toxitrace.spans.merge import merge_spans

MASK = "□"
N_RANDOM = 3


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """How the probability of toxicity moves when spans are masked, against equally long random stretches.

    Attributes:
        n_texts: texts with spans, over which the means run.
        n_skipped: texts without spans, left out.
        n_flagged: texts with spans whose probability reaches the threshold, over which flips are counted.
        comprehensiveness: mean fall when the spans are masked; high is good.
        sufficiency: mean fall when all but the spans is masked; near 0 is good.
        flip_rate: share of the flagged texts that are no longer flagged once the spans are masked.
        *_random: the same for random stretches; *_gain: the paired difference, spans minus random.
    """

    n_texts: int
    n_skipped: int
    n_flagged: int
    comprehensiveness: Interval
    comprehensiveness_random: Interval
    comprehensiveness_gain: Interval
    sufficiency: Interval
    sufficiency_random: Interval
    sufficiency_gain: Interval
    flip_rate: Interval
    flip_rate_random: Interval
    flip_rate_gain: Interval

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; undefined values are null."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value.to_dict() if isinstance(value, Interval) else value for name, value in values.items()}


def mask_inside(text: str, spans: Bounds, mask: str = MASK) -> str:
    """Write ``mask`` over every character of the spans.

    >>> mask_inside("你真是个笨蛋", [(4, 6)])
    '你真是个□□'
    """
    characters = list(text)
    for start, end in spans:
        characters[start:end] = mask * (end - start)
    return "".join(characters)


def mask_outside(text: str, spans: Bounds, mask: str = MASK) -> str:
    """Write ``mask`` over every character that is in no span.

    >>> mask_outside("你真是个笨蛋", [(4, 6)])
    '□□□□笨蛋'
    """
    characters = list(mask * len(text))
    for start, end in spans:
        characters[start:end] = text[start:end]
    return "".join(characters)


def random_spans(n_chars: int, spans: Bounds, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Lay stretches as long as ``spans``, in random order and without overlap, at random places of a text.

    All placements of one order are equally likely; they may hit the spans themselves.
    """
    lengths = rng.permutation([end - start for start, end in spans])
    free = n_chars - int(lengths.sum())
    # Stars and bars: which of the free characters and stretches, in a row, are the stretches.
    slots = np.sort(rng.choice(free + len(lengths), size=len(lengths), replace=False))
    starts = slots - np.arange(len(lengths)) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return [(int(start), int(start + length)) for start, length in zip(starts, lengths, strict=True)]


def score_faithfulness(
    texts: Sequence[str],
    spans: Sequence[Bounds],
    probabilities: Callable[[list[str]], npt.ArrayLike],
    threshold: float = 0.5,
    mask: str = MASK,
    n_random: int = N_RANDOM,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Faithfulness:
    """Measure how much of the verdict rests on the spans.

    Args:
        texts: (n,)
        spans: (n,) spans per text; texts without any are skipped and counted.
        probabilities: texts -> (m,) probabilities of toxicity; called once with all masked variants.
        threshold: probability from which a text counts as toxic.
        mask: one character, written over what is masked.
        n_random: random placements per text, averaged.
        n_resamples: of the bootstrap over texts.
        seed: of the random placements and the bootstrap.

    Raises:
        DataError: numbers of texts and spans differ, a span leaves its text, ``mask`` is not one character,
            ``n_random`` is below 1, or ``probabilities`` returns another number than asked for.
    """
    if len(mask) != 1 or n_random < 1:
        raise DataError(f"mask is {mask!r} and n_random {n_random}; expected one character and 1 or more")
    chosen = _checked(texts, spans)
    rng = np.random.default_rng(seed)
    variants: list[str] = []
    for text, bounds in chosen:
        placements = [bounds, *(random_spans(len(text), bounds, rng) for _ in range(n_random))]
        variants.append(text)
        variants += [mask_inside(text, placed, mask) for placed in placements]
        variants += [mask_outside(text, placed, mask) for placed in placements]
    answers = np.asarray(probabilities(variants) if variants else [], dtype=np.float64)
    if answers.shape != (len(variants),):
        raise DataError(f"probabilities have shape {answers.shape}; expected one for each of {len(variants)} texts")
    table = answers.reshape(len(chosen), 3 + 2 * n_random)
    whole, inside, outside = np.split(table, [1, 2 + n_random], axis=1)  # (n, 1) (n, 1 + R) (n, 1 + R)
    flagged = whole >= threshold
    columns = [whole - inside, whole - outside, flagged & (inside < threshold)]
    pairs = [part for column in columns for part in (column[:, 0], column[:, 1:].mean(axis=1))]
    rows = np.stack([*pairs, np.ones(len(chosen)), flagged[:, 0]], axis=1)  # (n, 8)

    def interval(column: int, per: int, minus: int | None = None) -> Interval:
        def mean(sums: Floats) -> Floats:
            total = sums[:, column] - (sums[:, minus] if minus is not None else 0.0)
            return np.where(sums[:, per] > 0, total / np.where(sums[:, per] > 0, sums[:, per], 1), np.nan)

        return bootstrap_sums(rows, mean, n_resamples, seed)

    return Faithfulness(
        n_texts=len(chosen),
        n_skipped=len(texts) - len(chosen),
        n_flagged=int(flagged.sum()),
        comprehensiveness=interval(0, 6),
        comprehensiveness_random=interval(1, 6),
        comprehensiveness_gain=interval(0, 6, minus=1),
        sufficiency=interval(2, 6),
        sufficiency_random=interval(3, 6),
        sufficiency_gain=interval(2, 6, minus=3),
        flip_rate=interval(4, 7),
        flip_rate_random=interval(5, 7),
        flip_rate_gain=interval(4, 7, minus=5),
    )


def _checked(texts: Sequence[str], spans: Sequence[Bounds]) -> list[tuple[str, list[tuple[int, int]]]]:
    """The texts that have spans, with overlapping and touching spans merged."""
    if len(texts) != len(spans):
        raise DataError(f"there are {len(texts)} texts and spans for {len(spans)}; expected spans for every text")
    for i, (text, bounds) in enumerate(zip(texts, spans, strict=True)):
        for start, end in bounds:
            if not 0 <= start < end <= len(text):
                raise DataError(f"text {i} of {len(text)} characters has the span [{start}, {end}), which leaves it")
    return [(text, merge_spans(bounds)) for text, bounds in zip(texts, spans, strict=True) if bounds]
