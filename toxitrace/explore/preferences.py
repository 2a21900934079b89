"""Which queries the search engine preferred: D_comp and pairs of sampled queries (methods.md 2). Pure.

A reply that is chosen and the one that is rejected hold equally many queries, written down alike and ordered alike:
otherwise DPO would learn how long a list should be.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toxitrace.errors import DataError
from toxitrace.explore.config import PromptLimits
from toxitrace.explore.prompts import Style, render, write_queries
from toxitrace.explore.records import SeedItem
from toxitrace.explore.rewards import Judged

Reward = Callable[[Judged], float]
"""What a judged query is worth; its `Judged.tihr` unless told otherwise."""

TIHR_THRESHOLD = 0.05


@dataclass(frozen=True, slots=True)
class Preference:
    """One pair for DPO.

    Attributes:
        prompt: see `toxitrace.explore.prompts.render`.
        chosen, rejected: replies with equally many queries.
        reward_chosen, reward_rejected: mean reward of their queries.
        item_ids: the items in the prompt.
        style: of the prompt.
    """

    prompt: str
    chosen: str
    rejected: str
    reward_chosen: float
    reward_rejected: float
    item_ids: tuple[str, ...]
    style: Style = "compact"

    def __post_init__(self) -> None:
        if self.chosen == self.rejected:
            raise DataError(f"items {self.item_ids}: chosen and rejected are the same; expected two different replies")
        if not self.reward_chosen > self.reward_rejected:
            raise DataError(
                f"items {self.item_ids}: the chosen reply earns {self.reward_chosen}, the rejected one "
                f"{self.reward_rejected}; expected more for the chosen one"
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"item_ids": list(self.item_ids)}


@dataclass(frozen=True, slots=True)
class Compared:
    """The judged queries of one prompt.

    Attributes:
        items: one item, or several similar ones that are shown together.
        judged: their queries, searched with *all* these items excluded.
    """

    items: tuple[SeedItem, ...]
    judged: tuple[Judged, ...]


def comparison_pairs(
    compared: Sequence[Compared],
    *,
    style: Style,
    threshold: float = TIHR_THRESHOLD,
    max_queries: int = 3,
    reward: Reward | None = None,
    limits: PromptLimits | None = None,
) -> list[Preference]:
    """D_comp: one pair for each prompt with queries on both sides of the threshold.

    W = {reward > threshold} and L = {reward <= threshold}, both non-empty; n = min(|W|, |L|, ``max_queries``); chosen
    are the n best of W, rejected the n worst of L, each side written best first.
    Note: reconstruction of how the sides are cut to one length; threshold and split are the paper's.

    Args:
        compared: from D_cat (several items each) or single items.
        style: of the prompts.
        threshold: the paper's 0.05 on tihr.
        max_queries: most queries in one reply.
        reward: default tihr.
        limits: how much of an item the prompt shows.
    """
    pairs: list[Preference] = []
    for one in compared:
        ranked = _ranked(one.judged, reward)
        better = [pair for pair in ranked if pair[0] > threshold]
        worse = [pair for pair in ranked if pair[0] <= threshold]
        n = min(len(better), len(worse), max_queries)
        if n:
            pairs.append(_pair(one.items, better[:n], worse[-n:], style, limits))
    return pairs


def sampled_pairs(
    compared: Sequence[Compared],
    *,
    style: Style,
    n_queries: int = 1,
    max_pairs: int = 2,
    min_gap: float = 0.1,
    reward: Reward | None = None,
    limits: PromptLimits | None = None,
) -> list[Preference]:
    """Pairs of what a model itself sampled for a prompt: its best against its worst, second best against second worst.

    Note: ours; the search engine's verdict on the model's own words, where D_comp uses the annotators'.

    Args:
        compared: prompts with the distinct queries that were sampled for them.
        style: of the prompts.
        n_queries: queries in each reply.
        max_pairs: most pairs for one prompt.
        min_gap: least difference of the mean rewards; smaller ones are noise.
        reward: default tihr.
        limits: how much of an item the prompt shows.
    """
    pairs: list[Preference] = []
    for one in compared:
        ranked = _ranked(one.judged, reward)
        for i in range(min(max_pairs, len(ranked) // (2 * n_queries))):
            best = ranked[i * n_queries : (i + 1) * n_queries]
            worst = ranked[len(ranked) - (i + 1) * n_queries : len(ranked) - i * n_queries]
            gap = _mean(best) - _mean(worst)
            if gap > 0 and gap >= min_gap:
                pairs.append(_pair(one.items, best, worst, style, limits))
    return pairs


def mix(concatenated: Sequence[Preference], single: Sequence[Preference], share: float, seed: int) -> list[Preference]:
    """A shuffled mixture in which ``share`` of the pairs have several items, as many pairs as that allows.

    Args:
        concatenated: pairs of several items.
        single: pairs of one item.
        share: of the first kind, in [0, 1].
        seed: draws which pairs stay and their order.
    """
    if not 0 <= share <= 1:
        raise DataError(f"share of concatenated pairs is {share}; expected one in [0, 1]")
    rng = random.Random(seed)
    n = min(
        len(concatenated) / share if share > 0 else float("inf"),
        len(single) / (1 - share) if share < 1 else float("inf"),
    )
    n_concatenated = min(round(n * share), len(concatenated))
    n_single = min(round(n * (1 - share)), len(single))
    mixed = [*rng.sample(list(concatenated), n_concatenated), *rng.sample(list(single), n_single)]
    rng.shuffle(mixed)
    return mixed


def _ranked(judged: Sequence[Judged], reward: Reward | None) -> list[tuple[float, str]]:
    """Distinct queries with their rewards, best first; ties by the query, so that the order of the rows is nothing."""
    worth = {write_queries([one.query]): (reward or _tihr)(one) for one in judged}
    return sorted(((value, query) for query, value in worth.items() if query), key=lambda pair: (-pair[0], pair[1]))


def _tihr(judged: Judged) -> float:
    return judged.tihr


def _mean(ranked: Sequence[tuple[float, str]]) -> float:
    return sum(value for value, _ in ranked) / len(ranked)


def _pair(
    items: tuple[SeedItem, ...],
    best: Sequence[tuple[float, str]],
    worst: Sequence[tuple[float, str]],
    style: Style,
    limits: PromptLimits | None,
) -> Preference:
    chosen, rejected = (write_queries([query for _, query in side]) for side in (best, worst))
    return Preference(
        render(items, style, limits),
        chosen,
        rejected,
        _mean(best),
        _mean(worst),
        tuple(item.id for item in items),
        style,
    )
