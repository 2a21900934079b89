"""What `explore_queries.py` measured -> its JSON and its table: pooled over seeds, intervals over clusters."""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from machine import machine

from toxitrace.explore.tasks.intervals import rate_differences, rate_intervals, rate_names

BEST = "SFT + DPO"
RATES = {
    "qhr@0.5": "tihr > 0.5",
    "qhr": "hit > 0",
    "qhr@0.05": "tihr > 0.05",
    "mean_tihr": "mean tihr",
    "mean_precision_at_10": "P@10",
}
COUNTS = {
    "precision_at_budget": "P at budget",
    "new_toxic_per_100_queries": "new toxic / 100 queries",
    "new_toxic_per_1000_reviewed": "new toxic / 1,000 reviewed",
    "recall": "recall",
    "distinct_1_chars": "distinct-1",
    "distinct_2_chars": "distinct-2",
    "mean_jaccard": "overlap",
    "n_queries": "queries",
}
Row = Mapping[str, Any]


def write_result(args: argparse.Namespace, rows: Collection[Row], stages: Collection[Row], about: Row) -> None:
    """Write JSON and Markdown of what is there so far."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    by_system = {system: [row for row in rows if row["system"] == system] for system in systems}
    names = rate_names()
    found: dict[str, Any] = {
        "platform": about,
        "settings": shown_settings(args, rows),
        "machine": machine(),
        "systems": {},
        "differences": {},
        "dev": {},
        "stages": list(stages),
    }
    for system, own in by_system.items():
        found["systems"][system] = {
            "seeds": [row["seed"] for row in own],
            "rates": rates(own, "test"),
            "counts": {name: spread([row["test"]["metrics"][name] for row in own]) for name in COUNTS},
            "seconds": [row["test_seconds"] for row in own],
        }
        found["dev"][system] = rates(own, "dev")
    if BEST in by_system:
        for system, own in by_system.items():
            if system != BEST:
                found["differences"][system] = difference(by_system[BEST], own, names)
    part = args.output.with_suffix(".json.part")
    part.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, args.output)
    args.output.with_suffix(".md").write_text(table(found), encoding="utf-8")


def shown_settings(args: argparse.Namespace, rows: Collection[Row]) -> dict[str, Any]:
    """The flags as a result has them: all seeds in it, and no place but the folders it was made in."""
    shown = {name: value for name, value in vars(args).items() if name not in ("beside", "output")}
    return shown | {
        "work": str(args.work),
        "store": str(args.store),
        "seeds": sorted({row["seed"] for row in rows}),
    }


def table(found: Row) -> str:
    """The result as Markdown."""
    about, settings = found["platform"], found["settings"]
    load = "**Another job ran on the machine: its load is in the seconds.** " if settings["other_load"] else ""
    return "\n".join(
        [
            "# Queries that find toxic posts (`benchmarks/explore_queries.py`)",
            "",
            f"{load}{about['n_posts']:,} posts, {about['n_toxic']:,} of them toxic (base rate "
            f"{about['base_rate']:.4f}); "
            f"{about['n_annotated']:,} flagged items with an auditor's queries, parted by cluster, seeds "
            f"{settings['seeds']}; test part. BM25, k = 100, the item itself left out. Rates are over queries of all "
            "seeds, with 95 % bootstrap intervals over clusters; the other figures are means over seeds ± standard "
            f"deviation. Review budget {settings['budget']:,} posts; nothing annotated counts as new. The detector "
            "behind the detector's spans was trained on these very items.",
            "",
            *lines(["queries", *RATES.values()], rate_cells(found["systems"])),
            "",
            *lines(["queries", *COUNTS.values()], count_cells(found["systems"])),
            "",
            f"{BEST} less the others, paired by cluster:",
            "",
            *lines([f"{BEST} −", *RATES.values()], difference_cells(found["differences"])),
            "",
            "Dev part, by which settings are chosen:",
            "",
            *lines(
                ["queries", *RATES.values()], rate_cells({name: {"rates": own} for name, own in found["dev"].items()})
            ),
            "",
            *lines(["stage", "seed", "seconds", "CPU seconds"], stage_cells(found["stages"])),
            "",
            f"{found['machine']['cores']} cores, {found['machine'].get('cpu', '?')}.",
            "",
        ]
    )


def rates(rows: Sequence[Row], part: str) -> dict[str, Any]:
    """Rates over the queries of all these rows, with intervals over clusters."""
    found = rate_intervals(pooled(rows, part, clusters_of(rows, part)), rate_names())
    return {name: one.to_dict() for name, one in found.items()}


def clusters_of(rows: Sequence[Row], part: str = "test") -> list[str]:
    """The clusters that any of these rows was measured on."""
    return sorted({cluster for row in rows for cluster in row[f"{part}_rows"]}, key=int)


def pooled(rows: Sequence[Row], part: str, clusters: Sequence[str]) -> Any:
    """Sums over the seeds, a row for each cluster: a cluster that is tested twice is still one draw."""
    pooled = np.zeros((len(clusters), 1 + len(rate_names())))
    for row in rows:
        for place, cluster in enumerate(clusters):
            pooled[place] += row[f"{part}_rows"].get(cluster, 0.0)
    return pooled


def difference(one: Sequence[Row], other: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Rates of one system less those of another over the seeds that both have, paired by cluster."""
    seeds = {row["seed"] for row in one} & {row["seed"] for row in other}
    both = [[row for row in rows if row["seed"] in seeds] for rows in (one, other)]
    clusters = clusters_of([*both[0], *both[1]])
    found = rate_differences(pooled(both[0], "test", clusters), pooled(both[1], "test", clusters), names)
    return {name: interval.to_dict() for name, interval in found.items()}


def spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and standard deviation over seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "standard_deviation": None}
    return {
        "mean": statistics.fmean(known),
        "standard_deviation": statistics.stdev(known) if len(known) > 1 else None,
    }


def lines(header: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *cells)]


def rate_cells(systems: Row) -> list[list[str]]:
    """A row for each system: its rates with intervals."""

    def cell(one: Row) -> str:
        return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" if one["value"] is not None else "–"

    return [[name, *(cell(own["rates"][rate]) for rate in RATES)] for name, own in systems.items()]


def count_cells(systems: Row) -> list[list[str]]:
    """A row for each system: its other figures."""

    def cell(one: Row) -> str:
        if one["mean"] is None:
            return "–"
        spread = "" if one["standard_deviation"] is None else f" ± {one['standard_deviation']:.3f}"
        return f"{one['mean']:.3f}{spread}"

    return [[name, *(cell(own["counts"][count]) for count in COUNTS)] for name, own in systems.items()]


def difference_cells(differences: Row) -> list[list[str]]:
    """A row for each difference: its rates with intervals."""

    def cell(one: Row) -> str:
        return f"{one['value']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]" if one["value"] is not None else "–"

    return [[name, *(cell(own[rate]) for rate in RATES)] for name, own in differences.items()]


def stage_cells(stages: Sequence[Row]) -> list[list[str]]:
    return [[row["stage"], str(row["seed"]), f"{row['seconds']:.0f}", f"{row['cpu_seconds']:.0f}"] for row in stages]
