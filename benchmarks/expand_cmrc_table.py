"""Ranking scores of several systems and their tests as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from toxitrace.evaluation.ranking import MEASURES, RankingScores
from toxitrace.expand.report import Comparison


def table_rows(scores: Mapping[str, RankingScores], tests: Iterable[Comparison]) -> list[str]:
    """A row for every system with its first test, and for every later test of it a row of its own."""
    lines = [
        f"| system | {' | '.join(MEASURES)} | difference of nDCG@10 | p | better / worse |",
        "|---|" + "---|" * (len(MEASURES) + 3),
    ]
    by_name: dict[str, list[Comparison]] = {}
    for test in tests:
        if test.test.measure == "ndcg@10":
            by_name.setdefault(test.system, []).append(test)
    for name, one in scores.items():
        cells = [f"{100 * one.mean(measure):.1f}" for measure in MEASURES]
        found = by_name.get(name, [])
        lines.append(f"| {name} | {' | '.join([*cells, *(_tested(found[0]) if found else ('', '', ''))])} |")
        for later in found[1:]:
            blank = [""] * len(MEASURES)
            lines.append(f"| {name} - {later.baseline} | {' | '.join([*blank, *_tested(later)])} |")
    return lines


def _tested(comparison: Comparison) -> tuple[str, str, str]:
    test = comparison.test
    gap = test.difference
    return (
        f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})",
        f"{test.p_value:.4f}",
        f"{test.n_better} / {test.n_worse}",
    )
