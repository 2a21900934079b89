"""Plain next-token training of a small model on item texts, packed into blocks, resumable by its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, set_seed

from toxitrace.errors import DataError
from toxitrace.explore.config import PretrainLMSettings
from toxitrace.explore.fitting import CHECKPOINTS_FOLDER, FitReport, OnLog, finish, fit, training_options
from toxitrace.explore.language_model import LanguageModel
from toxitrace.explore.prompts import clean


class Blocks(Dataset[dict[str, Tensor]]):
    """Texts one after the other, an end token behind each, cut into blocks of equal length; the rest is left out."""

    def __init__(self, texts: Iterable[str], language_model: LanguageModel, block_tokens: int) -> None:
        tokenizer = language_model.tokenizer
        end = np.array([tokenizer.eos_token_id], np.uint32)
        parts: list[npt.NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
        for text in texts:
            if cleaned := clean(text):
                parts += [np.array(tokenizer(cleaned)["input_ids"], np.uint32), end]
        stream = np.concatenate(parts)
        self._blocks = stream[: len(stream) // block_tokens * block_tokens].reshape(-1, block_tokens)

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        ids = torch.from_numpy(self._blocks[row].astype(np.int64))  # (T,)
        return {"input_ids": ids, "labels": ids}


def pretrain_language_model(
    texts: Iterable[str],
    start: LanguageModel,
    output: str | os.PathLike[str],
    settings: PretrainLMSettings | None = None,
    *,
    resume: bool = False,
    on_log: OnLog | None = None,
) -> FitReport:
    """Teach a causal model the texts of the platform, so that SFT has a language to start from.

    Args:
        texts: read once, in an order that must not change between sittings.
        start: usually `toxitrace.explore.small_lm.new_small_lm`; its weights are changed.
        output: gets the model, and checkpoints while it is trained.
        settings: learning rate, passes, block length.
        resume: go on from the last checkpoint in ``output``.
        on_log: told the losses.

    Raises:
        DataError: the texts do not fill one batch.
        ConfigError: ``output`` holds a checkpoint but ``resume`` is off.
    """
    settings = settings or PretrainLMSettings()
    blocks = Blocks(texts, start, settings.max_tokens)
    if len(blocks) < settings.batch_size:
        raise DataError(
            f"the texts fill {len(blocks)} blocks of {settings.max_tokens} tokens; a batch needs "
            f"{settings.batch_size}: add texts, or lower batch_size or max_tokens"
        )
    work = Path(output) / CHECKPOINTS_FOLDER
    set_seed(settings.seed)
    arguments = TrainingArguments(**training_options(settings, work))
    trainer = Trainer(model=start.model, args=arguments, train_dataset=blocks, data_collator=_stacked)
    logs = fit(trainer, work, resume=resume, on_log=on_log)
    return finish(trainer, start, output, settings, kind="pretrain", logs=logs, n_rows=len(blocks))


def _stacked(rows: list[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}  # (T,) each -> (B, T)
