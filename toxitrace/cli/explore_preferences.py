"""``toxitrace explore preferences``: D -> D_cat -> D_comp, and pairs of a model's own queries."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.cli.explore_flags import add_item_flags, add_search_flags, flagged, opened, output_file, say
from toxitrace.errors import ConfigError, DataError


def build_parser() -> ArgumentParser:
    """The task's options."""
    parser = ArgumentParser(
        prog="toxitrace explore preferences",
        description="Pairs for DPO from what the search engine says: queries of annotators above a toxic-item hit rate "
        "over those at or below it, for single items and for groups of similar ones (D_cat); and the best over the "
        "worst of what a model sampled itself. The items are those of the training part.",
    )
    add_item_flags(parser)
    parser.add_argument("--queries", metavar="FILE", help="annotators' queries: what toxitrace explore rewards wrote")
    parser.add_argument(
        "--sampled", metavar="FILE", help="a model's queries: toxitrace explore queries --generator lm:DIR --samples 8"
    )
    add_search_flags(parser)

    def add(flag: str, metavar: str, help: str, **options: Any) -> None:
        parser.add_argument(flag, metavar=metavar, help=help, **options)

    add("--output", "FILE", "JSON lines of prompt, chosen, rejected and their rewards")
    parser.add_argument(
        "--style",
        choices=("compact", "chat"),
        default="compact",
        help="how prompts are written: chat for a model with a chat template, compact for the small one",
    )
    add("--threshold", "P", "tihr that parts chosen from rejected queries of annotators", type=float, default=0.05)
    add("--max-queries", "N", "queries in one reply of annotators", type=int, default=3)
    add("--group-size", "N", "similar items shown together; 1: no groups", type=int, default=3)
    add("--similarity", "C", "least cosine of character n-grams within a group", type=float, default=0.15)
    add("--share", "S", "share of groups among annotators' pairs; else all pairs of both kinds", type=float)
    add("--sampled-queries", "N", "queries in one reply of sampled pairs", type=int, default=1)
    add("--max-pairs", "N", "sampled pairs of one item", type=int, default=2)
    add("--min-gap", "D", "least difference of the rewards in a sampled pair", type=float, default=0.1)
    add("--seed", "N", "of grouping, mixing and order", type=int, default=1)
    return parser


def run(config: Any) -> int:
    """Write the pairs and say where they come from."""
    if not config.queries and not config.sampled:
        raise ConfigError("expected --queries FILE of annotators, --sampled FILE of a model, or both")
    inputs = [path for path in (config.queries, config.sampled) if path]
    output = output_file(config, *inputs, *config["items"], *config.platform)
    if output.exists():
        raise ConfigError(f"--output {output} exists: move it away, or name another")
    from toxitrace.explore.tasks.make_preferences import PairSettings, make_preferences
    from toxitrace.explore.tasks.query_files import read_query_lists
    from toxitrace.explore.training_rows import write_rows

    settings = PairSettings(**{field.name: config[field.name] for field in fields(PairSettings)})
    items = flagged(config, config.seed)
    annotated, sampled = (read_query_lists(path) if path else {} for path in (config.queries, config.sampled))
    engine, judging = opened(config)
    pairs, report = make_preferences(items, annotated, sampled, engine, judging, settings)
    if not pairs:
        raise DataError(
            f"no pair from {len(items)} items; expected queries on both sides of --threshold {config.threshold}, or "
            f"sampled ones that differ by --min-gap {config.min_gap}: change these, or sample more"
        )
    write_rows(pairs, output)
    say(
        f"{output}: {len(pairs)} pairs: {report.n_single} of single items, {report.n_grouped} of groups "
        f"({report.n_groups} groups), {report.n_sampled} sampled; {report.n_without_pair} prompts without a pair"
    )
    return 0
