"""Progress of long training: a bar on a terminal, plain lines on stderr elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar


class LineProgress(Callback):
    """Prints step, rate and metrics every ``every_seconds`` for logs that are no terminal."""

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
        if now - self._last_seconds < self.every_seconds or not trainer.is_global_zero:
            return
        rate = (trainer.global_step - self._last_step) / (now - self._last_seconds)
        self._last_seconds, self._last_step = now, trainer.global_step
        metrics = " ".join(f"{name} {float(value):.4g}" for name, value in trainer.progress_bar_metrics.items())
        total = trainer.estimated_stepping_batches if trainer.max_epochs != -1 else trainer.max_steps
        of = f"/{int(total)}" if total and total != float("inf") and total > 0 else ""
        sys.stderr.write(f"epoch {trainer.current_epoch} step {trainer.global_step}{of} {rate:.2f} steps/s {metrics}\n")
        sys.stderr.flush()


def progress_callbacks() -> list[Callback]:
    """The fitting kind of progress display for this stderr."""
    return [RichProgressBar() if sys.stderr.isatty() else LineProgress()]


def announce(message: str) -> None:
    """One line for the user, on stderr."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()
