"""Trained on one topic, exploring another: what `explore_questions.py` measured -> figures and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explore_queries_table import BEST, RATES, clusters_of, difference, difference_cells, lines, rate_cells, rates

from toxitrace.explore.tasks.intervals import rate_names

Row = Mapping[str, Any]
MIXED = "all topics"


def transfer_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Cells of the grid, and own topic, another topic and all topics over all test items, paired by cluster."""
    last = max((row["tested"] for row in rows), default="")
    # the last cell of a seed is there once all are: half a grid would compare other items
    complete = {row["seed"] for row in rows if (row["trained"], row["tested"]) == (BEST, last)}
    rows = [row for row in rows if row["seed"] in complete]
    cells: dict[tuple[str, str], list[Row]] = {(row["trained"], row["tested"]): [] for row in rows}
    for row in rows:
        cells[row["trained"], row["tested"]].append(row)
    kinds: dict[str, list[Row]] = {"own topic": [], "another topic": [], MIXED: [], BEST: []}
    for row in rows:
        trained = row["trained"]
        other = "own topic" if trained == row["tested"] else "another topic"
        kinds[trained if trained in kinds else other].append(row)
    pairs = [("another topic", "own topic"), (MIXED, "own topic"), (BEST, MIXED)]
    small = next((row for row in rows if "n_extra" in row), None)
    return {
        "n": _n_transfer(kinds["own topic"]),
        "n_trained": None if small is None else {"n_items": small["n_trained"], "n_extra": small["n_extra"]},
        "cells": [
            {"trained": trained, "tested": tested, "rates": rates(own, "test"), "dev": rates(own, "dev")}
            for (trained, tested), own in cells.items()
        ],
        "kinds": {kind: {"rates": rates(own, "test")} | _variety(own) for kind, own in kinds.items() if own},
        "differences": {
            f"{one} − {other}": difference(kinds[one], kinds[other], rate_names())
            for one, other in pairs
            if kinds[one] and kinds[other]
        },
    }


def _variety(rows: Sequence[Row]) -> dict[str, int]:
    """Queries for the test items, and how many of them are different: the rates are blind to repetition."""
    written = [query for row in rows for queries in row["test_queries"].values() for query in queries]
    return {"n_queries": len(written), "n_different": len(set(written))}


def _n_transfer(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "seeds": sorted({row["seed"] for row in rows}),
        "n_items": sum(row["test"]["n_items"] for row in rows),
        "n_clusters": len(clusters_of(rows)),
    }


def transfer_lines(found: Row) -> list[str]:
    """Its section of the table."""
    cells = {(cell["trained"], cell["tested"]): cell["rates"] for cell in found["cells"]}
    trained, tested = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    size = found["n_trained"]

    def grid(rate: str) -> list[str]:
        rows = [[name, *(rate_cell(cells[name, topic][rate]) for topic in tested)] for name in trained]
        return lines([f"{RATES[rate]}: trained on", *tested], rows)

    return [
        "## Transfer: trained on one topic, exploring another",
        "",
        f"SFT and DPO on {size['n_items']} annotated and {size['n_extra']} other items (of the first seed) of one "
        f"topic, or of {MIXED} alike; {BEST} has all items. Topics are COLD's; the base saw texts of all of them. "
        f"{n_line(found['n'])}",
        "",
        *grid("qhr@0.5"),
        "",
        *grid("mean_tihr"),
        "",
        *lines(["trained on", *RATES.values()], rate_cells(found["kinds"])),
        "",
        *lines(
            ["trained on", "queries", "different"],
            [[kind, str(one["n_queries"]), str(one["n_different"])] for kind, one in found["kinds"].items()],
        ),
        "",
        *lines(["difference", *RATES.values()], difference_cells(found["differences"])),
        "",
    ]


def n_line(n: Row) -> str:
    """How many items a table rests on."""
    return f"n = {n['n_items']} test items in {n['n_clusters']} clusters, seeds {n['seeds']}."


def rate_cell(one: Row) -> str:
    """A rate with its interval."""
    return "–" if one["value"] is None else f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
