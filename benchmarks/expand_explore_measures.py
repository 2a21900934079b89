"""What `expand_explore.py` counts: toxic finds, those that keyword search misses, and those in other words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from toxitrace.evaluation.bootstrap import bootstrap_sums
from toxitrace.explore import SeedItem
from toxitrace.search import Hit
from toxitrace.text import fold

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Hits = list[list[Hit]]

BUDGETS = (10, 100)
KEYWORDS = ("BM25, spans", "BM25, text")
FUSED = "BM25, spans + text"


def evidence_grams(evidence: Sequence[str]) -> frozenset[str]:
    """Pairs of neighbouring characters of the evidence, folded; a span of one character stands for itself.

    >>> sorted(evidence_grams(["笨 蛋了", "猪"]))
    ['猪', '笨蛋', '蛋了']
    """
    parts = ["".join(fold(part).text.split()) for part in evidence]
    pairs = {part[i : i + 2] for part in parts for i in range(len(part) - 1)}
    return frozenset(pairs | {part for part in parts if len(part) == 1})


def is_coded(text: str, grams: frozenset[str]) -> bool:
    """Whether a text holds none of the evidence's pairs of characters."""
    folded = fold(text).text
    return not any(gram in folded for gram in grams)


def measured(
    found: Mapping[str, Hits],
    seeds: Sequence[SeedItem],
    texts: Mapping[str, str],
    toxic: Sequence[str],
    cold: Collection[str],
) -> dict[str, Any]:
    """All figures of all systems at every budget.

    Args:
        found: system -> hits of every seed; the keyword searches, `KEYWORDS` and `FUSED`, are among them.
        seeds: what was searched for.
        texts: posts of the platform by id.
        toxic: ids of the flagged ones.
        cold: ids of COLD's posts.
    """
    place = {id: column for column, id in enumerate(toxic)}
    grams = [evidence_grams(seed.evidence) for seed in seeds]
    coded: dict[tuple[int, str], bool] = {}

    def marks(hits: Hits, budget: int) -> Bools:
        table = np.zeros((len(hits), len(place)), bool)
        for row, one in enumerate(hits):
            table[row, [place[hit.id] for hit in one[:budget] if hit.id in place]] = True
        return table

    def coded_pairs(marked: Bools) -> Bools:
        pairs = np.zeros_like(marked)
        for row, column in np.argwhere(marked).tolist():
            id = toxic[column]
            if (row, id) not in coded:
                coded[row, id] = is_coded(texts[id], grams[row])
            pairs[row, column] = coded[row, id]
        return pairs

    result: dict[str, Any] = {}
    for budget in BUDGETS:
        known = marks(found[KEYWORDS[0]], budget) | marks(found[KEYWORDS[1]], budget)
        fused = marks(found[FUSED], budget).sum(1)
        double = marks(found[KEYWORDS[0]], 2 * budget) | marks(found[KEYWORDS[1]], 2 * budget)
        for name, hits in found.items():
            marked = marks(hits, budget)
            n_cold = np.array([sum(hit.id in cold for hit in one[:budget]) for one in hits])
            figures = _figures(marked, coded_pairs(marked), (known, double), fused, n_cold, budget)
            result.setdefault(name, {})[str(budget)] = figures
    return result


def _figures(
    marked: Bools, coded: Bools, known: tuple[Bools, Bools], fused: Counts, n_cold: Counts, budget: int
) -> dict[str, Any]:
    """Figures of one system, rates with intervals over seeds; S seeds, T toxic posts of the platform.

    Args:
        marked: (S, T) toxic posts found.
        coded: (S, T) those of them that hold nothing of the seed's evidence.
        known: (S, T) what either kind of keyword search finds, at the same budget and at the double one.
        fused: (S,) toxic posts that both keyword searches find, fused.
        n_cold: (S,) posts of COLD among the results.
    """
    same, double = known
    of_seed = {
        "toxic": marked.sum(1),
        "coded": coded.sum(1),
        "missed": (marked & ~same).sum(1),
        "missed_double": (marked & ~double).sum(1),
        "gain": marked.sum(1) - fused,
        "cold": n_cold,
        "budget": np.full(len(marked), budget),
        "one": np.ones(len(marked)),
    }
    column = {name: number for number, name in enumerate(of_seed)}
    rows = np.stack(list(of_seed.values()), axis=1)

    def ratio(part: str, whole: str) -> dict[str, Any]:
        return bootstrap_sums(rows, lambda sums: _share(sums[:, column[part]], sums[:, column[whole]])).to_dict()

    # No intervals of what all seeds find together: a resample holds fewer distinct seeds, so it finds less.
    found = marked.any(0)
    return {
        "precision": ratio("toxic", "budget"),
        "gain": ratio("gain", "budget"),
        "toxic_of_cold": ratio("toxic", "cold"),
        "missed": ratio("missed", "toxic"),
        "missed_double": ratio("missed_double", "toxic"),
        "coded": ratio("coded", "toxic"),
        "coded_per_seed": ratio("coded", "one"),
        "unique": int(found.sum()),
        "unique_missed": int((found & ~same.any(0)).sum()),
        "unique_missed_double": int((found & ~double.any(0)).sum()),
    }


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
