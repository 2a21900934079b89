"""Training and development rows as a LightningDataModule with length-bucketed batches."""

from __future__ import annotations

from collections.abc import Sequence

import lightning
from torch.utils.data import DataLoader

from toxitrace.data.batches import Batch, BatchedRows, EpochBatches
from toxitrace.data.prepare import TrainingRow
from toxitrace.errors import ConfigError


class TraceData(lightning.LightningDataModule):
    """Hands out batches; a resumed run goes on with the batch after the last one it saw.

    Args:
        train: training rows.
        dev: development rows; none: no validation.
        pad_id: id of [PAD].
        batch_size: rows per batch and process.
        seed: of the batch order.
        workers: data-loading processes.
        accumulate: batches per optimiser step, to count back from steps to batches.
    """

    def __init__(
        self,
        train: Sequence[TrainingRow],
        dev: Sequence[TrainingRow],
        *,
        pad_id: int,
        batch_size: int,
        seed: int,
        workers: int = 0,
        accumulate: int = 1,
    ) -> None:
        super().__init__()
        self.train, self.dev, self.pad_id = train, dev, pad_id
        self.batch_size, self.seed, self.workers, self.accumulate = batch_size, seed, workers, accumulate

    def train_dataloader(self) -> DataLoader[Batch]:
        trainer = self.trainer
        rank, world, step = (trainer.global_rank, trainer.world_size, trainer.global_step) if trainer else (0, 1, 0)
        order = EpochBatches([len(row.input_ids) for row in self.train], self.batch_size, self.seed, rank, world)
        if not len(order):
            raise ConfigError(
                f"{len(self.train)} training texts in batches of {self.batch_size} are too few for {world} processes; "
                "lower --device.devices or --data.batch_size"
            )
        epoch, done = divmod(step, -(-len(order) // self.accumulate))
        order.skip = done * self.accumulate
        order.set_epoch(epoch)  # Lightning does so too, but after worker processes have fetched their first batches
        return self._loader(self.train, order)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        if not self.dev:
            return []
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if len(self.dev) < world:
            raise ConfigError(f"{len(self.dev)} development texts are too few for {world} processes (--device.devices)")
        by_length = sorted(range(len(self.dev)), key=lambda i: len(self.dev[i].input_ids))
        # texts are dealt out, not batches: a process without any would skip validation and leave the others waiting
        mine, size = by_length[rank::world], 4 * self.batch_size
        return self._loader(self.dev, [mine[i : i + size] for i in range(0, len(mine), size)])

    def _loader(self, rows: Sequence[TrainingRow], order: EpochBatches | list[list[int]]) -> DataLoader[Batch]:
        # each "index" of the sampler is a whole batch, so the loader itself must not batch
        return DataLoader(BatchedRows(rows, self.pad_id), batch_size=None, sampler=order, num_workers=self.workers)
