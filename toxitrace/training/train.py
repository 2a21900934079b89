"""Labelled texts -> a model folder: one run per seed, resumable, the best dev macro-F1 kept."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from toxitrace.config import TrainConfig
from toxitrace.data.load import LabelledData, load_labelled
from toxitrace.data.module import TraceData
from toxitrace.data.prepare import Preparation, prepare_rows
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.folder import new_classifier, save_classifier
from toxitrace.errors import DataError, ModelError
from toxitrace.settings import SETTINGS_FILE, ModelSettings
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.training.module import SELECTION, TraceModule
from toxitrace.training.precision import resolve_precision
from toxitrace.training.progress import announce, progress_callbacks
from toxitrace.versions import package_versions

LAST_CHECKPOINT = "last.ckpt"


def train(config: TrainConfig) -> list[Path]:
    """Train one model per seed.

    Returns:
        The model folders: ``config.output`` for one seed, ``config.output/seed-N`` for several.

    Raises:
        ConfigError, DataError, ModelError: before anything is written.
    """
    folders = []
    for seed in config.seeds:
        folder = Path(config.output) if len(config.seeds) == 1 else Path(config.output) / f"seed-{seed}"
        if config.resume and (folder / SETTINGS_FILE).is_file():
            announce(f"seed {seed}: {folder} is complete; nothing to do")
        else:
            train_one(config, load_labelled(config.data, seed), folder, seed)
        folders.append(folder)
    if len(folders) > 1:
        _write_summary(folders, Path(config.output) / "summary.json")
    return folders


def train_one(config: TrainConfig, data: LabelledData, folder: Path, seed: int) -> Path:
    """Train a model on loaded data and write it to ``folder``.

    Args:
        data: as `load_labelled` gives it.
        folder: receives the model; checkpoints and logs go to its ``logs``.
        seed: of initial weights, batch order and dropout.
    """
    lightning.seed_everything(seed, verbose=False)
    scratch = None
    if config.encoder.name is None:
        size = config.encoder.scratch
        scratch = build_char_tokenizer(
            (example.text for example in data.train), size.vocab_size, size.min_count, config.encoder.fold
        )
    classifier, raw = new_classifier(config.encoder, scratch)
    tokenizer = TextTokenizer(raw, config.encoder.fold)
    doubtful = config.data.doubtful_label if config.data.soften_doubtful else None
    rows, counts = prepare_rows(
        data.train,
        tokenizer,
        max_tokens=config.encoder.max_tokens,
        doubtful_label=doubtful,
        rationales=data.rationales,
    )
    _require_two_classes(counts)
    dev, _ = prepare_rows(data.dev, tokenizer, max_tokens=config.encoder.max_tokens)
    announce(
        f"seed {seed}: {counts.rows} training texts, {counts.positive} toxic, {counts.supervised} with spans, "
        f"{counts.with_rationales} with rationales, {counts.doubtful} doubtful, {counts.truncated} cut; "
        f"{len(dev)} development texts"
    )
    module = TraceModule(classifier, config, seed)
    source = TraceData(
        rows,
        dev,
        pad_id=tokenizer.pad_id,
        batch_size=config.data.batch_size,
        seed=seed,
        workers=config.data.workers,
        accumulate=config.optim.accumulate,
    )
    logs = folder / "logs"
    last = logs / LAST_CHECKPOINT
    if not config.resume:
        # a checkpoint of an earlier run must not be mistaken for this one's, should this one die at once
        last.unlink(missing_ok=True)
    best = ModelCheckpoint(
        logs, filename="best", monitor=SELECTION, mode="max", save_weights_only=True, enable_version_counter=False
    )
    trainer = _trainer(config, logs, [best] if dev else [], has_dev=bool(dev))
    resume_from = _readable(last) if config.resume and last.exists() else None
    trainer.fit(module, source, ckpt_path=resume_from, weights_only=True if resume_from else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if dev and best.best_model_path:
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)
    if trainer.is_global_zero:
        settings = ModelSettings(
            max_tokens=config.encoder.max_tokens,
            saliency=config.loss.saliency,
            fold=config.encoder.fold,
            training={**asdict(config), "seed": seed},
            data_sha256=data.sha256,
            versions=package_versions(),
            notes={"rows": asdict(counts), **_scores(best, trainer)},
        )
        save_classifier(classifier, raw, settings, folder)
    trainer.strategy.barrier()
    return folder


def _trainer(
    config: TrainConfig, logs: Path, selection: list[ModelCheckpoint], *, has_dev: bool
) -> lightning.Trainer:
    schedule = config.schedule
    minutes = timedelta(minutes=schedule.checkpoint_minutes)
    callbacks: list[Callback] = [
        *progress_callbacks(),
        *selection,
        ModelCheckpoint(
            logs, save_last=True, save_top_k=0, train_time_interval=minutes, enable_version_counter=False
        ),
        ModelCheckpoint(
            logs,
            save_last=True,
            save_top_k=0,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
    ]
    if has_dev and schedule.patience:
        callbacks.append(
            EarlyStopping(
                SELECTION, mode="max", patience=schedule.patience + schedule.warmup_epochs, check_on_train_epoch_end=False
            )
        )
    loggers: list[Logger] = [CSVLogger(logs, name="", version="")]
    if config.tensorboard:
        loggers.append(TensorBoardLogger(logs, name="", version=""))
    device = config.device
    return lightning.Trainer(
        accelerator=device.accelerator,
        devices=device.devices,
        strategy=device.strategy,
        precision=resolve_precision(device.precision, device.accelerator),
        max_epochs=schedule.warmup_epochs + schedule.joint_epochs,
        max_time=schedule.max_time,
        accumulate_grad_batches=config.optim.accumulate,
        logger=loggers,
        log_every_n_steps=20,
        use_distributed_sampler=False,  # EpochBatches shards by itself
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False if not any(map(_is_bar, callbacks)) else None,
        callbacks=callbacks,
    )


def _is_bar(callback: Callback) -> bool:
    from lightning.pytorch.callbacks import ProgressBar

    return isinstance(callback, ProgressBar)


def _readable(checkpoint: Path) -> str:
    """The checkpoint's path, once it is known to be whole.

    Raises:
        ModelError: it is cut short or no checkpoint.
    """
    try:
        torch.load(checkpoint, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # zip, pickle and torch errors have no common base
        raise ModelError(
            f"checkpoint {checkpoint} cannot be read ({type(error).__name__}); delete it to train from the start"
        ) from error
    return str(checkpoint)


def _require_two_classes(counts: Preparation) -> None:
    if counts.positive in (0, counts.rows):
        kind = "toxic" if counts.positive else "non-toxic"
        raise DataError(f"all {counts.rows} training texts are {kind}; a classifier needs both kinds")


def _scores(best: ModelCheckpoint, trainer: lightning.Trainer) -> dict[str, Any]:
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    score = best.best_model_score
    return {
        "dev_macro_f1": float(score) if score is not None else None,
        "last_epoch": {name: round(value, 6) for name, value in metrics.items() if name != SELECTION},
        "steps": trainer.global_step,
    }


def _write_summary(folders: list[Path], path: Path) -> None:
    """Mean and spread of the dev score over seeds."""
    scores = {}
    for folder in folders:
        notes = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))["notes"]
        scores[folder.name] = notes["dev_macro_f1"]
    known = [score for score in scores.values() if score is not None]
    summary = {
        "dev_macro_f1": scores,
        "mean": statistics.fmean(known) if known else None,
        "standard_deviation": statistics.stdev(known) if len(known) > 1 else None,
    }
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
