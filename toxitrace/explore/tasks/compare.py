"""Several sets of queries over the same items: every figure of methods.md 2 with its interval, and differences."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from toxitrace.errors import ConfigError, DataError
from toxitrace.evaluation.bootstrap import N_RESAMPLES, Interval
from toxitrace.explore.query_metrics import THRESHOLDS, QuerySetMetrics, measure, new_toxic, review_list
from toxitrace.explore.rewards import Judged
from toxitrace.explore.tasks.intervals import jackknife, rate_differences, rate_intervals, rate_names, rate_rows
from toxitrace.explore.tasks.judging import Judging, judged

if TYPE_CHECKING:
    from toxitrace.search.protocol import SearchEngine


@dataclass(frozen=True, slots=True)
class Yardstick:
    """By what sets of queries are measured.

    Attributes:
        clusters: item id -> its cluster of near-duplicates, the unit of the intervals.
        known: toxic items known beforehand, which are nothing new.
        n_toxic, base_rate: of the platform; None: unknown.
        k: most results of a query.
        budget: posts that reviewers can read.
        thresholds: p of QHR@p.
        n_resamples, seed: of the intervals.
    """

    clusters: Mapping[str, int]
    known: frozenset[str]
    n_toxic: int | None = None
    base_rate: float | None = None
    k: int = 100
    budget: int = 1000
    thresholds: tuple[float, ...] = THRESHOLDS
    n_resamples: int = N_RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k", "budget", "n_resamples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.removeprefix('n_')} is {getattr(self, name)}; expected 1 or more: raise it")
        if not self.thresholds or not all(0 <= p < 1 for p in self.thresholds):
            raise ConfigError(f"--thresholds is {list(self.thresholds)}; expected shares in [0, 1): correct them")


@dataclass(frozen=True, slots=True)
class Measured:
    """One set of queries.

    Attributes:
        metrics: its figures.
        intervals: of the rates and of the yield, by name.
        n_items, n_items_without: items that were asked about, and those of them without a query.
        by_cluster: its judged queries.
    """

    metrics: QuerySetMetrics
    intervals: Mapping[str, Interval]
    n_items: int
    n_items_without: int
    by_cluster: Mapping[int, Sequence[Judged]]

    def to_dict(self) -> dict[str, Any]:
        return {
            "metrics": self.metrics.to_dict(),
            "intervals": {name: one.to_dict() for name, one in self.intervals.items()},
            "n_items": self.n_items,
            "n_items_without": self.n_items_without,
        }


def common_items(sets: Mapping[str, Mapping[str, Sequence[str]]], items: Collection[str] | None = None) -> list[str]:
    """The ids on which sets of queries are compared: those of ``items``, else those that every set has a row for.

    Raises:
        DataError: there is none, or a set has no row for one of ``items``.

    >>> common_items({"a": {"x": [], "y": []}, "b": {"y": []}})
    ['y']
    """
    if items is None:
        common = set.intersection(*(set(found) for found in sets.values()))
        if not common:
            raise DataError("no item has its row in every file; expected queries of the same items: check the files")
        return sorted(common)
    for name, found in sets.items():
        if missing := set(items) - found.keys():
            raise DataError(
                f"{name} has no row for {len(missing)} of {len(items)} items (first id {min(missing)!r}); expected the "
                "queries of all of them: finish that file with --resume, or compare fewer items"
            )
    return sorted(items)


def judge_set(
    queries: Mapping[str, Sequence[str]], ids: Sequence[str], engine: SearchEngine, judging: Judging, yard: Yardstick
) -> Measured:
    """Search for the queries of these items and measure them."""
    pairs = [(id, query) for id in ids for query in queries[id]]
    found = judged(engine, [query for _, query in pairs], judging, yard.k, [(id,) for id, _ in pairs])
    by_cluster: dict[int, list[Judged]] = {}
    for (id, _), one in zip(pairs, found, strict=True):
        by_cluster.setdefault(yard.clusters[id], []).append(one)
    return measured(by_cluster, ids, sum(not queries[id] for id in ids), yard)


def measured(
    by_cluster: Mapping[int, Sequence[Judged]], ids: Sequence[str], n_items_without: int, yard: Yardstick
) -> Measured:
    """All figures of judged queries, grouped by cluster, about these items."""
    clusters = sorted({yard.clusters[id] for id in ids})
    every = [one for cluster in clusters for one in by_cluster.get(cluster, ())]
    metrics = measure(
        every,
        thresholds=yard.thresholds,
        budget=yard.budget,
        known=yard.known,
        n_toxic=yard.n_toxic,
        base_rate=yard.base_rate,
        seed=yard.seed,
    )
    rows = rate_rows(by_cluster, clusters, yard.thresholds)
    intervals = rate_intervals(rows, rate_names(yard.thresholds), n_resamples=yard.n_resamples, seed=yard.seed)

    def kept(chosen: frozenset[int]) -> list[Judged]:
        return [one for cluster in clusters if cluster in chosen for one in by_cluster.get(cluster, ())]

    def new_per_100(chosen: frozenset[int]) -> float:
        part = kept(chosen)
        return 100 * len(new_toxic(part, yard.known)) / max(len(part), 1)

    def precision_at_budget(chosen: frozenset[int]) -> float:
        posts = review_list(kept(chosen), yard.budget, yard.known)
        return sum(post.toxic for post in posts) / max(len(posts), 1)

    intervals["new_toxic_per_100_queries"] = jackknife(clusters, new_per_100, seed=yard.seed)
    intervals["precision_at_budget"] = jackknife(clusters, precision_at_budget, seed=yard.seed)
    return Measured(metrics, intervals, len(ids), n_items_without, by_cluster)


def differences(first: Measured, second: Measured, yard: Yardstick) -> dict[str, Interval]:
    """Rates of the first set less those of the second, paired by cluster."""
    clusters = sorted({*first.by_cluster, *second.by_cluster})
    one, other = (rate_rows(each.by_cluster, clusters, yard.thresholds) for each in (first, second))
    return rate_differences(one, other, rate_names(yard.thresholds), n_resamples=yard.n_resamples, seed=yard.seed)


def figures(one: Measured, digits: int = 3) -> dict[str, str]:
    """A set's figures as they are shown, by name, with intervals where there are any."""
    values: dict[str, Any] = {"items": one.n_items, "items without a query": one.n_items_without}
    for name, value in asdict(one.metrics).items():
        values |= {f"qhr@{p:g}": share for p, share in value} if name == "qhr_at" else {name: value}
    shown = {name: f"{value:.{digits}f}" if isinstance(value, float) else str(value) for name, value in values.items()}
    for name, found in one.intervals.items():
        if not math.isnan(found.low):
            shown[name] = f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"
    return shown
