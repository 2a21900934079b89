"""Length-bucketed batches in an order that is a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from toxitrace.data.prepare import Ids, TrainingRow

# texts of this many batches are drawn together and sorted: little padding, still a random mix
POOL_BATCHES = 50


class Batch(TypedDict):
    """Legend: B texts, T tokens, R texts of the batch that have rationales, S tokens of the longest rationale."""

    input_ids: Tensor  # (B, T)
    attention_mask: Tensor  # (B, T)
    toxic_prob: Tensor  # (B,) float
    label: Tensor  # (B,)
    toxic_mask: Tensor  # (B, T) bool
    content_mask: Tensor  # (B, T) bool: no [CLS], [SEP], [PAD]
    supervised: Tensor  # (B,) bool
    argued: Tensor  # (R,) indices into the batch
    rationale_ids: Tensor  # (2R, S): the supporting ones, then the opposing ones
    rationale_mask: Tensor  # (2R, S)


def bucketed_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle, sort by length within pools, cut into batches, shuffle the batches.

    Args:
        lengths: tokens of each row.
        batch_size: rows per batch; only the last pool's last batch may be smaller.
        seed: with ``epoch``, the only source of chance.

    Returns:
        ceil(rows / batch_size) lists of row indices, every row once.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    sizes = np.asarray(lengths)
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * POOL_BATCHES):
        pool = order[start : start + batch_size * POOL_BATCHES]
        pool = pool[np.argsort(sizes[pool], kind="stable")]
        batches += [pool[i : i + batch_size].tolist() for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


class EpochBatches(Sampler[list[int]]):
    """Yields this process's batches of the current epoch; Lightning calls ``set_epoch``.

    Args:
        lengths: tokens of each row.
        batch_size: rows per batch and process.
        seed: of the order.
        rank: this process.
        world: number of processes; surplus batches of an epoch are left out so that all have equally many.
        skip: batches of the first epoch that an interrupted run has already seen.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, rank: int = 0, world: int = 1, skip: int = 0
    ) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.rank, self.world, self.skip = rank, world, skip
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size) // self.world

    def __iter__(self) -> Iterator[list[int]]:
        batches = bucketed_order(self.lengths, self.batch_size, self.seed, self.epoch)
        mine = batches[self.rank :: self.world][: len(self)]
        skip, self.skip = self.skip, 0
        yield from mine[skip:]


class BatchedRows(Dataset[Batch]):
    """``rows[[3, 7, 5]]`` is the padded batch of those rows."""

    def __init__(self, rows: Sequence[TrainingRow], pad_id: int) -> None:
        self.rows, self.pad_id = rows, pad_id

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: list[int]) -> Batch:
        return collate([self.rows[i] for i in indices], self.pad_id)


def collate(rows: Sequence[TrainingRow], pad_id: int) -> Batch:
    """Pad rows to their longest and stack them."""
    input_ids, attention_mask = _stack([row.input_ids for row in rows], pad_id)
    toxic = np.zeros(input_ids.shape, bool)
    content = np.zeros(input_ids.shape, bool)
    for index, row in enumerate(rows):
        toxic[index, : len(row.toxic_mask)] = row.toxic_mask
        content[index, 1 : len(row.input_ids) - 1] = True
    argued = [index for index, row in enumerate(rows) if len(row.supporting_ids)]
    sides = [rows[i].supporting_ids for i in argued] + [rows[i].opposing_ids for i in argued]
    rationale_ids, rationale_mask = _stack(sides, pad_id)
    return Batch(
        input_ids=torch.from_numpy(input_ids),
        attention_mask=torch.from_numpy(attention_mask),
        toxic_prob=torch.tensor([row.toxic_prob for row in rows]),
        label=torch.tensor([row.label for row in rows]),
        toxic_mask=torch.from_numpy(toxic),
        content_mask=torch.from_numpy(content),
        supervised=torch.tensor([row.supervised for row in rows]),
        argued=torch.tensor(argued, dtype=torch.long),
        rationale_ids=torch.from_numpy(rationale_ids),
        rationale_mask=torch.from_numpy(rationale_mask),
    )


def _stack(sequences: Sequence[Ids], pad_id: int) -> tuple[Ids, Ids]:
    """Sequences of different lengths -> (n, longest) ids and mask."""
    longest = max(map(len, sequences), default=0)
    ids = np.full((len(sequences), longest), pad_id, np.int64)
    mask = np.zeros((len(sequences), longest), np.int64)
    for index, sequence in enumerate(sequences):
        ids[index, : len(sequence)] = sequence
        mask[index, : len(sequence)] = 1
    return ids, mask
