"""Several ranked lists as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_corpus import ITEMS, word_vectors

from toxitrace.errors import ConfigError
from toxitrace.search import BM25Engine, DenseEngine, Hit, HybridEngine, fuse

RANKING = st.permutations("abcde").flatmap(
    lambda ids: st.integers(0, 5).map(lambda n: [Hit(id, 1.0 / rank) for rank, id in enumerate(ids[:n], start=1)])
)


@given(st.lists(RANKING, max_size=4), st.randoms())
def test_the_order_of_the_lists_does_not_matter(rankings: list[list[Hit]], random: object) -> None:
    assert fuse(rankings) == fuse(rankings[::-1])


@given(RANKING)
def test_one_list_keeps_its_order(ranking: list[Hit]) -> None:
    assert [hit.id for hit in fuse([ranking])] == [hit.id for hit in ranking]


def test_an_item_that_two_lists_hold_passes_the_first_of_one() -> None:
    fused = fuse([[Hit("a", 9.0), Hit("b", 8.0)], [Hit("c", 9.0), Hit("b", 8.0)]], k=60)
    assert [hit.id for hit in fused] == ["b", "a", "c"]
    assert fused[0].score == pytest.approx(2 / 62)


def test_a_negative_constant_is_an_error() -> None:
    with pytest.raises(ConfigError, match="k of the fusion"):
        fuse([], k=-1)


def test_the_engine_fuses_what_its_engines_find() -> None:
    parts = [BM25Engine(), DenseEngine(word_vectors)]
    engine = HybridEngine(parts, depth=4)
    engine.index(iter(ITEMS))
    assert engine.search("笨蛋 骗子", 3) == fuse([part.search("笨蛋 骗子", 4) for part in parts])[:3]
