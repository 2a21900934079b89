"""The resumable checkpoint ``last.ckpt``: when it is written and what it may be resumed with."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from toxitrace.errors import ConfigError, ModelError

LAST_CHECKPOINT = "last.ckpt"


class LastCheckpoint(Checkpoint):
    """Writes one checkpoint, over and over: every ``minutes``, and after every epoch.

    Lightning's ModelCheckpoint would not do: it also saves between the batches of an accumulated step, where the
    gradients so far are lost, and between an epoch's last batch and its validation, which a resumed run then skips.

    Args:
        path: the file; replaced in one move, so that a killed run leaves a whole one.
        minutes: between two checkpoints.
        recipe: what must be equal for a run to be resumed, JSON-ready; kept in the checkpoint.
    """

    def __init__(self, path: Path, minutes: float, recipe: dict[str, Any]) -> None:
        self.path, self.seconds, self.recipe = path, minutes * 60, recipe
        self._saved_at = 0.0
        self._step = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._saved_at, self._step = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stepped, self._step = trainer.global_step > self._step, trainer.global_step
        if not stepped or trainer.is_last_batch:
            return
        # the clocks of the processes differ; all must save, or none
        if trainer.strategy.broadcast(time.monotonic() - self._saved_at >= self.seconds):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        # a run that was told to stop forgets so when it is resumed: keep the checkpoint from before
        if not trainer.should_stop:
            trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"recipe": json.dumps(self.recipe)}

    @property
    def state_key(self) -> str:
        return _STATE_KEY


_STATE_KEY = "toxitrace.LastCheckpoint"


def begin_logs(logs: Path, *, resume: bool) -> None:
    """Make the folder of checkpoints and logs, and move away what could be mistaken for this run's."""
    logs.mkdir(parents=True, exist_ok=True)
    metrics = logs / "metrics.csv"
    if not resume:
        (logs / LAST_CHECKPOINT).unlink(missing_ok=True)
    elif metrics.exists():  # Lightning's logger would delete the metrics of the sitting before
        metrics.rename(logs / f"metrics-{len(list(logs.glob('metrics-*.csv'))) + 1}.csv")


def resumable(path: Path, recipe: dict[str, Any]) -> str:
    """The checkpoint's path, once it is known to be whole and of the same recipe.

    Raises:
        ModelError: it is cut short or no checkpoint.
        ConfigError: it belongs to a run with other settings or data.
    """
    try:
        checkpoint = torch.load(path, map_location="meta", weights_only=True, mmap=True)
        state = checkpoint["callbacks"].get(_STATE_KEY)
    except Exception as error:  # zip, pickle and torch errors have no common base
        raise ModelError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); delete it to train from the start"
        ) from error
    if state is not None:
        changed = differences(json.loads(state["recipe"]), json.loads(json.dumps(recipe)))
        if changed:
            raise ConfigError(
                f"checkpoint {path} is of a run with other settings or data ({', '.join(changed[:3])}); "
                "resume with the same, or leave --resume out to train from the start"
            )
    return str(path)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of what differs between two nested dicts; what only one has is of another version of the package.

    >>> differences({"seed": 1, "optim": {"lr": 0.1}}, {"seed": 1, "optim": {"lr": 0.2}})
    ['optim.lr']
    """
    names: list[str] = []
    for key in sorted(old.keys() & new.keys()):
        one, other = old[key], new[key]
        if isinstance(one, dict) and isinstance(other, dict):
            names += differences(one, other, f"{prefix}{key}.")
        elif one != other:
            names.append(f"{prefix}{key}")
    return names
