"""The result of `saliency_throughput.py` as Markdown."""

from __future__ import annotations

from typing import Any


def table(result: dict[str, Any]) -> str:
    """Tables for people; the JSON has everything."""
    where = result["machine"]
    lines = [
        f"Texts per second of gradient saliency, {result['settings']['texts']} CNTP texts, median of "
        f"{result['settings']['rounds']} rounds (lowest-highest) in one run; {where['cores']} cores, {where['cpu']} "
        f"({', '.join(where['features'])}).",
        "",
    ]
    sizes = result["sizes"]
    lines += ["| | " + " | ".join(f"{size} | best of ours over it" for size in sizes) + " |"]
    lines += ["|---" * (1 + 2 * len(sizes)) + "|"]
    names = list(dict.fromkeys(name for found in sizes.values() for name in found["texts_per_second"]))
    for name in names:
        cells = []
        for found in sizes.values():
            rate = found["texts_per_second"].get(name)
            cells.append("| " if rate is None else f"{_n(rate['median'])} ({_n(rate['low'])}-{_n(rate['high'])}) | ")
            cells[-1] += "" if rate is None else f"{found['best_over'][name]:.1f}"
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for size, found in sizes.items():
        if found["not_installed"]:
            lines += ["", f"Not installed for this run ({size}): {', '.join(found['not_installed'])}."]
    lines += ["", "How far from float64 torch (saliency: share of a text's largest; spans: character F1).", ""]
    gold = ("gold_character_f1", "gold_overlap_f1", "gold_exact_f1")
    lines += ["| size, path | largest error | mean error | spans agree | gold character F1 | overlap F1 | exact F1 |"]
    lines += ["|---" * 7 + "|"]
    for size, found in sizes.items():
        for name, path in found["paths"].items():
            scores = " | ".join(f"{100 * path[key]:.2f}" if key in path else "" for key in gold)
            lines.append(
                f"| {size}, {name} | {path['saliency_error_max']:.1e} | {path['saliency_error_mean']:.1e} | "
                f"{100 * path['span_agreement_character_f1']:.2f} | {scores} |"
            )
    lines += _limits(sizes)
    lines += ["", "The first stage alone (margin, no gradient).", ""]
    lines += ["| size, path | texts/s | largest change of a margin | spread of margins |", "|---|---|---|---|"]
    for size, found in sizes.items():
        for name, path in found["forward_only"].items():
            rate = _n(path["texts_per_second"])
            lines.append(f"| {size}, {name} | {rate} | {path['margin_error_max']:.1e} | {path['margin_spread']:.2f} |")
    for size, found in sizes.items():
        if "cntp_size" in found:
            whole = found["cntp_size"]
            lines += ["", f"{whole['texts']} different texts from strings to spans, {size} model. The paper reports "]
            lines[-1] += (
                f"{whole['paper_seconds']:.0f} s for CNTP's 2,533 with a 102 M parameter model on a GPU it does "
            )
            lines[-1] += "not name; this model is about twenty times smaller, so the ratio is no like-for-like."
            lines += ["", "| path | seconds | flagged | paper's time over it |", "|---|---|---|---|"]
            for name, path in whole.items():
                if isinstance(path, dict):
                    lines.append(
                        f"| {name} | {path['seconds']:.2f} | {100 * path['toxic_share']:.0f} % | "
                        f"{path['ratio_to_paper']:.0f} |"
                    )
    return "\n".join(lines) + "\n"


def _limits(sizes: dict[str, Any]) -> list[str]:
    lines = ["", "Share of the best matrix-product rate, batch 32 x 64 tokens (needed operations over time).", ""]
    lines += _shares(sizes, "limit")
    if any("forward_limit" in found for found in sizes.values()):
        lines += ["", "The same for the forward pass alone (margin, no gradient): its operations, its time. Only the "]
        lines[-1] += "forward graph can be int8; its attention stays fp32 and is counted too."
        lines += ["", *_shares(sizes, "forward_limit")]
    return lines


def _shares(sizes: dict[str, Any], key: str) -> list[str]:
    lines = ["| size, path | precision | GFLOP/s | best matrix product | share |", "|---" * 5 + "|"]
    for size, found in sizes.items():
        for name, path in found.get(key, {}).items():
            if isinstance(path, dict):
                rates = f"{path['operations_per_second'] / 1e9:.0f} | {path['best_matrix_rate'] / 1e9:.0f}"
                if "best_matrix_product" in path:  # results without it are of 2048 x 2048 x 2048
                    rates += f" ({path['best_matrix_product']})"
                lines.append(f"| {size}, {name} | {path['precision']} | {rates} | {100 * path['share']:.0f} % |")
    return lines


def _n(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.2g}"
