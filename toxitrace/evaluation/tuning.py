"""Choosing span parameters on development data, by pooled character F1, the mean over data sets if there are several.

Never by overlap F1: that is blind to length and would choose to mark everything (methods.md 1.9).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from toxitrace.errors import DataError
from toxitrace.evaluation.span_scores import Bounds, SpanCounts, character_f1, count_spans
from toxitrace.settings import BiCSEParams
from toxitrace.spans import drop_short, merge_spans, scale_saliency, scan_cliffs, topk

TOPK_RATIOS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)


@dataclass(frozen=True, slots=True)
class BiCSEGrid:
    """Values to try for each of ``BiCSEParams``; all combinations, then finer steps around the best one."""

    seed: tuple[float, ...] = (0.2, 0.35, 0.5, 0.65, 0.8)
    cliff: tuple[float, ...] = (0.3, 0.45, 0.6, 0.75, 0.9)
    floor: tuple[float, ...] = (0.05, 0.15, 0.25, 0.4)
    gap: tuple[int, ...] = (0, 1, 2)
    min_chars: tuple[int, ...] = (1, 2)
    refine_steps: tuple[float, ...] = (0.08, 0.04, 0.02)
    """Step of each refinement round for ``seed``, ``cliff`` and ``floor``; empty for none."""

    def __post_init__(self) -> None:
        for field in fields(self)[:5]:
            if not getattr(self, field.name):
                raise DataError(f"the grid has no value for bicse.{field.name}; expected at least one")


class _Corpus:
    """Development texts in the form the search needs: plain lists, and gold as running counts."""

    def __init__(
        self,
        saliencies: Sequence[npt.ArrayLike],
        separators: Sequence[npt.ArrayLike],
        gold_spans: Sequence[Bounds],
        parts: Sequence[str],
    ) -> None:
        if not len(saliencies) == len(separators) == len(gold_spans):
            raise DataError(
                f"there are {len(saliencies)} saliencies, {len(separators)} separators and {len(gold_spans)} gold "
                "spans; expected one of each per text"
            )
        if len(parts) != len(gold_spans):
            raise DataError(f"there are {len(parts)} names of parts for {len(gold_spans)} texts; expected one each")
        self.parts = parts
        self.n_gold_chars: Counter[str] = Counter(dict.fromkeys(parts, 0))
        self.scaled: list[list[float]] = []
        self.stops: list[list[bool]] = []
        self.gold_before: list[list[int]] = []
        for i, (saliency, stops, gold) in enumerate(zip(saliencies, separators, gold_spans, strict=True)):
            values = scale_saliency(saliency, stops)
            marked = np.zeros(len(values) + 1, dtype=np.int64)
            for start, end in gold:
                if not 0 <= start < end <= len(values):
                    raise DataError(f"text {i} of {len(values)} characters has the gold span [{start}, {end})")
                marked[start + 1 : end + 1] = 1
            self.scaled.append(values.tolist())
            self.stops.append(np.asarray(stops, dtype=np.bool_).tolist())
            self.gold_before.append(np.cumsum(marked).tolist())
            self.n_gold_chars[parts[i]] += int(marked.sum())

    def character_f1(self, found: Sequence[Bounds]) -> float:
        """Mean over the parts of the pooled character F1 of spans that do not overlap, see ``span_scores``."""
        n_marked: Counter[str] = Counter()
        n_right: Counter[str] = Counter()
        for part, before, bounds in zip(self.parts, self.gold_before, found, strict=True):
            n_marked[part] += sum(end - start for start, end in bounds)
            n_right[part] += sum(before[end] - before[start] for start, end in bounds)
        both = {part: n_marked[part] + n_gold for part, n_gold in self.n_gold_chars.items()}
        scores = [2 * n_right[part] / n if n else 1.0 for part, n in both.items()]
        return sum(scores) / len(scores) if scores else 1.0


def tune_bicse(
    saliencies: Sequence[npt.ArrayLike],
    separators: Sequence[npt.ArrayLike],
    gold_spans: Sequence[Bounds],
    grid: BiCSEGrid | None = None,
    parts: Sequence[str] | None = None,
) -> tuple[BiCSEParams, float]:
    """Find the BiCSE parameters with the highest pooled character F1.

    Deterministic: of equal scores the first one in grid order wins.

    Args:
        saliencies: per text (n,) one value per character.
        separators: per text (n,) true where a character ends every span.
        gold_spans: per text ``[start, end)`` pairs; texts without gold count against what is marked in them.
        grid: None takes the default, which asks for about 200 scans of the data.
        parts: name of the data set of each text; the mean of the sets' scores counts, so that a large set does not
            decide alone. None: all are one set.

    Returns:
        The parameters and their character F1 on this data, which is optimistic: report it on other data.

    Raises:
        DataError: numbers differ or a gold span leaves its text.
    """
    grid = grid or BiCSEGrid()
    corpus = _Corpus(saliencies, separators, gold_spans, [""] * len(gold_spans) if parts is None else parts)
    best, score = BiCSEParams(grid.seed[0], grid.cliff[0], grid.floor[0], grid.gap[0], grid.min_chars[0]), -1.0
    tried: set[tuple[float, float, float]] = set()
    rounds: Iterable[tuple[float, float, float]] = itertools.product(grid.seed, grid.cliff, grid.floor)
    for step in (None, *grid.refine_steps):
        if step is not None:
            rounds = itertools.product(_around(best.seed, step), _around(best.cliff, step), _around(best.floor, step))
        for thresholds in rounds:
            if thresholds not in tried:
                tried.add(thresholds)
                params, f1 = _best_joining(corpus, thresholds, grid)
                if f1 > score:
                    best, score = params, f1
    return best, score


def _around(value: float, step: float) -> list[float]:
    """A value and its neighbours inside [0, 1], rounded so that the stored parameters read well."""
    return [round(min(max(value + move, 0.0), 1.0), 4) for move in (0.0, -step, step)]


def _best_joining(
    corpus: _Corpus, thresholds: tuple[float, float, float], grid: BiCSEGrid
) -> tuple[BiCSEParams, float]:
    """The best gap and minimum length for one scan: the scan depends on neither, so it runs once."""
    scan = BiCSEParams(*thresholds)
    texts = list(zip(corpus.scaled, corpus.stops, strict=True))
    scanned = [scan_cliffs(scaled, stops, scan) for scaled, stops in texts]
    candidates = []
    for gap in grid.gap:
        merged = [merge_spans(bounds, gap, stops) for bounds, stops in zip(scanned, corpus.stops, strict=True)]
        for min_chars in grid.min_chars:
            kept = [drop_short(s, bounds, min_chars) for s, bounds in zip(corpus.scaled, merged, strict=True)]
            candidates.append((BiCSEParams(*thresholds, gap, min_chars), corpus.character_f1(kept)))
    return max(candidates, key=lambda candidate: candidate[1])


def tune_topk(
    saliencies: Sequence[npt.ArrayLike],
    separators: Sequence[npt.ArrayLike],
    gold_spans: Sequence[Bounds],
    ratios: Sequence[float] = TOPK_RATIOS,
) -> tuple[float, float]:
    """Find the top-k ratio with the highest pooled character F1, the first one on ties.

    Returns:
        The ratio and its character F1 on this data.

    Raises:
        DataError: numbers differ, a gold span is empty, or there is no ratio to try.
    """
    if not ratios or not len(saliencies) == len(separators) == len(gold_spans):
        raise DataError(
            f"there are {len(ratios)} ratios, {len(saliencies)} saliencies, {len(separators)} separators and "
            f"{len(gold_spans)} gold spans; expected a ratio, and one of each per text"
        )
    scores = []
    for ratio in ratios:
        found = [
            [span.bounds for span in topk(saliency, stops, ratio)]
            for saliency, stops in zip(saliencies, separators, strict=True)
        ]
        counts = count_spans(found, gold_spans)
        pooled = SpanCounts(*(column.sum(keepdims=True) for column in counts))
        scores.append((ratio, float(character_f1(pooled)[0])))
    return max(scores, key=lambda pair: pair[1])
