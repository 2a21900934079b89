"""The result of `token_head.py` as Markdown, and the verdict that its numbers give."""

from __future__ import annotations

from typing import Any

METRICS = {"character_f1": "character F1", "iou": "IoU", "overlap_f1": "overlap F1", "exact_f1": "exact F1"}
PARTS = {"cntp": "CNTP third", "dev_gold": "dev_gold"}


def verdict(spans: dict[str, Any], exact: str) -> str:
    """One line: as good is a head whose mean over seeds is below the exact gradient on no metric of either part."""
    found = []
    for name in (name for name in spans["cntp"] if name not in ("n_texts", exact)):
        differences = [spans[part][name][metric]["difference"] for part in PARTS for metric in METRICS]
        below = [difference for difference in differences if difference["value"] < 0]
        clearly = sum(difference["high"] < 0 for difference in below)
        found.append(
            f"the {name} head is {'not ' if below else ''}as good on every span metric (below the exact gradient on "
            f"{len(below)} of {len(differences)}, with a 95 % interval below zero on {clearly})"
        )
    return "Verdict: " + "; ".join(found) + "."


def table(result: dict[str, Any], exact: str) -> str:
    """Tables for people; the JSON has everything."""
    settings, where = result["settings"], result["machine"]
    lines = [
        f"Heads distilled from the gradient saliency of `{settings['model']}`, encoder frozen, on "
        f"{result['lessons']['n_texts']} COLD training texts; seeds {settings['seeds']}. Spans forced on texts with "
        "gold evidence, BiCSE tuned for each method on the other part. Mean over seeds ± standard deviation (95 % "
        "bootstrap interval of the mean over texts); below it the difference from the exact gradient, paired by text.",
    ]
    for part, title in PARTS.items():
        scores = result["spans"][part]
        lines += ["", f"{title}, {scores['n_texts']} texts:", ""]
        lines += ["| | " + " | ".join(METRICS.values()) + " | Spearman with exact |", "|---" * (len(METRICS) + 2) + "|"]
        for name in (name for name in scores if name != "n_texts"):
            cells = [_score(scores[name][metric], spread=name != exact) for metric in METRICS]
            rank = result["spearman"][part].get(name)
            cells.append("" if rank is None else f"{rank['value']:.3f} ± {rank['standard_deviation']:.3f}")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
            if name != exact:
                moves = [_difference(scores[name][metric]["difference"]) for metric in METRICS]
                lines.append("| less exact | " + " | ".join(moves) + " | |")
    lines += [
        "",
        f"Texts per second, token ids to weights in onnxruntime, {settings['timed_texts']} CNTP texts a set, median of "
        f"{settings['rounds']} rounds (lowest-highest) in one run; {where['cores']} cores, {where['cpu']} "
        f"({', '.join(where['features'])}).",
        "",
        "| | texts/s | over the exact gradient |",
        "|---|---|---|",
    ]
    for name, rate in result["speed"].items():
        lines.append(
            f"| {name} | {rate['median']:.0f} ({rate['low']:.0f}-{rate['high']:.0f}) | {rate['over_exact']:.2f} |"
        )
    return "\n".join([*lines, "", result["verdict"]]) + "\n"


def _score(score: dict[str, Any], spread: bool) -> str:
    deviation = f" ± {100 * score['standard_deviation']:.1f}" if spread else ""
    return f"{100 * score['value']:.1f}{deviation} ({100 * score['low']:.1f}-{100 * score['high']:.1f})"


def _difference(difference: dict[str, float]) -> str:
    return f"{100 * difference['value']:+.1f} ({100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"
