"""Labelled texts -> a model folder: one run per seed, resumable, the best dev macro-F1 kept."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from toxitrace.config import TrainConfig
from toxitrace.data.load import LabelledData, load_labelled
from toxitrace.data.module import TraceData
from toxitrace.data.prepare import Preparation, prepare_rows
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.folder import new_classifier, save_classifier
from toxitrace.errors import DataError
from toxitrace.settings import SETTINGS_FILE, ModelSettings, load_settings
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.text.words import WORDS_FILE
from toxitrace.training.checkpoints import LAST_CHECKPOINT, LastCheckpoint, begin_logs, resumable
from toxitrace.training.device import build_trainer
from toxitrace.training.module import SELECTION, TraceModule
from toxitrace.training.progress import announce, is_first_process, progress_callbacks
from toxitrace.training.stopping import EarlyStop, fit
from toxitrace.training.warm_up import WARM_UP_FOLDER, KeepWarmUp
from toxitrace.versions import package_versions

# in the logs from the first step until the model is written: tells an unfinished run from the model of an earlier one
UNFINISHED = "unfinished"
_FIRST_WEIGHTS = 0.15
"""Share of the first weights in an average from which on it is worth a word."""
# what may change when a run is resumed; the data are compared by their hashes
_MAY_CHANGE = {
    "": ("output", "seeds", "device", "resume", "tensorboard"),
    "data": ("train", "dev", "spans", "rationales", "teacher", "unlabelled", "workers"),
    "schedule": ("checkpoint_minutes", "max_time", "keep_warmup"),
}


def train(config: TrainConfig) -> list[Path]:
    """Train one model per seed.

    Returns:
        The model folders: ``config.output`` for one seed, ``config.output/seed-N`` for several.

    Raises:
        ConfigError, DataError, ModelError: before anything is written.
        KeyboardInterrupt: the user or the system stopped it; ``resume`` goes on from the last checkpoint.
    """
    folders = []
    for seed in config.seeds:
        folder = Path(config.output) if len(config.seeds) == 1 else Path(config.output) / f"seed-{seed}"
        if config.resume and (folder / SETTINGS_FILE).is_file() and not (folder / "logs" / UNFINISHED).exists():
            announce(f"seed {seed}: {folder} is complete; nothing to do")
        else:
            train_one(config, load_labelled(config.data, seed), folder, seed)
        folders.append(folder)
    if len(folders) > 1 and is_first_process():
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
        teacher=data.teacher,
        teacher_weight=config.data.teacher_weight,
    )
    _require_two_classes(counts)
    dev, _ = prepare_rows(data.dev, tokenizer, max_tokens=config.encoder.max_tokens)
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
    recipe = _recipe(config, data, seed)
    last = LastCheckpoint(logs / LAST_CHECKPOINT, config.schedule.checkpoint_minutes, recipe)
    best = ModelCheckpoint(
        logs,
        filename="best",
        monitor=SELECTION,
        mode="max",
        save_weights_only=not config.optim.ema_decay,  # callbacks, and so the average, have no say in weights alone
        enable_version_counter=False,
    )

    begun = _begun_with(config.encoder.name)

    def write(target: Path, notes: dict[str, Any]) -> None:
        settings = ModelSettings(
            # spans stay cut from what they were cut from
            ngram_evidence=begun.ngram_evidence,
            word_share=begun.word_share,
            max_tokens=config.encoder.max_tokens,
            saliency=config.loss.saliency,
            fold=config.encoder.fold,
            training={**asdict(config), "seed": seed},
            data_sha256=data.sha256,
            versions=package_versions(),
            notes={"rows": asdict(counts), **notes},
        )
        if config.encoder.name is not None and settings.word_share:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(config.encoder.name) / WORDS_FILE, target / WORDS_FILE)
        save_classifier(classifier, raw, settings, target)

    # Lightning keeps this order: a checkpoint must know which model was the best of its epoch
    callbacks: list[Callback] = [best, last] if dev else [last]
    if config.schedule.keep_warmup:
        warmup = folder / WARM_UP_FOLDER
        callbacks.insert(0, KeepWarmUp(config.schedule.warmup_epochs, lambda steps: write(warmup, {"steps": steps})))
    trainer = _trainer(config, logs, callbacks, has_dev=bool(dev))
    resume_from = resumable(last.path, recipe) if config.resume and last.path.exists() else None
    announce(
        f"seed {seed}: {counts.rows} training texts, {counts.positive} toxic, {counts.supervised} with spans, "
        f"{counts.with_rationales} with rationales, {counts.doubtful} doubtful, {counts.truncated} cut; "
        f"{len(dev)} development texts; {data.unmatched} annotations of other texts"
    )
    _tell_short_average(config, counts.rows)
    if is_first_process():
        begin_logs(logs, resume=config.resume)
        (logs / UNFINISHED).touch()
    fit(trainer, module, source, resume_from)
    if best.best_model_score is not None and best.best_model_score >= 0:
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)
    if trainer.is_global_zero:
        write(folder, _scores(best, trainer))
        (logs / UNFINISHED).unlink(missing_ok=True)
    trainer.strategy.barrier()
    return folder


def _trainer(config: TrainConfig, logs: Path, checkpoints: Sequence[Callback], *, has_dev: bool) -> lightning.Trainer:
    schedule = config.schedule
    callbacks = [*progress_callbacks(), *checkpoints]
    if config.optim.ema_decay:
        # integer buffers have no average
        callbacks.append(EMAWeightAveraging(use_buffers=False, decay=config.optim.ema_decay))
    if has_dev and schedule.patience:
        callbacks.append(EarlyStop(schedule.patience))
    loggers: list[Logger] = [CSVLogger(logs, name="", version="")]
    if config.tensorboard:
        loggers.append(TensorBoardLogger(logs, name="", version=""))
    return build_trainer(
        config.device,
        callbacks,
        max_epochs=schedule.warmup_epochs + schedule.joint_epochs,
        max_time=schedule.max_time,
        accumulate_grad_batches=config.optim.accumulate,
        logger=loggers,
        num_sanity_val_steps=0,
    )


def _begun_with(start: str | None) -> ModelSettings:
    """Settings of the model folder that the training goes on from; a fresh model's for the hub and from scratch."""
    return load_settings(start) if start is not None and (Path(start) / SETTINGS_FILE).is_file() else ModelSettings()


def _recipe(config: TrainConfig, data: LabelledData, seed: int) -> dict[str, Any]:
    """What makes the result: settings that count, data, seed."""
    recipe: dict[str, Any] = {**asdict(config), "seed": seed, "data_sha256": sorted(data.sha256.values())}
    for section, names in _MAY_CHANGE.items():
        for name in names:
            del (recipe[section] if section else recipe)[name]
    return recipe


def _require_two_classes(counts: Preparation) -> None:
    if counts.positive in (0, counts.rows):
        kind = "toxic" if counts.positive else "non-toxic"
        raise DataError(f"all {counts.rows} training texts are {kind}; a classifier needs both kinds")


def _tell_short_average(config: TrainConfig, n_rows: int) -> None:
    """Say so where the average of the weights reaches back to the start."""
    decay, schedule = config.optim.ema_decay, config.schedule
    per_epoch = math.ceil(n_rows / config.data.batch_size / config.optim.accumulate)
    left = decay ** (per_epoch * (schedule.warmup_epochs + schedule.joint_epochs)) if decay else 0.0
    if left > _FIRST_WEIGHTS:
        announce(
            f"optim.ema_decay {decay} averages over some {1 / (1 - decay):,.0f} steps: {left:.0%} of what this "
            "training writes is the weights it begins with; a smaller decay forgets them, 0 takes the last weights"
        )


def _scores(best: ModelCheckpoint, trainer: lightning.Trainer) -> dict[str, Any]:
    """The written model's development score, and what the last epoch measured."""
    metrics = {name: round(float(value), 6) for name, value in trainer.callback_metrics.items() if name != SELECTION}
    chosen = best.best_model_score
    return {
        "dev_macro_f1": float(chosen) if chosen is not None and chosen >= 0 else metrics.get("dev_macro_f1"),
        "last_epoch": metrics,
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
