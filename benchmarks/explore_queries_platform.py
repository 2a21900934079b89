"""The platform that `explore_queries.py` searches, and how a seed parts its flagged items."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from machine import require_shared

from toxitrace.data import iter_json_rows, read_queries, read_spans
from toxitrace.explore import SeedItem, near_duplicate_clusters, split_by_cluster
from toxitrace.explore.tasks.compare import Yardstick
from toxitrace.explore.tasks.items import limited
from toxitrace.explore.tasks.judging import Judging
from toxitrace.search import BM25Engine, Item

Queries = dict[str, list[str]]
SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}


@dataclass(frozen=True)
class Platform:
    """The posts, their index, and the flagged ones with clusters and an auditor's queries."""

    texts: dict[str, str]
    engine: BM25Engine
    judging: Judging
    flagged: dict[str, SeedItem]
    clusters: dict[str, int]
    auditor: Queries


@dataclass(frozen=True)
class Split:
    """What all systems of a seed share: the parts of the annotated items, other flagged ones, and the yardstick."""

    seed: int
    parts: dict[str, list[SeedItem]]
    extra: list[SeedItem]
    yard: Yardstick


def read_platform(args: argparse.Namespace) -> Platform:
    """Posts, index, flagged items and their clusters, from shared/data."""
    shared = require_shared()
    rows = [row for _, row in iter_json_rows(shared / "platform" / "items.jsonl.xz")]
    notes, texts = read_spans(shared / "cold" / "spans.jsonl"), {row["id"]: row["text"] for row in rows}
    flagged = {
        row["id"]: SeedItem(row["id"], row["text"], notes[row["id"]].spans)
        for row in rows
        if row["toxic"] and notes[row["id"]].spans
    }
    auditor = {
        id: list(own.queries)
        for id, own in read_queries(shared / "cold" / "queries.jsonl").items()
        if id in flagged and own.queries
    }
    if args.annotated_limit is not None:
        auditor = dict(random.Random(0).sample(sorted(auditor.items()), min(args.annotated_limit, len(auditor))))
    if args.items_limit is not None:  # the toxic share stays as it is, as far as the annotated items allow
        chosen = set(random.Random(0).sample(sorted(texts), args.items_limit)) | auditor.keys()
        rows = [row for row in rows if row["id"] in chosen]
        texts = {row["id"]: row["text"] for row in rows}
        flagged = {id: item for id, item in flagged.items() if id in texts}
    ids = sorted(flagged)
    clusters = near_duplicate_clusters([flagged[id].text for id in ids])
    folder = args.store / f"index-{sample_name(args)}"
    if (folder / "index.json").exists():
        engine = BM25Engine.load(folder)
    else:
        engine = BM25Engine()
        engine.index(Item(id, text) for id, text in texts.items())
        engine.save(folder)
    judging = Judging({row["id"]: bool(row["toxic"]) for row in rows}, texts)
    return Platform(texts, engine, judging, flagged, dict(zip(ids, clusters, strict=True)), auditor)


def deal(args: argparse.Namespace, seed: int, platform: Platform) -> Split:
    """Part the annotated items by cluster."""
    annotated = sorted(platform.auditor)
    dealt = split_by_cluster(annotated, [platform.clusters[id] for id in annotated], SHARES, seed)
    yard = Yardstick(
        clusters=platform.clusters,
        known=frozenset(annotated),
        n_toxic=platform.judging.n_toxic,
        base_rate=platform.judging.base_rate,
        budget=args.budget,
        seed=seed,
    )
    parts = {part: [platform.flagged[id] for id in ids] for part, ids in dealt.items()}
    return Split(seed, parts, _others(args, seed, platform, [*dealt["dev"], *dealt["test"]]), yard)


def _others(args: argparse.Namespace, seed: int, platform: Platform, held_out: Sequence[str]) -> list[SeedItem]:
    """Flagged items without an auditor's queries, far from those that are held out."""
    closed = {platform.clusters[id] for id in held_out}
    free = [
        item
        for id, item in sorted(platform.flagged.items())
        if id not in platform.auditor and platform.clusters[id] not in closed
    ]
    return limited(free, args.extra_items, seed) if args.extra_items else []


def about(platform: Platform) -> dict[str, Any]:
    """The platform in numbers."""
    return {
        "n_posts": len(platform.texts),
        "n_toxic": platform.judging.n_toxic,
        "base_rate": platform.judging.base_rate,
        "n_flagged": len(platform.flagged),
        "n_clusters": len(set(platform.clusters.values())),
        "n_annotated": len(platform.auditor),
    }


def sample_name(args: argparse.Namespace) -> str:
    """Tells the files of one platform from those of another."""
    return f"{args.items_limit or 'all'}-{args.annotated_limit or 'all'}"
