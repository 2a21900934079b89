from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.data.batches import POOL_BATCHES, EpochBatches, bucketed_order, collate
from toxitrace.data.module import TraceData
from toxitrace.data.prepare import TrainingRow
from toxitrace.errors import ConfigError


def row(
    *content: int, toxic: tuple[int, ...] = (), pro: tuple[int, ...] = (), con: tuple[int, ...] = ()
) -> TrainingRow:
    mask = np.array([False, *(token in toxic for token in content), False])
    return TrainingRow(
        input_ids=np.array([2, *content, 3]),
        label=int(bool(toxic)),
        toxic_prob=0.9 if toxic else 0.0,
        toxic_mask=mask,
        supervised=bool(toxic),
        supporting_ids=np.array(pro, np.int64),
        opposing_ids=np.array(con, np.int64),
    )


ROWS = [row(*range(10, 10 + n % 7)) for n in range(23)]


def fake_trainer(rank: int = 0, world: int = 1, step: int = 0) -> SimpleNamespace:
    return SimpleNamespace(global_rank=rank, world_size=world, global_step=step)


def trace_data(rank: int = 0, world: int = 1, step: int = 0, **options: int) -> TraceData:
    data = TraceData(ROWS, ROWS[:9], pad_id=0, batch_size=options.pop("batch_size", 4), seed=7, **options)
    data.trainer = fake_trainer(rank, world, step)  # type: ignore[assignment]
    return data


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(2, 128), max_size=300),
    st.integers(1, 9),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_an_epoch_covers_every_row_once_in_as_few_batches_as_possible(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    batches = bucketed_order(lengths, batch_size, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert sum(len(batch) < batch_size for batch in batches) <= 1
    assert batches == bucketed_order(lengths, batch_size, seed, epoch)


def test_seed_and_epoch_each_change_the_order() -> None:
    lengths = list(range(2, 102))
    orders = [bucketed_order(lengths, 4, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert len({str(order) for order in orders}) == 4


def test_batches_hold_texts_of_like_length_but_come_in_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).integers(2, 128, 8 * POOL_BATCHES * 3)
    batches = bucketed_order(lengths.tolist(), 8, seed=1, epoch=0)
    padding = sum(int((lengths[batch].max() - lengths[batch]).sum()) for batch in batches)
    assert padding < 0.05 * lengths.sum()
    longest = [int(lengths[batch].max()) for batch in batches]
    assert abs(float(np.corrcoef(longest, range(len(longest)))[0, 1])) < 0.3


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_processes_share_an_epoch_without_overlap_and_in_equal_parts(world: int) -> None:
    lengths = [5] * 43
    shares = [list(EpochBatches(lengths, 4, 1, rank, world)) for rank in range(world)]
    assert [len(share) for share in shares] == [11 // world] * world
    assert [len(EpochBatches(lengths, 4, 1, rank, world)) for rank in range(world)] == [11 // world] * world
    seen = [index for share in shares for batch in share for index in batch]
    assert len(seen) == len(set(seen))
    everything = bucketed_order(lengths, 4, 1, 0)
    assert all(batch in everything for share in shares for batch in share)


def test_set_epoch_chooses_the_order() -> None:
    sampler = EpochBatches([5] * 20, 4, 1)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) == bucketed_order([5] * 20, 4, 1, 1) != first


def test_skipping_leaves_out_the_batches_already_seen_once_only() -> None:
    whole = list(EpochBatches([5] * 20, 4, 1))
    sampler = EpochBatches([5] * 20, 4, 1, skip=3)
    assert list(sampler) == whole[3:]
    assert list(sampler) == whole


def test_collate_pads_and_marks_tokens() -> None:
    batch = collate([row(10, 11, 12, toxic=(11,)), row(13)], pad_id=99)
    assert batch["input_ids"].tolist() == [[2, 10, 11, 12, 3], [2, 13, 3, 99, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch["content_mask"].int().tolist() == [[0, 1, 1, 1, 0], [0, 1, 0, 0, 0]]
    assert batch["toxic_mask"].int().tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert batch["label"].tolist() == [1, 0]
    assert batch["toxic_prob"].tolist() == pytest.approx([0.9, 0.0])
    assert batch["supervised"].tolist() == [True, False]
    assert batch["toxic_mask"].dtype == batch["content_mask"].dtype == batch["supervised"].dtype == torch.bool
    assert batch["toxic_prob"].dtype == torch.float32


def test_collate_puts_all_supporting_rationales_before_all_opposing_ones() -> None:
    rows = [row(10), row(11, pro=(2, 20, 3), con=(2, 21, 22, 3)), row(12), row(13, pro=(2, 23, 3), con=(2, 24, 3))]
    batch = collate(rows, pad_id=0)
    assert batch["argued"].tolist() == [1, 3]
    assert batch["rationale_ids"].tolist() == [[2, 20, 3, 0], [2, 23, 3, 0], [2, 21, 22, 3], [2, 24, 3, 0]]
    assert batch["rationale_mask"].sum(1).tolist() == [3, 3, 4, 3]


def test_a_batch_without_rationales_has_none() -> None:
    batch = collate([row(10), row(11)], pad_id=0)
    assert batch["argued"].shape == (0,)
    assert batch["argued"].dtype == torch.long
    assert batch["rationale_ids"].shape == (0, 0)


def test_the_module_hands_out_every_training_row_once() -> None:
    lengths = [len(batch["input_ids"]) for batch in trace_data().train_dataloader()]
    assert sum(lengths) == len(ROWS)
    assert len(trace_data().train_dataloader()) == len(lengths) == 6


@pytest.mark.parametrize(
    ("workers", "step", "accumulate"),
    [*((0, step, accumulate) for step in (0, 1, 2, 3, 4, 7, 13) for accumulate in (1, 2)), (1, 7, 1)],
)
def test_a_resumed_run_goes_on_with_the_next_batch(accumulate: int, step: int, workers: int) -> None:
    lengths = [len(r.input_ids) for r in ROWS]
    steps_per_epoch = -(-6 // accumulate)
    epoch, done = divmod(step, steps_per_epoch)
    expected = bucketed_order(lengths, 4, 7, epoch)[done * accumulate :]
    loader = trace_data(step=step, accumulate=accumulate, workers=workers).train_dataloader()
    found = [batch["input_ids"].tolist() for batch in loader]
    assert found == [collate([ROWS[i] for i in batch], 0)["input_ids"].tolist() for batch in expected]


@pytest.mark.parametrize("world", [1, 2, 5, 9])
def test_every_process_gets_development_rows_and_all_get_all(world: int) -> None:
    seen: list[list[int]] = []
    for rank in range(world):
        loader = trace_data(rank, world, batch_size=1).val_dataloader()
        share = [ids for batch in loader for ids in batch["input_ids"].tolist()]  # type: ignore[call-overload]
        assert share
        seen += [[token for token in ids if token] for ids in share]
    assert sorted(seen) == sorted(r.input_ids.tolist() for r in ROWS[:9])


def test_without_development_rows_there_is_no_validation() -> None:
    assert TraceData(ROWS, [], pad_id=0, batch_size=4, seed=1).val_dataloader() == []


def test_more_processes_than_batches_or_rows_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"--device\.devices"):
        trace_data(world=7).train_dataloader()  # six batches
    with pytest.raises(ConfigError, match=r"--device\.devices"):
        trace_data(world=10).val_dataloader()  # nine rows
