"""``toxitrace explore rewards``: search for queries and judge what they find."""

from __future__ import annotations

import sys
from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.cli.explore_flags import (
    add_search_flags,
    opened,
    output_file,
    progress,
    resumable,
    say,
    search_settings,
)
from toxitrace.errors import ConfigError


def build_parser() -> ArgumentParser:
    """The task's options."""
    parser = ArgumentParser(
        prog="toxitrace explore rewards",
        description="Search for every query, its own item left out, and write what it found: hit, tihr, precision at "
        "10, and whether it belongs to D, one JSON line for each query.",
    )
    parser.add_argument("--queries", metavar="FILE", help="rows of id and queries, or builtin:cold-queries")
    add_search_flags(parser)
    parser.add_argument("--output", metavar="FILE", help="JSON lines; FILE.meta.json says how they were made")
    parser.add_argument("--resume", action="store_true", help="go on with an earlier run; nothing is searched twice")
    parser.add_argument("--min-hits", type=int, default=1, metavar="N", help="D keeps a query with so many toxic hits")
    parser.add_argument(
        "--max-chars", type=int, default=10, metavar="N", help="and one of at most so many characters; 0: none for that"
    )
    parser.add_argument(
        "--thresholds", nargs="+", type=float, default=[0.05, 0.1, 0.5], metavar="P", help="of the table: tihr > P"
    )
    return parser


def run(config: Any) -> int:
    """Judge the queries and print their means."""
    if not config.queries:
        raise ConfigError("expected --queries FILE, the rows of id and queries")
    if config.min_hits < 0 or config.max_chars < 0:
        raise ConfigError(
            f"--min-hits is {config.min_hits} and --max-chars {config.max_chars}; expected 0 or more: correct them"
        )
    output = output_file(config, config.queries, *config.platform)
    from toxitrace.explore.records import KeepRule
    from toxitrace.explore.tasks.query_files import fingerprint, read_query_lists
    from toxitrace.explore.tasks.write_rewards import write_rewards

    queries = read_query_lists(config.queries)
    engine, judging = opened(config)
    with resumable(output), progress("queries") as told:
        report = write_rewards(
            queries,
            output,
            engine,
            judging,
            settings={"queries": {config.queries: fingerprint(config.queries)}, **search_settings(config)},
            k=config.k,
            rule=KeepRule(config.min_hits, config.max_chars),
            thresholds=config.thresholds,
            resume=config.resume,
            told=told,
        )
    say(f"{output}: {report.n_queries} queries, {report.n_kept} in D, {report.n_dropped} dropped")
    from toxitrace.report.terminal import table

    base = "unknown" if report.base_rate is None else f"{report.base_rate:.4f}"
    rows = [
        ("queries", f"{report.n_queries:,}"),
        ("without results", f"{report.n_without_results:,}"),
        ("hit > 0", f"{report.qhr:.3f}"),
        *((f"tihr > {p}", f"{share:.3f}") for p, share in report.qhr_at.items()),
        ("mean tihr", f"{report.mean_tihr:.3f}"),
        ("mean precision at 10", f"{report.mean_precision_at_10:.3f}"),
        ("toxic items on the platform (base rate)", base),
        ("posts judged by the detector", f"{report.n_by_detector:,}"),
    ]
    sys.stdout.write(table(("rewards", ""), rows, title=config.queries, color=sys.stdout.isatty()) + "\n")
    return 0
