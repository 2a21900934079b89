"""``toxitrace explore index`` and ``split``: the platform becomes searchable, flagged items are parted."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.cli.explore_flags import ENGINE_HELP, add_item_flags, flagged, say
from toxitrace.errors import ConfigError, DataError


def index_parser() -> ArgumentParser:
    """The options of ``index``."""
    parser = ArgumentParser(
        prog="toxitrace explore index",
        description="Index the posts of a platform for search by words. An index that is there is replaced when the "
        "new one is complete. A server's token is read from MILVUS_TOKEN.",
    )
    parser.add_argument(
        "--platform", nargs="+", default=[], metavar="FILE", help="posts: JSON lines with id and text (also .xz)"
    )
    parser.add_argument("--engine", metavar="SPEC", help=f"where the index goes: {ENGINE_HELP}")
    parser.add_argument("--k1", type=float, default=1.5, help="BM25: how fast repetitions stop counting")
    parser.add_argument("--b", type=float, default=0.75, help="BM25: how much long posts are held back, 0 to 1")
    return parser


def index(config: Any) -> int:
    """Index and say how many posts there are."""
    if not config.platform or not config.engine:
        raise ConfigError(f"expected --platform FILE, the posts, and --engine: {ENGINE_HELP}")
    if not config.k1 > 0 or not 0 <= config.b <= 1:
        raise ConfigError(f"--k1 is {config.k1} and --b {config.b}; expected above 0, and 0 to 1: correct them")
    from toxitrace.explore.tasks.items import read_items
    from toxitrace.search import BM25Engine, Item, MilvusEngine, SearchEngine

    kind, _, place = config.engine.partition(":")
    if kind not in ("bm25", "milvus") or not place.strip():
        raise ConfigError(f"--engine is {config.engine!r}; expected {ENGINE_HELP}")
    # before the engine: Milvus Lite makes its file when it is opened
    items = [Item(item.id, item.text) for item in read_items(config.platform)]
    engine: SearchEngine
    if kind == "bm25":
        engine = BM25Engine(config.k1, config.b)
    else:
        uri, _, collection = place.strip().partition("#")
        token = os.environ.get("MILVUS_TOKEN", "").strip() or None
        engine = MilvusEngine(uri, collection or "toxitrace", token=token, k1=config.k1, b=config.b)
    say(f"indexing {len(items):,} posts")
    engine.index(items)
    if isinstance(engine, BM25Engine):
        engine.save(place.strip())
    say(f"{config.engine}: {len(engine):,} posts")
    return 0


def split_parser() -> ArgumentParser:
    """The options of ``split``."""
    parser = ArgumentParser(
        prog="toxitrace explore split",
        description="Part flagged items into train.jsonl, dev.jsonl and test.jsonl; near-duplicates never lie in two "
        "of them.",
    )
    add_item_flags(parser)
    parser.add_argument("--queries", metavar="FILE", help="only items with queries in this file; builtin:cold-queries")
    parser.add_argument("--output", metavar="DIR", help="folder that gets the three files")
    parser.add_argument(
        "--shares", nargs=3, type=float, default=[0.7, 0.1, 0.2], metavar="S", help="of train, dev and test"
    )
    parser.add_argument("--seed", type=int, default=1, help="deals the clusters out, and draws the sample of --limit")
    return parser


def split(config: Any) -> int:
    """Part the items and say how many are where."""
    if not config.output:
        raise ConfigError("expected --output DIR, the folder that gets train.jsonl, dev.jsonl and test.jsonl")
    items = flagged(config, config.seed)
    from toxitrace.explore.tasks.query_files import read_query_lists
    from toxitrace.explore.tasks.split_items import split_items

    if config.queries:
        written = read_query_lists(config.queries)
        items = [item for item in items if written.get(item.id)]
        if not items:
            raise DataError(
                f"{config.queries}: none of the items has a query there; expected some: name the right file"
            )

    sizes = split_items(items, Path(config.output), config.shares, seed=config.seed)
    sys.stderr.write(f"{config.output}: {', '.join(f'{n} {part}' for part, n in sizes.items())}\n")
    return 0
