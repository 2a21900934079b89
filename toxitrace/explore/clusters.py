"""Near-duplicates stay together, similar items find each other: character n-grams, TF-IDF, cosine."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from toxitrace.errors import ConfigError, DataError, MissingExtraError
from toxitrace.text.fold import fold

Neighbours = list[list[tuple[int, float]]]
"""For each row the other rows that are similar and how much, the most similar first, ties by row."""

NEAR_DUPLICATE = 0.6


def neighbours(texts: Sequence[str], threshold: float, *, n_gram_range: tuple[int, int] = (2, 3)) -> Neighbours:
    """All pairs of texts whose TF-IDF vectors have a cosine of at least ``threshold``.

    Exact, by sparse products of 512 rows at a time: seconds for ten thousand posts, not meant for a whole platform.

    Args:
        texts: folded here, so that look-alike spellings are alike.
        threshold: cosine in (0, 1].
        n_gram_range: shortest and longest character n-gram.

    Raises:
        ConfigError: the threshold is no cosine above 0.
        MissingExtraError: scikit-learn is not installed.

    >>> [[row for row, _ in found] for found in neighbours(["你真是个笨蛋", "你真是个大笨蛋", "今天天气好"], 0.3)]
    [[1], [0], []]
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"similarity threshold is {threshold}; expected a cosine in (0, 1]: correct it")
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingExtraError("scikit-learn", "explore") from None
    # framed: texts of one character have n-grams too, and equal texts are neighbours whatever their length
    framed = [f"\x02{fold(text).text.lower()}\x03" for text in texts]
    if not framed:
        return []
    matrix = TfidfVectorizer(analyzer="char", ngram_range=n_gram_range, sublinear_tf=True).fit_transform(framed)
    found: Neighbours = []
    for start in range(0, len(framed), 512):
        product: Any = (matrix[start : start + 512] @ matrix.T).tocsr()
        for offset in range(product.shape[0]):
            part = slice(product.indptr[offset], product.indptr[offset + 1])
            # rounded: the sum's order differs between blocks, and the tie has to go by row
            pairs = zip(product.indices[part].tolist(), product.data[part].round(6).tolist(), strict=True)
            similar = [(row, value) for row, value in pairs if value >= threshold and row != start + offset]
            found.append(sorted(similar, key=lambda pair: (-pair[1], pair[0])))
    return found


def near_duplicate_clusters(texts: Sequence[str], threshold: float = NEAR_DUPLICATE) -> list[int]:
    """The cluster of every text, named by its first row: texts linked by a chain of near-duplicates share one.

    >>> near_duplicate_clusters(["你真是个笨蛋", "今天天气好", "你真是个笨蛋！"])
    [0, 1, 0]
    """
    parent = list(range(len(texts)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for row, found in enumerate(neighbours(texts, threshold)):
        for other, _ in found:
            low, high = sorted((root(row), root(other)))
            parent[high] = low
    return [root(row) for row in range(len(texts))]


def split_by_cluster(
    ids: Sequence[str], clusters: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    """Deal whole clusters out to splits, so that near-duplicates never stand on both sides.

    Args:
        ids: of the items.
        clusters: of each item, see `near_duplicate_clusters`.
        shares: split -> its share of the items; the shares sum to 1.
        seed: draws the order of the clusters; the order of the rows does not matter.

    Returns:
        Split -> sorted ids; sizes differ from the shares by at most about one cluster.

    Raises:
        ConfigError: the shares are no shares.
        DataError: the lists differ in length, or an id comes twice.

    >>> split_by_cluster(["a", "b", "c", "d"], [0, 0, 2, 3], {"train": 0.5, "test": 0.5}, seed=1)["train"]
    ['a', 'b']
    """
    if not shares or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"shares are {dict(shares)}; expected shares of 0 or more that sum to 1: correct them")
    if len(ids) != len(clusters) or len(set(ids)) != len(ids):
        raise DataError(f"{len(ids)} ids ({len(set(ids))} distinct) and {len(clusters)} clusters; expected one each")
    members: dict[int, list[str]] = {}
    for id, cluster in zip(ids, clusters, strict=True):
        members.setdefault(cluster, []).append(id)
    groups = sorted(sorted(group) for group in members.values())
    random.Random(seed).shuffle(groups)
    # large ones first, while there is room for them; the sort is stable, so the draw decides among equals
    groups.sort(key=len, reverse=True)
    splits: dict[str, list[str]] = {name: [] for name in shares}
    for group in groups:
        # the split that lacks most; the first named on a tie
        neediest = max(shares, key=lambda name: shares[name] * len(ids) - len(splits[name]))
        splits[neediest] += group
    return {name: sorted(chosen) for name, chosen in splits.items()}


def similar_groups(
    ids: Sequence[str], similar: Neighbours, *, size: int, seed: int, below: float = NEAR_DUPLICATE
) -> list[tuple[str, ...]]:
    """Groups of similar items, each item in one group at most: what D_cat concatenates (methods.md 2).

    Note: reconstruction; the paper does not say how it groups.

    Args:
        ids: of the items of one split.
        similar: their `neighbours`, or those that any other similarity gives.
        size: most items of a group; groups of one are left out.
        seed: draws which item looks for company first.
        below: neighbours at least this similar are near-duplicates, which add nothing to a group.

    >>> similar_groups(["a", "b", "c"], [[(1, 0.4)], [(0, 0.4)], []], size=3, seed=1)
    [('a', 'b')]
    """
    if size < 2:
        raise ConfigError(f"group size is {size}; expected 2 or more items: raise it")
    order = sorted(range(len(ids)), key=lambda row: ids[row])
    random.Random(seed).shuffle(order)
    free = set(order)
    groups: list[tuple[str, ...]] = []
    for row in order:
        if row not in free:
            continue
        company = [other for other, value in similar[row] if other in free and value < below][: size - 1]
        if company:
            free -= {row, *company}
            groups.append(tuple(sorted(ids[one] for one in (row, *company))))
    return groups
