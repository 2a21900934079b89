"""results/expand_explore.json as the Markdown that stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from machine import processor

NAMES = {
    "precision": "toxic",
    "gain": "more than fused BM25",
    "toxic_of_cold": "toxic of COLD",
    "missed": "missed at K",
    "missed_double": "missed at 2 K",
    "coded": "coded",
    "coded_per_seed": "coded per seed",
    "unique": "distinct",
    "unique_missed": "never by BM25 at K",
    "unique_missed_double": "never at 2 K",
}


def table(result: Mapping[str, Any]) -> str:
    """The result as Markdown, a table for each budget."""
    about, settings = result["platform"], result["settings"]
    lines = [
        "# Toxic posts that keyword search misses (`benchmarks/expand_explore.py`)",
        "",
        ("**Smoke run: no figures.** " if settings["smoke"] else "")
        + f"{about['n_posts']:,} posts, {about['n_toxic']:,} of them toxic ({100 * about['base_rate']:.1f} %; of the "
        f"{about['n_cold']:,} from COLD {100 * about['base_rate_of_cold']:.1f} %), {about['n_seeds']} seeds, their "
        f"near-duplicates left out. Encoder `{settings['encoder']}`, posts cut to {settings['max_tokens']} tokens; "
        f"trained on {settings['rows']:,} rows of {about['n_train']:,} other posts of COLD. 95 % bootstrap intervals "
        "over seeds.",
        "",
        "*toxic*: share of the K results, %, and its paired difference to BM25 by spans + text; *toxic of COLD*: of "
        "the results that are COLD's; *missed at K, 2 K*: share of the toxic results that neither BM25 by spans nor by "
        "text finds for the same seed among its first K, or 2 K; *coded*: share of the toxic results without a pair of "
        "characters of the seed's evidence, and their number; *distinct*: toxic posts that all seeds find together, "
        "and those of them that both BM25 find from no seed.",
    ]
    for budget in next(iter(result["systems"].values())):
        lines += ["", f"K = {budget}:", "", "| system | " + " | ".join(NAMES.values()) + " |"]
        lines.append("|---" * (1 + len(NAMES)) + "|")
        for system, figures in result["systems"].items():
            cells = [_cell(name, figures[budget][name]) for name in NAMES]
            lines.append(f"| {system} | {' | '.join(cells)} |")
    facts = result["machine"]
    lines += [
        "",
        f"Last sitting: {result['cpu_seconds']:.0f} s of one core beside other jobs ({result['seconds']:.0f} s by the "
        "clock), without the training and the vectors that were there already; "
        f"{processor(facts)}.",
    ]
    return "\n".join(lines) + "\n"


def _cell(name: str, figure: Any) -> str:
    if isinstance(figure, int):
        return f"{figure:,}"
    if figure["value"] is None:
        return "–"
    scale = 1 if name == "coded_per_seed" else 100
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(scale * figure[part] for part in ("value", "low", "high")))
