"""Flagged items -> parts for training, choosing and reporting; near-duplicates never lie in two of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toxitrace.data.rowfile import write_rows
from toxitrace.errors import ConfigError
from toxitrace.explore.clusters import NEAR_DUPLICATE, near_duplicate_clusters, split_by_cluster
from toxitrace.explore.records import SeedItem

PARTS = ("train", "dev", "test")


def split_items(
    items: Sequence[SeedItem], output: Path, shares: Sequence[float], *, seed: int, threshold: float = NEAR_DUPLICATE
) -> dict[str, int]:
    """Write ``train.jsonl, dev.jsonl, test.jsonl`` with ``{"id", "text", "label", "spans"}`` rows.

    Args:
        items: flagged ones.
        output: folder, made if need be; its parts must not be there yet.
        shares: of the three parts; they sum to 1.
        seed: deals the clusters out.
        threshold: cosine of character n-grams from which two items are near-duplicates.

    Returns:
        Part -> number of items.
    """
    if len(shares) != len(PARTS):
        raise ConfigError(f"--shares is {list(shares)}; expected three, of {', '.join(PARTS)}: correct them")
    there = next((output / f"{part}.jsonl" for part in PARTS if (output / f"{part}.jsonl").exists()), None)
    if there is not None:
        raise ConfigError(f"{there} exists: name another --output, or move it away")
    clusters = near_duplicate_clusters([item.text for item in items], threshold)
    ids = [item.id for item in items]
    dealt = split_by_cluster(ids, clusters, dict(zip(PARTS, shares, strict=True)), seed)
    by_id = {item.id: item for item in items}
    for part, members in dealt.items():
        rows = ({"id": id, "text": by_id[id].text, "label": 1, "spans": by_id[id].spans} for id in members)
        write_rows(output / f"{part}.jsonl", rows)
    return {part: len(members) for part, members in dealt.items()}
