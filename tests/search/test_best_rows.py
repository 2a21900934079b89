"""The best k of many scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.search.ranking import best_rows

# Few values, so that many are equal; more than 64 k rows, so that the bound decides.
SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.5, 1.0, 2.0]), max_size=30).flatmap(
    lambda values: st.builds(
        lambda copies, seed: np.random.default_rng(seed).permutation(np.tile(values, copies)).astype(np.float32),
        st.sampled_from([1, 20]),
        st.integers(0, 99),
    )
)


@given(SCORES, st.integers(1, 10), st.sampled_from([-np.inf, 0.0]))
def test_they_are_those_of_a_full_sort(scores: np.ndarray, k: int, above: float) -> None:
    rows = [row for row in range(len(scores)) if scores[row] > above]
    assert best_rows(scores, k, above).tolist() == sorted(rows, key=lambda row: (-scores[row], row))[:k]


@pytest.mark.parametrize("k", [1, 100, 5000])
def test_among_many_different_scores_too(k: int) -> None:
    scores = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    assert best_rows(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()
