"""Progress of long training: a bar on a terminal, plain lines on stderr elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.utilities import rank_zero_only


class LineProgress(Callback):
    """Prints a line after every epoch, and one every ``every_seconds`` with the rate, for logs that are no terminal."""

    def __init__(self, every_seconds: float = 30.0) -> None:
        self.every_seconds = every_seconds
        self._last_seconds = 0.0
        self._last_step = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._last_seconds, self._last_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self._last_seconds < self.every_seconds or trainer.is_last_batch:
            return
        rate = (trainer.global_step - self._last_step) / (now - self._last_seconds)
        self._last_seconds, self._last_step = now, trainer.global_step
        announce(f"{_place(trainer)}: {rate:.2f} steps/s {_metrics(trainer)}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        announce(f"{_place(trainer)}: {_metrics(trainer)}")


def _place(trainer: lightning.Trainer) -> str:
    """``epoch 2/6 step 40/120``, as far as the ends are known; epochs count from 1."""
    of_epochs, of_steps = "", "" if trainer.max_steps == -1 else f"/{trainer.max_steps}"
    if trainer.max_epochs not in (None, -1):
        of_epochs, of_steps = f"/{trainer.max_epochs}", f"/{int(trainer.estimated_stepping_batches)}"
    return f"epoch {trainer.current_epoch + 1}{of_epochs} step {trainer.global_step}{of_steps}"


def _metrics(trainer: lightning.Trainer) -> str:
    return " ".join(f"{name} {float(value):.4g}" for name, value in trainer.progress_bar_metrics.items())


def progress_callbacks() -> list[Callback]:
    """The fitting kind of progress display for this stderr."""
    if not sys.stderr.isatty():
        return [LineProgress()]
    return [RichProgressBar(leave=True, console_kwargs={"stderr": True})]  # stdout is for data


def is_first_process() -> bool:
    """Whether this process speaks and writes for all that train together."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0  # an attribute that Lightning's types do not tell


def announce(message: str) -> None:
    """One line for the user, on stderr, whatever the number of processes."""
    if is_first_process():
        sys.stderr.write(message + "\n")
        sys.stderr.flush()
