"""A Lightning Trainer on the device that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ProgressBar

from toxitrace.config import DeviceConfig
from toxitrace.errors import ConfigError
from toxitrace.training.precision import resolve_precision


def build_trainer(device: DeviceConfig, callbacks: Sequence[Callback], **options: Any) -> lightning.Trainer:
    """A Trainer with what all runs of this package share; ``options`` are Lightning's own.

    Raises:
        ConfigError: the machine has no such device, or Lightning no such strategy.
    """
    try:
        return lightning.Trainer(
            accelerator=device.accelerator,
            devices=device.devices,
            strategy=device.strategy,
            precision=resolve_precision(device.precision, device.accelerator),
            callbacks=list(callbacks),
            log_every_n_steps=20,
            use_distributed_sampler=False,  # the batches are dealt out to the processes by their own order
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            **options,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"--device.* does not fit this machine: {error}") from error
