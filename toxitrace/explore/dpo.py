"""Direct preference optimisation: queries that found toxic items over those that did not, by trl."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toxitrace.explore.config import DPOSettings
from toxitrace.explore.extras import require
from toxitrace.explore.fitting import (
    CHECKPOINTS_FOLDER,
    FitReport,
    OnLog,
    finish,
    fit,
    fitting_rows,
    lora_config,
    same_precision,
    training_options,
)
from toxitrace.explore.language_model import LanguageModel
from toxitrace.explore.preferences import Preference
from toxitrace.explore.training_rows import trl_rows


def train_dpo(
    rows: Sequence[Preference],
    start: LanguageModel,
    output: str | os.PathLike[str],
    settings: DPOSettings | None = None,
    *,
    resume: bool = False,
    on_log: OnLog | None = None,
) -> FitReport:
    """Teach a model which of two replies finds more; the model it starts from is the reference.

    The logs hold ``rewards/margins`` (chosen minus rejected, times β), ``rewards/accuracies`` and ``logps/chosen``: if
    the last one falls far, raise ``sft_weight``.

    Args:
        rows: pairs in the model's style.
        start: the SFT model; its weights are changed unless adapters are trained.
        output: gets the whole model, adapters merged, and those alone in its folder ``adapter``.
        settings: β, learning rate, SFT term, adapters.
        resume: go on from the last checkpoint in ``output``; ``start`` has to be the same model again.
        on_log: told the losses.

    Raises:
        DataError: no pair, none that fits, or pairs of another style than the model.
        ConfigError: ``output`` holds a checkpoint but ``resume`` is off.
        MissingExtraError: trl, peft or datasets is not installed.
    """
    settings = settings or DPOSettings()
    kept, n_too_long = fitting_rows(trl_rows(rows, start.style), start, settings.max_tokens)
    work = Path(output) / CHECKPOINTS_FOLDER
    trainer = dpo_trainer(kept, start, work, settings)
    logs = fit(trainer, work, resume=resume, on_log=on_log)
    return finish(trainer, start, output, settings, kind="dpo", logs=logs, n_rows=len(kept), n_too_long=n_too_long)


def dpo_trainer(rows: Sequence[dict[str, Any]], start: LanguageModel, work: Path, settings: DPOSettings) -> Any:
    """trl's trainer for rows in its form; the reference's log-probabilities are computed here, once for all epochs."""
    require("trl", "datasets")
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    losses, weights = ["sigmoid"], [1.0]
    if settings.sft_weight > 0:
        losses, weights = ["sigmoid", "sft"], [1.0, settings.sft_weight]
    arguments = DPOConfig(
        **training_options(settings, work),
        beta=settings.beta,
        loss_type=losses,
        loss_weights=weights,
        max_length=settings.max_tokens,
        precompute_ref_log_probs=True,
    )
    # The reference in the precision of the training: in another, the first margins would be rounding errors.
    with same_precision(settings):
        return DPOTrainer(
            model=start.model,
            args=arguments,
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=start.tokenizer,
            peft_config=lora_config(settings.lora),
        )
