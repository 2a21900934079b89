"""When training ends early: no better model comes any more, or somebody interrupts it."""

from __future__ import annotations

import signal
import sys

import lightning
from lightning.pytorch.callbacks import EarlyStopping

from toxitrace.training.module import SELECTION, TraceModule

_INTERRUPTED = 130


class EarlyStop(EarlyStopping):
    """Stops after ``patience`` epochs without a better development score, counting selectable epochs only."""

    def __init__(self, patience: int) -> None:
        super().__init__(SELECTION, mode="max", patience=patience, check_on_train_epoch_end=False)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if isinstance(pl_module, TraceModule) and pl_module.selectable:
            super().on_validation_end(trainer, pl_module)


def fit(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    checkpoint: str | None = None,
) -> None:
    """``trainer.fit``, from ``checkpoint`` on if there is one.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM, which Lightning would turn into the exit of the program.
    """
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning leaves it ignored
        if not trainer.is_global_zero:
            sys.exit(_INTERRUPTED)  # the first process speaks for all
        raise KeyboardInterrupt from None
