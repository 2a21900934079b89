from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import HARMLESS, seeds

from toxitrace.errors import ConfigError, DataError
from toxitrace.explore import near_duplicate_clusters, neighbours, similar_groups, split_by_cluster


def test_texts_that_differ_by_a_mark_are_one_cluster() -> None:
    texts = ["他就是骗子，别理他", "今天天气真好", "他就是骗子，别理他！", "他就是骗子,别理他"]
    assert near_duplicate_clusters(texts) == [0, 1, 0, 0]


def test_equal_texts_of_one_character_are_one_cluster() -> None:
    assert near_duplicate_clusters(["滚", "滚", "好"]) == [0, 0, 2]


def test_a_chain_of_near_duplicates_is_one_cluster() -> None:
    texts = ["我们去公园玩吧朋友", "我们去公园玩吧朋友们来", "我们去公园玩吧朋友们来一起"]
    cosines = dict(neighbours(texts, 0.01)[0])
    threshold = (cosines[1] + cosines[2]) / 2
    assert [row for row, _ in neighbours(texts, threshold)[0]] == [1]
    assert near_duplicate_clusters(texts, threshold) == [0, 0, 0]


def test_neighbours_agree_with_brute_force_cosines() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [seed.text for seed in seeds()] + list(HARMLESS)
    framed = [f"\x02{text}\x03".replace("，", ",") for text in texts]
    matrix = TfidfVectorizer(analyzer="char", ngram_range=(2, 3), sublinear_tf=True).fit_transform(framed).toarray()
    cosines = matrix @ matrix.T
    for row, found in enumerate(neighbours(texts, 0.2)):
        expected = {other for other in range(len(texts)) if other != row and cosines[row, other] >= 0.2}
        assert {other for other, _ in found} == expected


def test_no_text_has_no_neighbours() -> None:
    assert neighbours([], 0.5) == []
    with pytest.raises(ConfigError):
        neighbours(["笨蛋"], 0.0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 3))
def test_no_cluster_stands_on_both_sides(clusters: list[int], seed: int) -> None:
    ids = [f"i{n}" for n in range(len(clusters))]
    splits = split_by_cluster(ids, clusters, {"train": 0.8, "test": 0.2}, seed)
    side = {id: name for name, chosen in splits.items() for id in chosen}
    assert side.keys() == set(ids)
    for cluster in set(clusters):
        assert len({side[id] for id, c in zip(ids, clusters, strict=True) if c == cluster}) == 1


def test_splits_do_not_depend_on_the_order_of_the_rows_but_on_the_seed() -> None:
    rows = [(f"i{n}", n // 2) for n in range(40)]
    shuffled = random.Random(0).sample(rows, len(rows))
    shares = {"train": 0.5, "dev": 0.25, "test": 0.25}
    one, other = (split_by_cluster([i for i, _ in r], [c for _, c in r], shares, 1) for r in (rows, shuffled))
    assert one == other
    assert one != split_by_cluster([i for i, _ in rows], [c for _, c in rows], shares, 2)
    assert {name: len(ids) for name, ids in one.items()} == {"train": 20, "dev": 10, "test": 10}


def test_shares_must_sum_to_one_and_ids_be_distinct() -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        split_by_cluster(["a"], [0], {"train": 0.5}, 1)
    with pytest.raises(DataError):
        split_by_cluster(["a", "a"], [0, 1], {"train": 1.0}, 1)


def test_groups_hold_similar_items_but_no_near_duplicates_and_each_item_once() -> None:
    texts = ["你真是个大笨蛋啊", "你真是个大笨蛋啊！", "他是个大笨蛋", "今天天气真好"]
    groups = similar_groups(["a", "b", "c", "d"], neighbours(texts, 0.05), size=3, seed=1)
    assert len(groups) == 1
    assert set(groups[0]) in ({"a", "c"}, {"b", "c"})
