"""Masked batches for pre-training: batch n is a pure function of seed and n, so a resumed run goes on where it was."""

from __future__ import annotations

import lightning
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from toxitrace.config import PretrainConfig
from toxitrace.encoder.char_tokenizer import SPECIAL_TOKENS
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.training.corpus import TokenBlocks
from toxitrace.training.masking import corrupt, span_mask

# batches in the one epoch of a run, which ends by steps or time: what is left of a length known beforehand would be
# fewer batches than Lightning has counted when it resumes
ENDLESS = 10**9


class MaskedBatches(Dataset[dict[str, Tensor]]):
    """Item n = the n-th training batch, masked, as tensors of shape (B, T)."""

    def __init__(self, blocks: TokenBlocks, tokenizer: TextTokenizer, config: PretrainConfig) -> None:
        self.blocks, self.tokenizer, self.config = blocks, tokenizer, config
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        config, tokenizer = self.config, self.tokenizer
        per_pass = self.blocks.per_pass() // config.batch_size
        number, position = divmod(index, per_pass)
        if self._order[0] != number:
            self._order = (number, self.blocks.pass_order(number))
        rows = self._order[1][position * config.batch_size : (position + 1) * config.batch_size]
        content = self.blocks.cut(rows)  # (B, T - 2)
        rng = np.random.default_rng([config.seed, 1, index])
        mask = span_mask(content.shape, config.mask_share, config.mean_span_tokens, rng)
        mask &= content != tokenizer.sep_id
        hidden_id = tokenizer.unk_id if tokenizer.mask_id is None else tokenizer.mask_id
        hidden = corrupt(content, mask, hidden_id, (len(SPECIAL_TOKENS), tokenizer.vocab_size), rng)

        def framed(inner: npt.NDArray[np.int64], first: int, last: int) -> Tensor:
            return torch.from_numpy(np.pad(inner, ((0, 0), (1, 1)), constant_values=((0, 0), (first, last))))

        return {
            "input_ids": framed(hidden, tokenizer.cls_id, tokenizer.sep_id),
            "targets": framed(np.where(mask, content, -1), -1, -1),
        }


class MaskedTexts(lightning.LightningDataModule):
    """Hands out batches from the step at which the trainer stands."""

    def __init__(self, batches: MaskedBatches) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("MaskedTexts has batches only in the hands of a Trainer")
        rank, world, start = trainer.global_rank, trainer.world_size, trainer.global_step
        return DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(start * world + rank, len(self.batches), world),
            num_workers=self.batches.config.workers,
        )
