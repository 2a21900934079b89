"""Masked-LM pre-training of a scratch encoder: packed blocks, span masking, resumable, CPU or GPU.

Batch n is a pure function of the seed and n, so a resumed run goes on exactly where it stopped.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset
from transformers import BertForMaskedLM

from toxitrace.config import PretrainConfig
from toxitrace.encoder.char_tokenizer import SPECIAL_TOKENS, build_char_tokenizer
from toxitrace.encoder.folder import save_encoder_folder
from toxitrace.encoder.scratch import scratch_config
from toxitrace.errors import ConfigError, DataError
from toxitrace.settings import ModelSettings
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.training.corpus import (
    TokenBlocks,
    all_passages,
    corpus_files,
    stem,
    token_stream,
)
from toxitrace.training.masking import corrupt, span_mask
from toxitrace.training.precision import resolve_precision
from toxitrace.training.progress import progress_callbacks
from toxitrace.versions import package_versions

TOKENIZER_FILE = "tokenizer.json"


class MaskedBatches(Dataset[dict[str, Tensor]]):
    """Item n = the n-th training batch, masked, as tensors of shape (B, T)."""

    def __init__(self, blocks: TokenBlocks, tokenizer: TextTokenizer, config: PretrainConfig, n_batches: int) -> None:
        self.blocks, self.tokenizer, self.config, self.n_batches = blocks, tokenizer, config, n_batches
        self._order: tuple[int, np.ndarray] = (-1, np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return self.n_batches

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

        def framed(inner: np.ndarray, first: int, last: int) -> Tensor:
            return torch.from_numpy(np.pad(inner, ((0, 0), (1, 1)), constant_values=((0, 0), (first, last))))

        return {
            "input_ids": framed(hidden, tokenizer.cls_id, tokenizer.sep_id),
            "targets": framed(np.where(mask, content, -1), -1, -1),
        }


class MaskedLM(lightning.LightningModule):
    """BERT with its masked-LM head; logits are computed for the masked tokens only."""

    def __init__(self, config: PretrainConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.model = BertForMaskedLM(scratch_config(replace(config.encoder, dropout=config.dropout), vocab_size))
        self.n_tokens = 0

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        torch.manual_seed(hash((self.config.seed, self.global_step)) % 2**63)  # dropout: the same after a resume
        # on CPUs the plain attention is faster than the fused one for short bf16 blocks, backward included
        kernels = [SDPBackend.MATH] if self.device.type == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
        with sdpa_kernel(kernels):
            hidden = self.model.bert(input_ids=batch["input_ids"]).last_hidden_state  # (B, T, D)
        picked = batch["targets"] >= 0  # (B, T)
        logits = self.model.cls(hidden[picked])  # (M, V)
        loss = nn.functional.cross_entropy(logits.float(), batch["targets"][picked])
        self.n_tokens += batch["input_ids"].numel()
        self.log("mlm_loss", loss.detach(), prog_bar=True)
        self.log("million_tokens", self.n_tokens / 1e6, prog_bar=True)
        self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        return loss

    def progress(self) -> float:
        """Share of the run that is done, by steps or by the clock, whichever is further."""
        shares = [0.0]
        if self.config.max_steps:
            shares.append(self.global_step / self.config.max_steps)
        for timer in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(timer, Timer) and timer.time_remaining() is not None:
                elapsed = timer.time_elapsed()
                shares.append(elapsed / (elapsed + (timer.time_remaining() or 0.0)))
        return max(shares)

    def learning_rate(self) -> float:
        """Rise, plateau, linear fall at the end (a plateau lets a later sitting go on from the checkpoint)."""
        rise = min((self.global_step + 1) / max(self.config.warmup_steps, 1), 1.0)
        fall = (1 - self.progress()) / max(self.config.cooldown_share, 1e-9)
        return self.config.lr * min(rise, max(min(fall, 1.0), 0.0))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.learning_rate()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # by hand: Lightning refuses to clip for fused optimisers, which need it no less (lightning#17796)
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        decay = [p for p in self.parameters() if p.ndim >= 2]
        plain = [p for p in self.parameters() if p.ndim < 2]
        groups = [
            {"params": decay, "weight_decay": self.config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.config.lr, betas=(0.9, 0.98), fused=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["n_tokens"] = self.n_tokens

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.n_tokens = checkpoint["n_tokens"]


class MaskedTexts(lightning.LightningDataModule):
    """Hands out batches from the step at which the trainer stands."""

    def __init__(self, batches: MaskedBatches) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        trainer = self.trainer
        if trainer is None:
            raise ConfigError("MaskedTexts is used by a Trainer; it has no batches of its own")
        rank, world, start = trainer.global_rank, trainer.world_size, trainer.global_step
        return DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(start * world + rank, len(self.batches), world),
            num_workers=self.batches.config.workers,
        )


def pretrain(config: PretrainConfig) -> Path:
    """Train an encoder on plain text and write it, with its tokenizer, to ``config.output``.

    Returns:
        The folder: ``config.json, model.safetensors, tokenizer.json, toxitrace.json``; name it in ``encoder.name``.

    Raises:
        DataError: a text file is missing or the corpus is shorter than one batch.
        ConfigError: a file in ``config.repeat`` is not among the texts.
    """
    output = Path(config.output)
    work = output / "logs"
    work.mkdir(parents=True, exist_ok=True)
    files = [path for path in corpus_files(config.texts) if config.repeat.get(stem(path), 1) > 0]
    unknown = set(config.repeat) - {stem(path) for path in corpus_files(config.texts)}
    if unknown:
        raise ConfigError(f"--repeat names {sorted(unknown)}, which are not among the texts")
    tokenizer = _tokenizer(config, files, work)
    streams = tuple(token_stream(path, tokenizer, work / "tokens") for path in files)
    blocks = TokenBlocks(
        streams, tuple(config.repeat.get(stem(p), 1) for p in files), config.sequence_tokens - 2, config.seed
    )
    if blocks.per_pass() < config.batch_size:
        raise DataError(f"the corpus gives {blocks.per_pass()} blocks; a batch needs {config.batch_size}")
    module = MaskedLM(config, tokenizer.vocab_size)
    last = work / "last.ckpt"
    trainer = lightning.Trainer(
        accelerator=config.device.accelerator,
        devices=config.device.devices,
        strategy=config.device.strategy,
        precision=resolve_precision(config.device.precision, config.device.accelerator),
        max_steps=config.max_steps or -1,
        max_epochs=-1,
        max_time=config.max_time,
        logger=CSVLogger(work, name="", version=""),
        log_every_n_steps=20,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        callbacks=[
            ModelCheckpoint(work, save_last=True, save_top_k=0, train_time_interval=timedelta(minutes=config.checkpoint_minutes)),
            *progress_callbacks(),
        ],
    )
    started = time.monotonic()
    batches = MaskedBatches(blocks, tokenizer, config, n_batches=(config.max_steps or 10**9) * trainer.world_size)
    trainer.fit(
        module,
        MaskedTexts(batches),
        ckpt_path=str(last) if config.resume and last.exists() else None,
        weights_only=False if config.resume else None,
    )
    trainer.save_checkpoint(last)
    settings = ModelSettings(
        max_tokens=config.sequence_tokens,
        fold=config.fold,
        training={"pretrain": asdict(config)},
        versions=package_versions(),
        notes={
            "pretraining": {
                "tokens": module.n_tokens * trainer.world_size,
                "steps": trainer.global_step,
                "blocks_per_pass": blocks.per_pass(),
                "last_mlm_loss": float(trainer.callback_metrics["mlm_loss"]),
                "sitting_seconds": round(time.monotonic() - started, 1),
            }
        },
    )
    if trainer.is_global_zero:
        kept = config.encoder.dropout
        module.model.config.update({"hidden_dropout_prob": kept, "attention_probs_dropout_prob": kept})
        save_encoder_folder(module.model, tokenizer.raw, settings, output)
    return output


def _tokenizer(config: PretrainConfig, files: list[Path], work: Path) -> TextTokenizer:
    """The tokenizer of an earlier sitting, or a new one from the texts."""
    path = work / TOKENIZER_FILE
    if not path.exists():
        tokenizer = build_char_tokenizer(
            all_passages(files), config.encoder.vocab_size, config.encoder.min_count, config.fold
        )
        tokenizer.save(str(path))
    return TextTokenizer.load(work, config.fold)
