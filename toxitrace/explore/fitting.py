"""What the three trainings share: trl's and transformers' arguments from ours, one log, resuming, the record."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import get_last_checkpoint

from toxitrace.errors import ConfigError, DataError
from toxitrace.explore.config import FitSettings, LoraSettings
from toxitrace.explore.extras import require
from toxitrace.explore.language_model import LanguageModel, save_language_model
from toxitrace.training.precision import resolve_precision
from toxitrace.versions import package_versions

OnLog = Callable[[Mapping[str, float]], None]
"""Told the losses as they are logged, with ``step`` and ``n_steps``."""

ADAPTER_FOLDER = "adapter"
CHECKPOINTS_FOLDER = "checkpoints"


@dataclass(frozen=True, slots=True)
class FitReport:
    """How a training went.

    Attributes:
        folder: holds the whole model, adapters merged; those alone are in its folder ``adapter``.
        n_rows: rows (blocks, for plain pre-training) that were trained on.
        n_too_long: rows left out because they are longer than ``max_tokens``.
        n_steps: optimiser steps.
        logs: one dict per log, with ``step``, ``loss`` and what the trainer measures.
    """

    folder: Path
    n_rows: int
    n_too_long: int
    n_steps: int
    logs: tuple[dict[str, float], ...]

    @property
    def losses(self) -> list[float]:
        """The logged losses in order."""
        return [log["loss"] for log in self.logs if "loss" in log]


def training_options(settings: FitSettings, work: Path) -> dict[str, Any]:
    """Keyword arguments for `transformers.TrainingArguments` and its kin."""
    bf16 = uses_bf16(settings)
    return {
        "output_dir": str(work),
        "learning_rate": settings.lr,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulate,
        "warmup_steps": settings.warmup_share,  # below 1: a share
        "lr_scheduler_type": "linear",
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.clip_norm,
        "bf16": bf16,
        "gradient_checkpointing": settings.recompute,
        "seed": settings.seed,
        "data_seed": settings.seed,
        # transformers refuses bf16 on a processor unless it is told that there is nothing else
        "use_cpu": settings.cpu or (bf16 and not torch.cuda.is_available()),
        "save_strategy": "steps" if settings.checkpoint_steps else "no",
        "save_steps": settings.checkpoint_steps or 500,
        "save_total_limit": 1,
        "logging_steps": settings.log_steps,
        "logging_first_step": True,
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_pin_memory": not settings.cpu and torch.cuda.is_available(),
    }


def uses_bf16(settings: FitSettings) -> bool:
    """Whether matrices are multiplied in bf16 on this machine."""
    return resolve_precision(settings.precision, "cpu" if settings.cpu else "auto") == "bf16-mixed"


def same_precision(settings: FitSettings) -> AbstractContextManager[Any]:
    """Autocast as in training, for forward passes outside of it."""
    if not uses_bf16(settings):
        return contextlib.nullcontext()
    device = "cuda" if torch.cuda.is_available() and not settings.cpu else "cpu"
    return torch.autocast(device, torch.bfloat16)


def lora_config(lora: LoraSettings | None) -> Any:
    """peft's form of our settings; None stays None: all weights are trained."""
    if lora is None:
        return None
    require("peft")
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
    )


class _Logs(TrainerCallback):
    def __init__(self, on_log: OnLog | None) -> None:
        self._on_log = on_log

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        if self._on_log and logs:
            self._on_log({**_numbers(logs), "step": state.global_step, "n_steps": state.max_steps})


def fit(trainer: Trainer, work: Path, *, resume: bool, on_log: OnLog | None = None) -> tuple[dict[str, float], ...]:
    """Train; returns the logs of all sittings.

    Args:
        trainer: ready to start.
        work: where its checkpoints are.
        resume: go on from the last one, if there is one.
        on_log: for progress on a screen.

    Raises:
        ConfigError: there are checkpoints but ``resume`` is off.
    """
    trainer.remove_callback(PrinterCallback)  # prints to stdout, which is for data
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(_Logs(on_log))
    last = get_last_checkpoint(str(work)) if work.is_dir() else None
    if last is not None and not resume:
        raise ConfigError(
            f"{work} holds a checkpoint of an earlier training; expected an empty folder: resume it, or remove it"
        )
    trainer.train(resume_from_checkpoint=last)
    return tuple(_numbers(log) for log in trainer.state.log_history)


def finish(
    trainer: Trainer,
    language_model: LanguageModel,
    folder: str | os.PathLike[str],
    settings: FitSettings,
    *,
    kind: str,
    logs: tuple[dict[str, float], ...],
    n_rows: int,
    n_too_long: int = 0,
) -> FitReport:
    """Write the trained model, adapters beside it and merged into it, with the record of its making."""
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    is_adapted = getattr(settings, "lora", None) is not None
    if is_adapted:
        model.save_pretrained(str(Path(folder) / ADAPTER_FOLDER))
        language_model.tokenizer.save_pretrained(str(Path(folder) / ADAPTER_FOLDER))
        model = model.merge_and_unload()
    report = FitReport(Path(folder), n_rows, n_too_long, trainer.state.global_step, logs)
    record = {
        "kind": kind,
        "settings": asdict(settings),
        "n_rows": n_rows,
        "n_too_long": n_too_long,
        "n_steps": report.n_steps,
        "logs": list(logs),
        "versions": package_versions(),
    }
    model.config.use_cache = True
    save_language_model(LanguageModel(_plain(model), language_model.tokenizer), folder, record)
    return report


def fitting_rows(
    rows: Sequence[dict[str, Any]], language_model: LanguageModel, max_tokens: int
) -> tuple[list[dict[str, Any]], int]:
    """The rows, in trl's form, whose prompt and longest reply fit into ``max_tokens``, and how many do not.

    trl would cut them, and a reply that is cut teaches to stop anywhere.

    Raises:
        DataError: none fits.
    """
    kept = [row for row in rows if _n_tokens(row, language_model) <= max_tokens]
    if not kept:
        raise DataError(
            f"none of {len(rows)} rows fits into {max_tokens} tokens; expected prompts with their replies below that: "
            "raise max_tokens, or show less of the items"
        )
    return kept, len(rows) - len(kept)


def _n_tokens(row: dict[str, Any], language_model: LanguageModel) -> int:
    tokenizer: Any = language_model.tokenizer
    replies = [value for name, value in row.items() if name != "prompt"]
    if isinstance(row["prompt"], str):
        return len(tokenizer(row["prompt"])["input_ids"]) + max(len(tokenizer(r)["input_ids"]) for r in replies) + 1
    return max(
        len(tokenizer.apply_chat_template(row["prompt"] + reply, tokenize=True, return_dict=True)["input_ids"])
        for reply in replies
    )


def _plain(model: Any) -> PreTrainedModel:
    """The model without the forward that trl patched in (it is an attribute of the instance)."""
    model.__dict__.pop("forward", None)
    fitted: PreTrainedModel = model.eval()
    return fitted


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
