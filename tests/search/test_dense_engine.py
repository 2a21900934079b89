"""Exact search over vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toxitrace.errors import ConfigError
from toxitrace.search import DenseEngine, Item
from toxitrace.search import dense as dense_module


def random_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """A unit vector for each text; equal texts have equal ones."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=48) for text in texts]
    return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


@settings(max_examples=40)
@given(st.lists(st.sampled_from("笨蛋骗子天气好坏"), max_size=30), st.integers(1, 12), st.sets(st.integers(0, 9)))
def test_it_finds_what_a_full_sort_finds(texts: list[str], k: int, excluded: set[int]) -> None:
    engine = DenseEngine(random_vectors, n_texts=7)
    items = [Item(f"{number:02}", text) for number, text in enumerate(texts)]
    engine.index(items)
    exclude = {f"{number:02}" for number in excluded}
    query = random_vectors(["问"])[0].astype(np.float64)
    scores = {item.id: float(np.float32((random_vectors([item.text])[0] * query).sum())) for item in items}
    wanted = sorted((-score, id) for id, score in scores.items() if id not in exclude)[:k]
    assert [(-hit.score, hit.id) for hit in engine.search("问", k, exclude)] == wanted


def test_equal_texts_score_equally_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_module, "_N_SCORES", 300)  # a query at a time
    engine = DenseEngine(random_vectors)
    engine.index([Item(f"{number:03}", "骗子" if number % 3 else f"好{number}") for number in range(301)])
    for hits in engine.search_many(["骗子", "笨蛋", "骗子"], 50):
        same = [hit for hit in hits if int(hit.id) % 3]
        assert len({hit.score for hit in same}) <= 1
    assert [hit.id for hit in hits[:3]] == ["001", "002", "004"]


def test_scores_below_zero_are_hits_too() -> None:
    engine = DenseEngine(lambda texts: np.array([[1.0 if "好" in text else -1.0] for text in texts], np.float32))
    engine.index([Item("a", "好"), Item("b", "骗子")])
    assert [(hit.id, hit.score) for hit in engine.search("好")] == [("a", 1.0), ("b", -1.0)]


@pytest.mark.parametrize("bad", [np.zeros((2, 3)), np.zeros(3), np.array([[np.nan]])])
def test_an_encoder_that_returns_something_else_is_an_error(bad: NDArray[np.float64]) -> None:
    with pytest.raises(ConfigError, match="one finite vector for each text"):
        DenseEngine(lambda texts: bad).index([Item("a", "骗子")])
