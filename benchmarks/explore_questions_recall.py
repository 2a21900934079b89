"""How much of the platform all queries of a system find together, and how purely, at several review budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from explore_queries_platform import Platform

from toxitrace.evaluation.bootstrap import Interval
from toxitrace.explore import Judged, judge_queries
from toxitrace.explore.query_metrics import new_toxic, review_list
from toxitrace.explore.tasks.intervals import jackknife

Row = Mapping[str, Any]
Figures = dict[str, float]


def review_figures(judged: Sequence[Judged], budgets: Sequence[int], known: frozenset[str], n_toxic: int) -> Figures:
    """Precision and recall at each budget, recall of everything that was found, and new toxic posts per 100 queries.

    Args:
        judged: all queries of a system.
        budgets: posts that reviewers can read; where the queries found fewer, precision is over those.
        known: toxic posts that are nothing new.
        n_toxic: of the platform, the known ones included.
    """
    toxic = np.cumsum([0, *(post.toxic for post in review_list(judged, max(budgets), known))])
    figures: Figures = {}
    for budget in budgets:
        n = min(budget, len(toxic) - 1)
        figures[f"precision@{budget}"] = float(toxic[n]) / max(n, 1)
        figures[f"recall@{budget}"] = float(toxic[n]) / max(n_toxic - len(known), 1)
    n_new = len(new_toxic(judged, known))
    return figures | {
        "recall": n_new / max(n_toxic - len(known), 1),
        "new_toxic_per_100_queries": 100 * n_new / max(len(judged), 1),
    }


class Recall:
    """Review figures of logged systems on the test part; what was worked out is remembered.

    Args:
        platform: posts and the auditor's items, which are known beforehand.
        budgets: posts that reviewers can read.
    """

    def __init__(self, platform: Platform, budgets: Sequence[int]) -> None:
        self.budgets = tuple(budgets)
        self._platform = platform
        self._known = frozenset(platform.auditor)
        self._n_toxic = platform.judging.n_toxic or 0
        self._judged: dict[tuple[str, int], dict[str, list[Judged]]] = {}
        self._figures: dict[tuple[str, int, frozenset[str] | None], Figures] = {}

    def figures(self, row: Row, kept: frozenset[str] | None = None) -> Figures:
        """Of one system and seed, with the queries of these clusters; None: of all."""
        key = (row["system"], row["seed"], kept)
        if key not in self._figures:
            by_cluster = self._by_cluster(row)
            clusters = sorted((cluster for cluster in by_cluster if kept is None or cluster in kept), key=int)
            chosen = [one for cluster in clusters for one in by_cluster[cluster]]
            self._figures[key] = review_figures(chosen, self.budgets, self._known, self._n_toxic)
        return self._figures[key]

    def differences(self, one: Sequence[Row], other: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
        """Mean over the seeds that both have of first less second, with jackknife intervals over clusters."""
        pairs = [(a, b) for a in one for b in other if a["seed"] == b["seed"]]
        clusters = {cluster for pair in pairs for row in pair for cluster in self._by_cluster(row)}
        numbers = sorted(map(int, clusters))

        def difference(kept: frozenset[int], name: str) -> float:
            own = frozenset(map(str, kept))
            return float(np.mean([self.figures(a, own)[name] - self.figures(b, own)[name] for a, b in pairs]))

        found: dict[str, Interval] = {}
        for name in names:
            found[name] = jackknife(numbers, lambda kept, name=name: difference(kept, name))  # type: ignore[misc]
        return {name: interval.to_dict() for name, interval in found.items()}

    def _by_cluster(self, row: Row) -> dict[str, list[Judged]]:
        key = (row["system"], row["seed"])
        if key not in self._judged:
            pairs = [(id, query) for id, queries in row["test_queries"].items() for query in queries]
            judged = judge_queries(
                self._platform.engine,
                [query for _, query in pairs],
                self._platform.judging,
                exclude=[(id,) for id, _ in pairs],
            )
            found: dict[str, list[Judged]] = {}
            for (id, _), one in zip(pairs, judged, strict=True):
                found.setdefault(str(self._platform.clusters[id]), []).append(one)
            self._judged[key] = found
        return self._judged[key]
