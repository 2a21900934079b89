"""Supervised fine-tuning: items -> queries that annotators wrote, by trl, with adapters or of all weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toxitrace.explore.config import SFTSettings
from toxitrace.explore.extras import require
from toxitrace.explore.fitting import (
    CHECKPOINTS_FOLDER,
    FitReport,
    OnLog,
    finish,
    fit,
    fitting_rows,
    lora_config,
    training_options,
)
from toxitrace.explore.language_model import LanguageModel
from toxitrace.explore.training_rows import Demonstration, trl_rows


def train_sft(
    rows: Sequence[Demonstration],
    start: LanguageModel,
    output: str | os.PathLike[str],
    settings: SFTSettings | None = None,
    *,
    resume: bool = False,
    on_log: OnLog | None = None,
) -> FitReport:
    """Fine-tune a causal model on demonstrations; only the replies count in the loss.

    Args:
        rows: see `toxitrace.explore.training_rows.demonstrations`, in the model's style.
        start: any causal model; its weights are changed unless adapters are trained.
        output: gets the whole model, adapters merged, and those alone in its folder ``adapter``.
        settings: learning rate, epochs, adapters.
        resume: go on from the last checkpoint in ``output``.
        on_log: told the losses.

    Raises:
        DataError: no row, none that fits, or rows of another style than the model.
        ConfigError: ``output`` holds a checkpoint but ``resume`` is off.
        MissingExtraError: trl, peft or datasets is not installed.
    """
    require("trl", "datasets")
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    settings = settings or SFTSettings()
    kept, n_too_long = fitting_rows(trl_rows(rows, start.style), start, settings.max_tokens)
    work = Path(output) / CHECKPOINTS_FOLDER
    arguments = SFTConfig(
        **training_options(settings, work), max_length=settings.max_tokens, packing=False, completion_only_loss=True
    )
    trainer: Any = SFTTrainer(
        model=start.model,
        args=arguments,
        train_dataset=Dataset.from_list(kept),
        processing_class=start.tokenizer,
        peft_config=lora_config(settings.lora),
    )
    logs = fit(trainer, work, resume=resume, on_log=on_log)
    return finish(trainer, start, output, settings, kind="sft", logs=logs, n_rows=len(kept), n_too_long=n_too_long)
