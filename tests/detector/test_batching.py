import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.detector.batching import micro_batches, pad


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
