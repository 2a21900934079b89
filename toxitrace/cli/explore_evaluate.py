"""``toxitrace explore evaluate``: several sets of queries over the same items, with intervals and differences."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.cli.explore_flags import add_item_flags, add_search_flags, flagged, opened, say, search_settings
from toxitrace.errors import ConfigError

_HIDDEN = {"budget", "base_rate"}  # the same for every set: they stand in the title


def build_parser() -> ArgumentParser:
    """The task's options."""
    parser = ArgumentParser(
        prog="toxitrace explore evaluate",
        description="Hit rates, precision, yield, recall and diversity of sets of queries over the same flagged items. "
        "Rates have bootstrap intervals over clusters of near-duplicate items, yields jackknife intervals.",
    )
    parser.add_argument(
        "--sets", nargs="+", default=[], metavar="[NAME=]FILE", help="rows of id and queries, a set in each file"
    )
    # before all flags: one of several values would take them for its own
    parser.add_argument(
        "files", nargs="*", default=[], metavar="[NAME=]FILE", help="the same as --sets, ahead of all flags"
    )
    add_item_flags(parser)
    add_search_flags(parser)
    parser.add_argument(
        "--known", nargs="+", default=[], metavar="FILE", help="more items known beforehand, which are nothing new"
    )
    parser.add_argument("--budget", type=int, default=1000, metavar="N", help="posts that reviewers can read")
    parser.add_argument(
        "--thresholds", nargs="+", type=float, default=[0.05, 0.1, 0.5], metavar="P", help="share of queries, tihr > P"
    )
    parser.add_argument("--baseline", metavar="NAME", help="also show the differences from this set")
    parser.add_argument("--json", metavar="FILE", help="also write all figures as JSON")
    parser.add_argument("--resamples", type=int, default=1000, metavar="N", help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=1, help="of the intervals, and of --limit")
    return parser


def run(config: Any) -> int:
    """Print figures, and differences from the baseline."""
    named = _named([*config.files, *config.sets])
    if config.baseline and config.baseline not in named:
        raise ConfigError(f"--baseline is {config.baseline!r}; expected one of {', '.join(named)}: name one of them")
    if config.json and not Path(config.json).absolute().parent.is_dir():
        raise ConfigError(f"--json {config.json}: its folder does not exist; make it first")
    items = flagged(config, config.seed)
    from toxitrace.data.rowfile import write_json
    from toxitrace.explore.clusters import near_duplicate_clusters
    from toxitrace.explore.tasks.compare import Yardstick, common_items, differences, figures, judge_set
    from toxitrace.explore.tasks.items import read_items
    from toxitrace.explore.tasks.query_files import fingerprint, read_query_lists
    from toxitrace.report.terminal import table
    from toxitrace.versions import package_versions

    sets = {name: read_query_lists(path) for name, path in named.items()}
    ids = common_items(sets, [item.id for item in items])
    engine, judging = opened(config)
    clusters = near_duplicate_clusters([item.text for item in items])
    known = {item.id for item in items} | {item.id for item in (read_items(config.known) if config.known else ())}
    yard = Yardstick(
        clusters=dict(zip((item.id for item in items), clusters, strict=True)),
        known=judging.findable(known),
        n_toxic=judging.n_toxic,
        base_rate=judging.base_rate,
        k=config.k,
        budget=config.budget,
        thresholds=tuple(config.thresholds),
        n_resamples=config.resamples,
        seed=config.seed,
    )
    found = {}
    for name, queries in sets.items():
        found[name] = judge_set(queries, ids, engine, judging, yard)
        say(f"{name}: {found[name].metrics.n_queries} queries")
    shown = {name: figures(one) for name, one in found.items()}
    base = "unknown" if judging.base_rate is None else f"{judging.base_rate:.4f}"
    rows = [
        (figure, *(own[figure] for own in shown.values()))
        for figure in next(iter(shown.values()))
        if figure not in _HIDDEN
    ]
    title = f"{len(ids)} items in {len(set(clusters))} clusters; base rate {base}, budget {config.budget}, k {config.k}"
    color = sys.stdout.isatty()
    sys.stdout.write(table(("", *shown), rows, title=title, color=color) + "\n")
    apart = {}
    if config.baseline:
        others = [name for name in found if name != config.baseline]
        apart = {name: differences(found[name], found[config.baseline], yard) for name in others}
        rows = [
            (
                figure,
                *(
                    f"{own[figure].value:+.3f} [{own[figure].low:+.3f}, {own[figure].high:+.3f}]"
                    for own in apart.values()
                ),
            )
            for figure in next(iter(apart.values()), {})
        ]
        sys.stdout.write("\n" + table(("", *apart), rows, title=f"less {config.baseline}", color=color) + "\n")
    if config.json:
        content = {
            "sets": {name: one.to_dict() for name, one in found.items()},
            "differences": {
                name: {figure: one.to_dict() for figure, one in own.items()} for name, own in apart.items()
            },
            "baseline": config.baseline,
            "n_clusters": len(set(clusters)),
            "n_by_detector": judging.n_by_detector,
            "settings": {
                "sets": {name: fingerprint(path) for name, path in named.items()},
                **search_settings(config),
                "k": config.k,
                "budget": config.budget,
                "resamples": config.resamples,
                "seed": config.seed,
            },
            "versions": package_versions(),
        }
        write_json(Path(config.json), content)
    return 0


def _named(sets: list[str]) -> dict[str, str]:
    """``NAME=FILE`` or ``FILE``, whose name is then that of the file."""
    if not sets:
        raise ConfigError("expected --sets with one or more files of queries, as FILE or NAME=FILE: add it")
    named: dict[str, str] = {}
    for one in sets:
        name, found, path = one.partition("=")
        if not found or "/" in name:
            name, path = Path(one).stem, one
        if name in named:
            raise ConfigError(f"two sets are called {name!r}; expected different names: write NAME={path}")
        named[name] = path
    return named
