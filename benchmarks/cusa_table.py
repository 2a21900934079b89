"""What `cusa.py` measured -> results/NAME.json and NAME.md: spans, scores, and differences seed by seed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ablation import in_points, spread, table_lines, write_result
from scipy.stats import t as student

from toxitrace.training.precision import resolve_precision

CE = "cross-entropy alone"
RAW = "raw clues (w/o CuSA)"
OFFLINE = "offline refiner"
LLM = "LLM spans"
LLM_SOFT = "LLM spans + soft labels"

PAIRS = ((LLM, RAW), (LLM, OFFLINE), (OFFLINE, RAW), (RAW, CE), (OFFLINE, CE), (LLM, CE), (LLM_SOFT, LLM))
MEASURES = {
    "bicse:cntp/character_f1": "CNTP char F1",
    "bicse:cntp/iou": "CNTP IoU",
    "bicse:cntp/overlap_f1": "CNTP overlap F1",
    "bicse:cntp/exact_f1": "CNTP exact F1",
    "topk:cntp/character_f1": "CNTP char F1, top-k for BiCSE",
    "bicse:cntp/character_f1_end_to_end": "CNTP char F1, end to end",
    "cntp/recall_at_10": "CNTP recall @10 % FA",
    "bicse:dev_gold/character_f1": "dev_gold char F1",
    "dev_expert/macro_f1": "dev_expert F1",
    "dev_expert/auroc": "dev_expert AUROC",
}

Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]
Table = dict[str, dict[str, dict[str, Any]]]


def write_tables(args: argparse.Namespace, spans: Mapping[int, Mapping[str, Any]], runs: Runs) -> None:
    """Write the results.

    Args:
        spans: what was made of the clues, by seed.
        runs: scores of the joint trainings, by name and seed.
    """
    marks: Table = {name: _marks([own["sources"][name] for own in spans.values()]) for name in (RAW, OFFLINE, LLM)}
    for name, row in marks.items():
        row["rows_for_gcloss"] = spread([float(run["rows"]["supervised"]) for run in runs[name].values()])
    table: Table = {name: {key: spread(_values(runs, name, key)) for key in MEASURES} for name in runs}
    differences: Table = {
        f"{one} − {other}": {key: _paired(_values(runs, one, key), _values(runs, other, key)) for key in MEASURES}
        for one, other in PAIRS
    }
    result = {
        "precision": resolve_precision("auto", "auto"),
        "spans": marks,
        "table": table,
        "differences": differences,
        "made_spans": spans,
        "runs": runs,
    }
    lines = [*_intro(args), *_span_lines(marks), *_score_lines(table), *_difference_lines(differences)]
    write_result(args, result, lines)


def _values(runs: Runs, name: str, key: str) -> list[float]:
    return [float(run[key]) for run in runs[name].values()]


def _marks(by_seed: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    return {key: spread([own[key] for own in by_seed]) for key in by_seed[0]}


def _paired(left: Sequence[float], right: Sequence[float]) -> dict[str, Any]:
    """Spread of left - right, with the 95 % interval of its mean (Student's t); one seed gives no interval."""
    found = spread([a - b for a, b in zip(left, right, strict=True)])
    n = len(left)
    if n < 2:
        return found | {"low": None, "high": None}
    half = float(student.ppf(0.975, n - 1)) * found["standard_deviation"] / n**0.5
    return found | {"low": found["mean"] - half, "high": found["mean"] + half}


def _intro(args: argparse.Namespace) -> Iterable[str]:
    encoder = "from scratch" if args.encoder == "none" else f"`{args.encoder}`"
    return [
        f"Mean ± standard deviation over seeds {args.seeds} (one seed: its value); at most {args.limit} COLD training "
        f"texts per run; encoder {encoder}; {args.warmup_epochs} warm-up and {args.joint_epochs} joint epochs, "
        f"{resolve_precision('auto', 'auto')}. All trainings of a seed go on from the same warm-up, on the same texts "
        "in the same order, and differ in the spans of GCLoss alone (first row: no GCLoss); ARCL off; hard labels but "
        "in the last row; no epoch is chosen, each model is its last one.",
        "",
    ]


def _span_lines(marks: Table) -> Iterable[str]:
    raw, offline, llm = (f"{100 * marks[name]['share_with_spans']['mean']:.0f} %" for name in (RAW, OFFLINE, LLM))
    columns = (
        "rows with spans, %",
        "rows for GCLoss",
        "spans a row",
        "span, chars",
        "chars marked, %",
        "F1 to LLM",
        "F1, both mark",
    )
    return [
        "Weak spans of the training rows labelled toxic, and their character F1 against the LLM's on the same rows:",
        "",
        *table_lines(columns, {name: _mark_cells(row) for name, row in marks.items()}),
        "",
        f"Raw clues mark {raw} of these rows and the offline refiner {offline}, the LLM finds evidence in {llm}: with "
        "its spans GCLoss has fewer rows, and none where the label is doubtful. Which rows, how many and where their "
        "spans end change together.",
        "",
    ]


def _mark_cells(row: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        in_points(row["share_with_spans"]),
        f"{row['rows_for_gcloss']['mean']:.0f}",
        f"{row['spans_per_row']['mean']:.1f}",
        in_points(row["span_chars"], scale=1),
        in_points(row["share_of_chars"]),
        in_points(row["character_f1"]),
        in_points(row["character_f1_both"]),
    ]


def _score_lines(table: Table) -> Iterable[str]:
    return [
        "Development parts; spans forced on gold-toxic texts unless said otherwise, their parameters tuned across "
        "parts (dev_gold for CNTP, CNTP for dev_gold); verdicts at probability 0.5. Soft labels lower all "
        "probabilities: compare their row by AUROC and by recall at a fixed rate of false alarms (FA).",
        "",
        *table_lines(MEASURES.values(), {name: map(in_points, cells.values()) for name, cells in table.items()}),
        "",
    ]


def _difference_lines(differences: Table) -> Iterable[str]:
    holds = [
        f"- {pair}: {MEASURES[key]} {_signed(cell)}"
        for pair, cells in differences.items()
        for key, cell in cells.items()
        if cell["low"] is not None and not cell["low"] <= 0 <= cell["high"]
    ]
    n_all = len(differences) * len(MEASURES)
    table = table_lines(MEASURES.values(), {pair: map(_signed, cells.values()) for pair, cells in differences.items()})
    if all(cell["low"] is None for cells in differences.values() for cell in cells.values()):
        return ["Differences in points; one seed, so that nothing says which would hold in another.", "", *table]
    return [
        "Differences in points, paired by seed: mean ± standard deviation (95 % interval of the mean, Student's t).",
        "",
        *table,
        "",
        f"What holds: of {n_all} differences, those whose interval leaves out 0. About {round(n_all / 20)} would by "
        "chance if no source differed from another, and figures of one part move together.",
        "",
        *(holds or ["- none"]),
    ]


def _signed(cell: Mapping[str, Any]) -> str:
    shown = f"{100 * cell['mean']:+z.1f}"
    if cell["low"] is None:
        return shown
    low, high = (f"{100 * cell[end]:+z.1f}" for end in ("low", "high"))
    return f"{shown} ± {100 * cell['standard_deviation']:.1f} ({low} to {high})"
