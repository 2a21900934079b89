import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.detector.backend import TokenBatch
from toxitrace.detector.batching import micro_batches, pad, with_even_shape


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120))
def test_every_sequence_is_in_one_batch_and_batches_keep_the_budget(lengths: list[int], budget: int) -> None:
    groups = micro_batches(lengths, budget)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[i] for i in group) <= budget


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(0, 40))
def test_no_batch_has_more_padding_than_it_may(lengths: list[int], padding: int) -> None:
    for group in micro_batches(lengths, 10_000, padding):
        longest = max(lengths[i] for i in group)
        assert sum(longest - lengths[i] for i in group) <= padding


def test_padding_is_masked() -> None:
    batch = pad([[5, 6, 7], [8]], pad_id=1)
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.input_ids.dtype == batch.attention_mask.dtype == np.int64


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_an_even_shape_keeps_the_batch_in_its_corner(lengths: list[int]) -> None:
    batch = pad([[7] * length for length in lengths], pad_id=1)
    n_rows, n_tokens = batch.input_ids.shape
    even = with_even_shape(batch, 4, 8, max_tokens=36)
    np.testing.assert_array_equal(even.input_ids[:n_rows, :n_tokens], batch.input_ids)
    np.testing.assert_array_equal(even.attention_mask[:n_rows, :n_tokens], batch.attention_mask)
    assert even.input_ids.dtype == even.attention_mask.dtype == np.int64
    assert not even.attention_mask[:, n_tokens:].any()
    assert even.attention_mask.any(axis=1).all()


@given(st.integers(1, 20), st.integers(1, 60))
def test_even_shapes_are_few_and_within_the_model(n_rows: int, n_tokens: int) -> None:
    rows, tokens = with_even_shape(pad([[7] * n_tokens] * n_rows, 0), 4, 8, max_tokens=36).input_ids.shape
    assert rows == n_rows if n_rows < 4 else rows % 4 == 0 and rows - n_rows < 4
    assert tokens == n_tokens if n_tokens > 36 else tokens in (8, 16, 24, 32, 36)


def test_a_batch_without_rows_gets_none() -> None:
    empty = np.zeros((0, 3), dtype=np.int64)
    assert with_even_shape(TokenBatch(empty, empty), 4, 8, max_tokens=36).input_ids.shape == (0, 8)
