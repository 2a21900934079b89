"""Masked-LM pre-training of a scratch encoder: packed blocks, span masking, resumable, CPU or GPU."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from toxitrace.config import PretrainConfig
from toxitrace.data.hashing import sha256_file
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.folder import load_masked_lm, save_encoder_folder
from toxitrace.encoder.ngrams import ngram_tables
from toxitrace.encoder.scratch import fresh_masked_lm, scratch_config
from toxitrace.errors import ConfigError, DataError
from toxitrace.settings import ModelSettings
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.training.checkpoints import LAST_CHECKPOINT, LastCheckpoint, begin_logs, resumable
from toxitrace.training.corpus import TokenBlocks, all_passages, corpus_files, stem, token_stream
from toxitrace.training.device import build_trainer
from toxitrace.training.masked_batches import MaskedBatches, MaskedTexts
from toxitrace.training.optimizer import MixedOptimizer
from toxitrace.training.progress import announce, is_first_process, progress_callbacks
from toxitrace.training.stopping import fit
from toxitrace.versions import package_versions

TOKENIZER_FILE = "tokenizer.json"


class MaskedLM(lightning.LightningModule):
    """BERT with its masked-LM head; logits are computed for the masked tokens only."""

    def __init__(self, config: PretrainConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.model = fresh_masked_lm(scratch_config(replace(config.encoder, dropout=config.dropout), vocab_size))
        # not a submodule of its own: its weights are the model's, and the checkpoint holds them once
        self._encode = [torch.compile(self.model.bert, dynamic=False) if config.compile else self.model.bert]
        self.n_tokens = 0

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        # dropout: the same after a resume, another in every process
        torch.manual_seed(hash((self.config.seed, self.global_step, self.global_rank)) % 2**63)
        # on CPUs the plain attention is faster than the fused one for short bf16 blocks, backward included
        kernels = [SDPBackend.MATH] if self.device.type == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
        with sdpa_kernel(kernels):
            hidden = self._encode[0](input_ids=batch["input_ids"]).last_hidden_state  # (B, T, D)
        picked = batch["targets"] >= 0  # (B, T)
        logits = self.model.cls(hidden[picked])  # (M, V)
        summed = nn.functional.cross_entropy(logits.float(), batch["targets"][picked], reduction="sum")
        loss = summed / picked.sum().clamp_min(1)  # a tiny batch may have nothing to predict
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
        hidden = [p for p in self.model.bert.encoder.parameters() if p.ndim == 2]
        tables = ngram_tables(self.model)
        known = {id(p) for p in (*hidden, *tables)}
        others = [p for p in self.parameters() if id(p) not in known]
        return MixedOptimizer(hidden, others, tables, self.config.lr, self.config.weight_decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["n_tokens"] = self.n_tokens

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.n_tokens = checkpoint["n_tokens"]


def pretrain(config: PretrainConfig) -> Path:
    """Train an encoder on plain text and write it, with its tokenizer, to ``config.output``.

    Returns:
        The folder: ``config.json, model.safetensors, tokenizer.json, toxitrace.json``; name it in ``encoder.name``.

    Raises:
        DataError: a text file is missing or the corpus is shorter than one batch.
        ConfigError: a file in ``config.repeat`` is not among the texts; a checkpoint has other settings.
        ModelError: the checkpoint to go on from is damaged, or ``config.start`` is of another size.
        KeyboardInterrupt: the user or the system stopped it; ``resume`` goes on from the last checkpoint.
    """
    named = corpus_files(config.texts)
    unknown = set(config.repeat) - {stem(path) for path in named}
    if unknown:
        raise ConfigError(f"--repeat names {sorted(unknown)}, which are not among the texts")
    files = [path for path in named if config.repeat.get(stem(path), 1) > 0]
    if not files:
        raise DataError("--repeat leaves every text out; nothing to train on")
    output = Path(config.output)
    work = output / "logs"
    recipe = _recipe(config)
    last = LastCheckpoint(work / LAST_CHECKPOINT, config.checkpoint_minutes, recipe)
    trainer = _trainer(config, work, last)
    resume_from = resumable(last.path, recipe) if config.resume and last.path.exists() else None
    if is_first_process():
        begin_logs(work, resume=config.resume)
    tokenizer = _tokenizer(config, files, work, fresh=resume_from is None and is_first_process())
    streams = tuple(token_stream(path, tokenizer, work / "tokens") for path in files)
    blocks = TokenBlocks(
        streams, tuple(config.repeat.get(stem(p), 1) for p in files), config.sequence_tokens - 2, config.seed
    )
    if blocks.per_pass() < config.batch_size:
        raise DataError(
            f"the corpus gives {blocks.per_pass()} blocks of {config.sequence_tokens} tokens; a batch needs "
            f"{config.batch_size}: add texts or lower --batch_size"
        )
    lightning.seed_everything(config.seed, verbose=False)  # the initial weights
    module = MaskedLM(config, tokenizer.vocab_size)
    if config.start is not None and resume_from is None:
        module.n_tokens = load_masked_lm(module.model, config.start)
    announce(f"{len(files)} files, {blocks.per_pass()} blocks of {config.sequence_tokens} tokens per pass")
    started = time.monotonic()
    fit(trainer, module, MaskedTexts(MaskedBatches(blocks, tokenizer, config)), resume_from)
    trainer.save_checkpoint(last.path, weights_only=False)
    if trainer.is_global_zero:
        loss = trainer.callback_metrics.get("mlm_loss")
        settings = ModelSettings(
            max_tokens=config.sequence_tokens,
            fold=config.fold,
            training={"pretrain": asdict(config)},
            data_sha256={str(path): sha256_file(path) for path in files},
            versions=package_versions(),
            notes={
                "pretraining": {
                    "tokens": module.n_tokens * trainer.world_size,
                    "steps": trainer.global_step,
                    "blocks_per_pass": blocks.per_pass(),
                    "last_mlm_loss": None if loss is None else float(loss),
                    "sitting_seconds": round(time.monotonic() - started, 1),
                }
            },
        )
        kept = config.encoder.dropout
        module.model.config.update({"hidden_dropout_prob": kept, "attention_probs_dropout_prob": kept})
        save_encoder_folder(module.model, tokenizer.raw, settings, output)
    trainer.strategy.barrier()
    return output


def _trainer(config: PretrainConfig, work: Path, last: LastCheckpoint) -> lightning.Trainer:
    return build_trainer(
        config.device,
        [*progress_callbacks(), last],
        max_steps=config.max_steps or -1,
        max_epochs=-1,
        max_time=config.max_time,
        logger=CSVLogger(work, name="", version=""),
    )


def _recipe(config: PretrainConfig) -> dict[str, Any]:
    """The settings that a later sitting has to keep; how long it goes on is its own choice."""
    kept = asdict(config)
    for name in (
        "output",
        "texts",
        "max_steps",
        "max_time",
        "checkpoint_minutes",
        "workers",
        "compile",
        "device",
        "resume",
    ):
        del kept[name]
    return kept


def _tokenizer(config: PretrainConfig, files: list[Path], work: Path, *, fresh: bool) -> TextTokenizer:
    """A new tokenizer from the texts, or the one of an earlier sitting or of the folder to start from."""
    path = work / TOKENIZER_FILE
    if config.start is not None and (fresh or not path.exists()):
        TextTokenizer.load(config.start, config.fold).raw.save(str(path))
    elif fresh or not path.exists():
        tokenizer = build_char_tokenizer(
            all_passages(files), config.encoder.vocab_size, config.encoder.min_count, config.fold
        )
        tokenizer.save(str(path))
    return TextTokenizer.load(work, config.fold)
