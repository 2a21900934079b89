"""The files that a sitting leaves: review list, log of queries, preferences, report. Each is whole or as it was."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from toxitrace.data.rowfile import write_rows
from toxitrace.explore.clusters import neighbours, similar_groups
from toxitrace.explore.operate.config import PairSettings
from toxitrace.explore.operate.review import Post
from toxitrace.explore.preferences import Compared, Preference, comparison_pairs, sampled_pairs
from toxitrace.explore.rewards import Judged


def write_text(content: str, path: Path) -> None:
    """Replace a file at once."""
    part = path.with_name(path.name + ".part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)


def write_review(posts: Iterable[Post], number: int, folder: Path) -> Path:
    """``review-0001.jsonl`` and so on: what reviewers are given, each post in one list alone."""
    path = review_file(number, folder)
    write_rows(path, (post.to_dict() for post in posts))
    return path


def review_file(number: int, folder: Path) -> Path:
    """Where a review list stands."""
    return folder / f"review-{number:04}.jsonl"


def next_pairs(compared: list[Compared], settings: PairSettings) -> list[Preference]:
    """Preferences from what the engine said of every query so far, single items first, then groups of similar ones."""
    compared = compared + (_grouped(compared, settings) if settings.group_size > 1 else [])
    if settings.kind == "gap":
        return sampled_pairs(compared, style=settings.style, min_gap=settings.min_gap)
    return comparison_pairs(compared, style=settings.style, threshold=settings.threshold)


def _grouped(compared: list[Compared], settings: PairSettings) -> list[Compared]:
    """Similar items with all their queries, none of which may count the group's own items as found."""
    by_id = {one.items[0].id: one for one in compared}
    similar = neighbours([one.items[0].text for one in compared], settings.group_similarity)
    groups = similar_groups(list(by_id), similar, size=settings.group_size, seed=settings.seed)
    found = []
    for ids in groups:
        members = [by_id[id] for id in ids]
        judged = {one.query: _without(one, ids) for member in members for one in member.judged}
        found.append(Compared(tuple(member.items[0] for member in members), tuple(judged.values())))
    return found


def _without(judged: Judged, ids: tuple[str, ...]) -> Judged:
    kept = [(id, toxic) for id, toxic in zip(judged.result_ids, judged.result_toxic, strict=True) if id not in ids]
    return Judged(judged.query, tuple(id for id, _ in kept), tuple(toxic for _, toxic in kept))
