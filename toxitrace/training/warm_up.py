"""The model as it is when cross-entropy alone has had its epochs: to compare with, to average with, to go on from."""

from __future__ import annotations

from collections.abc import Callable

import lightning
from lightning.pytorch.callbacks import Callback

WARM_UP_FOLDER = "warm-up"


class KeepWarmUp(Callback):
    """Calls ``write`` once, after the last warm-up epoch, with the weights trained so far and not their average.

    Args:
        epochs: of the warm-up.
        write: writes the model; told the optimiser steps so far.
    """

    def __init__(self, epochs: int, write: Callable[[int], None]) -> None:
        self._epochs, self._write = epochs, write

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch + 1 == self._epochs and trainer.is_global_zero:
            self._write(trainer.global_step)
