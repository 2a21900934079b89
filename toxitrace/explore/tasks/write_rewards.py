"""Queries -> what they find: hit, tihr, precision at 10, and whether they belong to D. A row for each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toxitrace.data.rowlog import RowLog
from toxitrace.explore.query_metrics import THRESHOLDS
from toxitrace.explore.records import KeepRule
from toxitrace.explore.tasks.judging import Judging, judged
from toxitrace.explore.tasks.write_queries import Told

if TYPE_CHECKING:
    from toxitrace.search.protocol import SearchEngine

CHUNK = 512


@dataclass(frozen=True, slots=True)
class RewardsReport:
    """Means over all queries, repeated ones included.

    Attributes:
        n_queries, n_without_results: how many.
        n_kept, n_dropped: D and what is left out of it.
        qhr: share with hit > 0.
        qhr_at: share with tihr > p, by p.
        mean_tihr, mean_precision_at_10: means.
        base_rate: share of toxic items on the platform, where all have a label.
        n_by_detector: posts that the detector judged in this sitting.
    """

    n_queries: int
    n_without_results: int
    n_kept: int
    n_dropped: int
    qhr: float
    qhr_at: dict[str, float]
    mean_tihr: float
    mean_precision_at_10: float
    base_rate: float | None
    n_by_detector: int

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def write_rewards(
    queries: Mapping[str, Sequence[str]],
    output: Path,
    engine: SearchEngine,
    judging: Judging,
    *,
    settings: Mapping[str, Any],
    k: int = 100,
    rule: KeepRule | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    resume: bool = False,
    told: Told | None = None,
) -> RewardsReport:
    """Search for every query, its own item left out of the results, and write what it is worth.

    Args:
        queries: item id -> its queries, best first.
        output: gets ``{"id", "query", "rank", "n_results", "hit", "tihr", "precision_at_10", "kept"}`` rows.
        engine: an index of the platform.
        judging: τ.
        settings: what else shapes a row; a run that goes on must have the same.
        k: most results of a query.
        rule: which queries belong to D.
        thresholds: of the report.
        resume: go on; no query that has its row is searched again.
        told: for progress.
    """
    rule = rule or KeepRule()
    shaped = {**settings, "k": k, "min_hits": rule.min_hits, "max_chars": rule.max_chars}
    every = [(id, rank, query) for id, found in queries.items() for rank, query in enumerate(found)]
    with RowLog(output, shaped, key=("id", "rank"), resume=resume) as log:
        left = [one for one in every if one[:2] not in log.rows]
        for start in range(0, len(left), CHUNK):
            part = left[start : start + CHUNK]
            found = judged(engine, [query for _, _, query in part], judging, k, [(id,) for id, _, _ in part])
            log.add(
                {"id": id, "rank": rank, **one.to_dict(), "kept": rule.keeps(query, one.hit)}
                for (id, rank, query), one in zip(part, found, strict=True)
            )
            if told:
                told(start + len(part), len(left))
        rows = [log.rows[one[:2]] for one in every]
        report = _report(rows, thresholds, judging)
        log.finish((one[:2] for one in every), report.to_dict())
    return report


def _report(rows: Sequence[Mapping[str, Any]], thresholds: Sequence[float], judging: Judging) -> RewardsReport:
    n_kept = sum(row["kept"] for row in rows)

    def share(values: Sequence[float]) -> float:
        return sum(values) / max(len(rows), 1)

    return RewardsReport(
        n_queries=len(rows),
        n_without_results=sum(not row["n_results"] for row in rows),
        n_kept=n_kept,
        n_dropped=len(rows) - n_kept,
        qhr=share([row["hit"] > 0 for row in rows]),
        qhr_at={str(p): share([row["tihr"] > p for row in rows]) for p in thresholds},
        mean_tihr=share([row["tihr"] for row in rows]),
        mean_precision_at_10=share([row["precision_at_10"] for row in rows]),
        base_rate=judging.base_rate,
        n_by_detector=judging.n_by_detector,
    )
