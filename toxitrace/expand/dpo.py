"""DPO of the model that writes expansions, through the trainer of ``explore`` (trl and peft): nothing twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from toxitrace.data.rowfile import read_rows
from toxitrace.errors import DataError
from toxitrace.expand.preferences import Preference
from toxitrace.explore.config import DPOSettings
from toxitrace.explore.dpo import dpo_trainer
from toxitrace.explore.fitting import CHECKPOINTS_FOLDER, FitReport, OnLog, finish, fit, fitting_rows
from toxitrace.explore.language_model import load_language_model


def train_expansion_dpo(
    pairs: Sequence[Preference],
    lm: str,
    output: str | os.PathLike[str],
    settings: DPOSettings,
    *,
    resume: bool = False,
    on_log: OnLog | None = None,
) -> FitReport:
    """Train and merge; prompts go in exactly as they were asked, chat template included.

    Args:
        lm: folder or hub name; the model is its own reference.
        output: gets the whole model, and its adapters alone in ``adapter``.

    Raises:
        DataError: there are no pairs, or none fits into ``settings.max_tokens``.
        ConfigError: ``output`` holds a checkpoint but ``resume`` is off.
        ModelError, MissingExtraError: the model cannot be loaded, or trl, peft or datasets is not installed.
    """
    if not pairs:
        raise DataError("there are no preference pairs; expected one or more: is the gate above all similarities?")
    start = load_language_model(lm)
    rows = [{"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs]
    kept, n_too_long = fitting_rows(rows, start, settings.max_tokens)
    work = Path(output) / CHECKPOINTS_FOLDER
    trainer = dpo_trainer(kept, start, work, settings)
    logs = fit(trainer, work, resume=resume, on_log=on_log)
    return finish(
        trainer, start, output, settings, kind="expansion-dpo", logs=logs, n_rows=len(kept), n_too_long=n_too_long
    )


def read_pairs(path: str | os.PathLike[str]) -> list[Preference]:
    """Read ``{"id", "prompt", "chosen", "rejected", "reward_chosen", "reward_rejected"}`` rows.

    Raises:
        DataError: a row is no pair.
    """
    pairs = []
    for id, row in read_rows(path).items():
        try:
            pairs.append(Preference(**{name: row[name] for name in Preference.__slots__}))
        except (KeyError, TypeError):
            raise DataError(
                f"{path}: the row of {id!r} is not a pair; expected what `toxitrace expand preferences` wrote"
            ) from None
    return pairs
