"""What `explore_questions.py` measured -> its JSON and a table for each question."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from explore_queries_table import (
    BEST,
    COUNTS,
    RATES,
    clusters_of,
    count_cells,
    difference,
    difference_cells,
    lines,
    rate_cells,
    rates,
    shown_settings,
    spread,
    stage_cells,
)
from explore_questions_recall import Recall
from explore_questions_transfer import n_line, rate_cell, transfer_figures, transfer_lines
from machine import machine

from toxitrace.explore.tasks.intervals import rate_names

Row = Mapping[str, Any]
REFERENCE = BEST
OWN_BEST = "SFT on own best"
# by this rate of dev a variant is chosen: it tells systems apart, where hit rates saturate
CHOOSE_BY = "qhr@0.5"


@dataclass(frozen=True)
class Question:
    """What one table compares.

    Attributes:
        title: the question.
        compared: in what the variants differ, and what stays.
        also: systems of `explore_queries.py` shown beside the reference.
        against: variant -> what it is compared with; the others: the reference.
    """

    title: str
    compared: str
    also: tuple[str, ...] = ()
    against: Mapping[str, str] = field(default_factory=dict)


TABLES = {
    "imitation": Question(
        "Search feedback against imitation only",
        "SFT imitates the auditor; *for as many steps more* goes on so, with DPO's steps and rate; *own best* is SFT "
        "on the very replies that DPO is told to prefer, equally many; DPO sees the rejected ones too.",
        also=("SFT",),
    ),
    "threshold": Question(
        "Threshold 0.05 against 0.1",
        "*D_comp at 0.1* changes the threshold for the auditor's queries; the pairs of own candidates, parted by their "
        "gap, stay. *All parted at* parts auditor's queries and own candidates by the threshold alone: an item's best "
        "above it and its worst below it.",
        against={"all parted at 0.1": "all parted at 0.05"},
    ),
    "beta": Question(
        "Diversity against precision as the DPO weight changes",
        "The same pairs and steps; a larger beta holds the model closer to SFT, which is its limit.",
        also=("SFT",),
    ),
    "beam": Question(
        "Preference data from sampling and beam search",
        "As many replies of an item from the same SFT model, the most probable ones instead of drawn ones; pairs are "
        "made alike. *Own best of beams* is SFT on the preferred replies of those pairs.",
    ),
}


def write_result(
    args: argparse.Namespace, rows: Collection[Row], stages: Collection[Row], about: Row, recall: Recall
) -> None:
    """Write JSON and Markdown of what is there so far."""
    whole = [row for row in rows if row.get("question") != "transfer"]
    by_system = {name: [row for row in whole if row["system"] == name] for name in dict.fromkeys(_names(whole))}
    found = {
        "platform": about,
        "settings": shown_settings(args, rows),
        "machine": machine(),
        "questions": {
            key: _question(key, question, by_system, recall)
            for key, question in TABLES.items()
            if any(row.get("question") == key for row in whole)
        },
        "transfer": transfer_figures([row for row in rows if row.get("question") == "transfer"]),
        "recall": _recall(by_system, recall),
        "stages": list(stages),
    }
    part = args.output.with_suffix(".json.part")
    part.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, args.output)
    args.output.with_suffix(".md").write_text(table(found), encoding="utf-8")


def _names(rows: Collection[Row]) -> list[str]:
    return [row["system"] for row in rows]


def _question(key: str, question: Question, by_system: Mapping[str, Sequence[Row]], recall: Recall) -> dict[str, Any]:
    own = [name for name, rows in by_system.items() if rows[0].get("question") == key]
    shown = [*question.also, REFERENCE, *own]
    pairs = [(name, question.against.get(name, REFERENCE)) for name in [*question.also, *own]]
    budget = max(recall.budgets, key=lambda budget: (budget <= 1000, budget if budget <= 1000 else -budget))
    review = [f"precision@{budget}", f"recall@{budget}", "new_toxic_per_100_queries"]
    return {
        "n": _n([row for name in own for row in by_system[name]]),
        "systems": {name: _system(by_system[name]) for name in shown},
        "review": review,
        "differences": {
            f"{name} − {other}": difference(by_system[name], by_system[other], rate_names())
            | recall.differences(by_system[name], by_system[other], review)
            for name, other in pairs
        },
        "chosen_by_dev": _chosen({name: rates(by_system[name], "dev") for name in shown}),
    }


def _n(rows: Sequence[Row]) -> dict[str, Any]:
    """Items and clusters behind a table; items that several seeds test count in each."""
    first = {row["seed"]: row for row in rows}
    return {
        "seeds": sorted(first),
        "n_items": sum(row["test"]["n_items"] for row in first.values()),
        "n_clusters": len(clusters_of(rows)),
    }


def _system(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "seeds": [row["seed"] for row in rows],
        "rates": rates(rows, "test"),
        "dev": rates(rows, "dev"),
        "counts": {name: spread([row["test"]["metrics"][name] for row in rows]) for name in COUNTS},
        "n_pairs": spread([row.get("n_pairs") for row in rows]),
        "n_candidates": spread([row.get("n_candidates") for row in rows]),
    }


def _chosen(dev: Mapping[str, Row]) -> str | None:
    known = {name: found[CHOOSE_BY]["value"] for name, found in dev.items() if found[CHOOSE_BY]["value"] is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _recall(by_system: Mapping[str, Sequence[Row]], recall: Recall) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for system, rows in by_system.items():
        figures = [recall.figures(row) for row in rows]
        found[system] = {name: spread([one[name] for one in figures]) for name in figures[0]}
    return found


def table(found: Row) -> str:
    """The result as Markdown."""
    about, settings = found["platform"], found["settings"]
    load = "**Another job ran on the machine: its load is in the seconds.** " if settings["other_load"] else ""
    parts = [
        "# Open questions of QExplorer (`benchmarks/explore_questions.py`)",
        "",
        f"{load}{about['n_posts']:,} posts, {about['n_toxic']:,} of them toxic (base rate {about['base_rate']:.4f}); "
        f"{about['n_annotated']:,} flagged items with an auditor's queries, parted by cluster. Every variant differs "
        f"from the reference, {REFERENCE} of `explore_queries.py`, in the one thing named; queries are free and "
        "greedy. Test part; rates over the queries of all seeds with 95 % bootstrap intervals over clusters, "
        "differences paired by cluster; differences of review figures with jackknife intervals over clusters; the "
        "other figures are means over seeds ± standard deviation. Intervals are over items: another training would "
        f"add to them. Dev chooses by {RATES[CHOOSE_BY]}.",
        "",
    ]
    for key, question in TABLES.items():
        if key in found["questions"]:
            parts += _question_lines(question, found["questions"][key])
    if found["transfer"]["cells"]:
        parts += transfer_lines(found["transfer"])
    parts += _recall_lines(found["recall"], settings)
    parts += lines(["stage", "seed", "seconds", "CPU seconds"], stage_cells(found["stages"]))
    return "\n".join([*parts, "", f"{found['machine']['cores']} cores, {found['machine'].get('cpu', '?')}.", ""])


def _question_lines(question: Question, found: Row) -> list[str]:
    rated = {name: {"rates": own["rates"] | {"dev": own["dev"][CHOOSE_BY]}} for name, own in found["systems"].items()}
    shown = dict(zip(rated, rate_cells(rated), strict=True))
    dev = [[*shown[name], rate_cell(own["rates"]["dev"])] for name, own in rated.items()]
    counts = count_cells(found["systems"])
    pairs = [[_mean(own["n_pairs"]), _mean(own["n_candidates"])] for own in found["systems"].values()]
    review = [
        [name, *(_signed(own[figure]) for figure in found["review"])] for name, own in found["differences"].items()
    ]
    return [
        f"## {question.title}",
        "",
        f"{question.compared} {n_line(found['n'])}",
        "",
        *lines(["queries", *RATES.values(), f"dev: {RATES[CHOOSE_BY]}"], dev),
        "",
        *lines(
            ["queries", *COUNTS.values(), "pairs", "candidates"],
            [[*row, *more] for row, more in zip(counts, pairs, strict=True)],
        ),
        "",
        *lines(["difference", *RATES.values()], difference_cells(found["differences"])),
        "",
        *lines(["difference", *(name.replace("_", " ") for name in found["review"])], review),
        "",
        f"Dev would choose: {found['chosen_by_dev']}.",
        "",
    ]


def _recall_lines(found: Row, settings: Row) -> list[str]:
    budgets = settings["budgets"]
    rows = []
    for system, figures in found.items():
        each = [f"{_mean(figures[f'precision@{b}'], 3)} / {_mean(figures[f'recall@{b}'], 3)}" for b in budgets]
        rows.append([system, *each, _mean(figures["recall"], 3), _mean(figures["new_toxic_per_100_queries"], 1)])
    return [
        "## Recall beside precision",
        "",
        "All queries of a system for the test items together fill one review list, by turns: precision / recall when "
        "its first so many posts are read. Recall is the share of the platform's toxic posts, less the annotated ones; "
        f"the last columns are over everything that was found. Means over seeds {settings['seeds']}.",
        "",
        *lines(
            ["queries", *(f"{budget:,} posts" for budget in budgets), "recall, all", "new toxic / 100 queries"], rows
        ),
        "",
    ]


def _signed(one: Row) -> str:
    if one["value"] is None:
        return "–"
    sure = "" if one["low"] is None else f" [{one['low']:+.3f}, {one['high']:+.3f}]"
    return f"{one['value']:+.3f}{sure}"


def _mean(one: Row, digits: int = 0) -> str:
    return "–" if one["mean"] is None else f"{one['mean']:.{digits}f}"
