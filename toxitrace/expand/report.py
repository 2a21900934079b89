"""What an evaluation found: scores of every system, paired tests, JSON with every query, rows of a table."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toxitrace.errors import DataError
from toxitrace.evaluation.ranking import MEASURES, PairedTest, RankingScores, compare_runs
from toxitrace.expand.counted import counted
from toxitrace.versions import package_versions


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired test of one system against another."""

    system: str
    baseline: str
    test: PairedTest

    def to_dict(self) -> dict[str, Any]:
        return {"system": self.system, "baseline": self.baseline, **self.test.to_dict()}


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Systems on one split.

    Attributes:
        part: name of the data, e.g. ``cmrc/dev``: every table names it.
        systems: name -> scores.
        comparisons: paired tests, on every measure.
        settings: whatever the figures depend on.
    """

    part: str
    systems: Mapping[str, RankingScores]
    comparisons: tuple[Comparison, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "part": self.part,
            "systems": {name: scores.to_dict() for name, scores in self.systems.items()},
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "settings": dict(self.settings),
            "versions": package_versions(),
        }

    def to_rows(self, measure: str = "ndcg@10") -> list[tuple[object, ...]]:
        """(system, measures..., difference and p of the test on ``measure``) for a table; the first row of
        comparisons of a system counts."""
        rows: list[tuple[object, ...]] = []
        for name, scores in self.systems.items():
            tests = [c for c in self.comparisons if c.system == name and c.test.measure == measure]
            told = (tests[0].baseline, tests[0].test.difference.value, tests[0].test.p_value) if tests else (None,) * 3
            rows.append((name, *(scores.mean(each) for each in MEASURES), *told))
        return rows

    def empty_lines(self) -> list[str]:
        """A line for each system that found nothing for some queries, to stand under the table."""
        return [
            f"{name} found nothing for {scores.n_empty} of {counted(scores.n_queries, 'query', 'queries')}, which "
            f"{'counts' if scores.n_empty == 1 else 'count'} 0"
            for name, scores in self.systems.items()
            if scores.n_empty
        ]


def columns(measure: str = "ndcg@10") -> tuple[str, ...]:
    """Headings of `RetrievalReport.to_rows`."""
    return ("system", *MEASURES, "against", f"{measure} difference", "p")


def compare_all(
    systems: Mapping[str, RankingScores],
    baselines: Mapping[str, RankingScores],
    *,
    n_draws: int = 10_000,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Every system against every baseline but itself, on every measure."""
    return tuple(
        Comparison(name, other, compare_runs(scores, reference, measure, n_draws=n_draws, seed=seed))
        for other, reference in baselines.items()
        for name, scores in systems.items()
        if scores is not reference
        for measure in MEASURES
    )


def read_systems(path: str | os.PathLike[str], part: str) -> dict[str, RankingScores]:
    """Scores of an earlier report, named ``FILE: SYSTEM``.

    Raises:
        DataError: the file is no report, or of another part of the data.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        found = {
            f"{Path(path).stem}: {name}": RankingScores(scores["per_query"], scores["n_empty"])
            for name, scores in content["systems"].items()
        }
        named = content["part"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a report of `toxitrace expand evaluate` ({error}): check the path") from None
    if named != part:
        raise DataError(f"{path} is about {named}, not {part}; expected an evaluation of the same split")
    return found
