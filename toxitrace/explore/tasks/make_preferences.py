"""D -> D_cat -> D_comp, and pairs of what a model itself sampled: what DPO learns from (methods.md 2)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toxitrace.errors import ConfigError
from toxitrace.explore.clusters import neighbours, similar_groups
from toxitrace.explore.preferences import TIHR_THRESHOLD, Compared, Preference, comparison_pairs, mix, sampled_pairs
from toxitrace.explore.prompts import Style
from toxitrace.explore.records import SeedItem
from toxitrace.explore.rewards import Judged
from toxitrace.explore.tasks.judging import Judging, judged

if TYPE_CHECKING:
    from toxitrace.search.protocol import SearchEngine

Groups = list[tuple[SeedItem, ...]]


@dataclass(frozen=True)
class PairSettings:
    """How pairs are made."""

    style: Style = "compact"
    """How prompts are written: chat for models with a chat template, compact for the small one."""
    threshold: float = TIHR_THRESHOLD
    """tihr that parts chosen from rejected queries of D_comp."""
    max_queries: int = 3
    """Queries in one reply of D_comp."""
    group_size: int = 3
    """Similar items shown together in D_cat; 1: no groups."""
    similarity: float = 0.15
    """Least cosine of character n-grams within a group."""
    share: float | None = None
    """Share of groups among the pairs of D_comp, as many pairs as that allows; none: all pairs of both kinds."""
    sampled_queries: int = 1
    """Queries in one reply of sampled pairs."""
    max_pairs: int = 2
    """Sampled pairs of one item."""
    min_gap: float = 0.1
    """Least difference of the rewards in a sampled pair."""
    k: int = 100
    """Results of a query."""
    seed: int = 1
    """Of grouping, mixing and order."""

    def __post_init__(self) -> None:
        for name in ("max_queries", "group_size", "sampled_queries", "max_pairs", "k"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {getattr(self, name)}; expected 1 or more: raise it")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ConfigError(f"--share is {self.share}; expected a share in [0, 1]: correct it")


@dataclass(frozen=True, slots=True)
class PairsReport:
    """How many pairs came from where.

    Attributes:
        n_single, n_grouped: of D_comp, in the mixture.
        n_sampled: of a model's own queries.
        n_groups: groups that D_cat has.
        n_without_pair: prompts all of whose queries lie on one side, or too near each other.
    """

    n_single: int
    n_grouped: int
    n_sampled: int
    n_groups: int
    n_without_pair: int


def grouped(items: Sequence[SeedItem], size: int, similarity: float, seed: int) -> Groups:
    """D_cat's groups of similar items, near-duplicates never together; none with ``size`` 1."""
    if size < 2 or not items:
        return []
    by_id = {item.id: item for item in items}
    ids = [item.id for item in items]
    found = similar_groups(ids, neighbours([item.text for item in items], similarity), size=size, seed=seed)
    return [tuple(by_id[id] for id in group) for group in found]


def make_preferences(
    items: Sequence[SeedItem],
    annotated: Mapping[str, Sequence[str]],
    sampled: Mapping[str, Sequence[str]],
    engine: SearchEngine,
    judging: Judging,
    settings: PairSettings,
) -> tuple[list[Preference], PairsReport]:
    """Pairs in a shuffled order, and where they come from.

    Args:
        items: flagged ones, of the training part alone.
        annotated: D, item id -> queries.
        sampled: what a model wrote, item id -> its distinct queries.
        engine: an index of the platform.
        judging: τ.
        settings: thresholds, groups, mixture.
    """
    with_notes = [item for item in items if annotated.get(item.id)]
    groups = grouped(with_notes, settings.group_size, settings.similarity, settings.seed)
    singles: Groups = [(item,) for item in with_notes]
    drawn: Groups = [(item,) for item in items if sampled.get(item.id)]
    from_groups, from_singles = (
        comparison_pairs(
            _compared(prompts, annotated, engine, judging, settings.k),
            style=settings.style,
            threshold=settings.threshold,
            max_queries=settings.max_queries,
        )
        for prompts in (groups, singles)
    )
    own = sampled_pairs(
        _compared(drawn, sampled, engine, judging, settings.k),
        style=settings.style,
        n_queries=settings.sampled_queries,
        max_pairs=settings.max_pairs,
        min_gap=settings.min_gap,
    )
    mixture = [*from_groups, *from_singles]
    if settings.share is not None:
        mixture = mix(from_groups, from_singles, settings.share, settings.seed)
    pairs = [*mixture, *own]
    random.Random(settings.seed).shuffle(pairs)
    n_grouped = sum(len(pair.item_ids) > 1 for pair in mixture)
    n_prompts = len(groups) + len(singles) + len(drawn)
    n_with = len(from_groups) + len(from_singles) + len({pair.item_ids for pair in own})
    return pairs, PairsReport(len(mixture) - n_grouped, n_grouped, len(own), len(groups), n_prompts - n_with)


def _compared(
    prompts: Groups, queries: Mapping[str, Sequence[str]], engine: SearchEngine, judging: Judging, k: int
) -> list[Compared]:
    """The prompts with their queries, judged while all their items are left out of the results."""
    asked: list[tuple[int, str]] = []
    for row, items in enumerate(prompts):
        distinct = dict.fromkeys(query for item in items for query in queries.get(item.id, ()))
        asked += [(row, query) for query in distinct]
    hidden = [[item.id for item in prompts[row]] for row, _ in asked]
    found = judged(engine, [query for _, query in asked], judging, k, hidden)
    by_prompt: list[list[Judged]] = [[] for _ in prompts]
    for (row, _), one in zip(asked, found, strict=True):
        by_prompt[row].append(one)
    return [Compared(items, tuple(own)) for items, own in zip(prompts, by_prompt, strict=True)]
