"""The LightningModule: warm-up on cross-entropy, then all losses; validation by macro-F1."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC, MulticlassF1Score
from transformers import get_linear_schedule_with_warmup

from toxitrace.config import TrainConfig
from toxitrace.data.batches import Batch
from toxitrace.encoder.classifier import Classifier
from toxitrace.training.objective import joint_losses

# what the best model is chosen by: dev macro-F1, but of joint epochs only, since earlier ones have no trained saliency
SELECTION = "selection"
NOT_SELECTABLE = -1.0


class TraceModule(lightning.LightningModule):
    """Trains a classifier whose gradients point at the evidence.

    Args:
        classifier: encoder with head.
        config: losses, optimiser, schedule.
        seed: of dropout; every step draws from (seed, step, process), so a resumed run repeats it.
    """

    def __init__(self, classifier: Classifier, config: TrainConfig, seed: int) -> None:
        super().__init__()
        self.classifier, self.config, self.seed = classifier, config, seed
        self.macro_f1 = MulticlassF1Score(num_classes=2, average="macro")
        self.auroc = BinaryAUROC()

    @property
    def warm_up(self) -> bool:
        """Whether this epoch trains on cross-entropy alone."""
        return self.current_epoch < self.config.schedule.warmup_epochs

    @property
    def selectable(self) -> bool:
        """Whether this epoch's model may be chosen as the best."""
        return not self.warm_up or self.config.schedule.joint_epochs == 0

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(hash((self.seed, self.current_epoch, batch_idx, self.global_rank)) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = joint_losses(self.classifier, batch, self.config.loss, warm_up=self.warm_up)
        self.log("loss", losses.total.detach(), prog_bar=True)
        shown = ("ce",) if self.warm_up else ("ce", "pgr", "ppt", "contrast")
        self.log_dict({name: getattr(losses, name) for name in shown}, prog_bar=True)
        return losses.total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.config.optim.clip_norm > 0:  # by hand: Lightning refuses to clip for fused optimisers
            nn.utils.clip_grad_norm_(self.parameters(), self.config.optim.clip_norm)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self.classifier(batch["input_ids"], batch["attention_mask"]).float()
        self.macro_f1.update(logits.argmax(-1), batch["label"])
        # probabilities: torchmetrics squashes margins by itself, but not in batches where all lie in [0, 1]
        self.auroc.update((logits[:, 1] - logits[:, 0]).sigmoid(), batch["label"])

    def on_validation_epoch_end(self) -> None:
        f1, auroc = self.macro_f1.compute(), self.auroc.compute()
        self.macro_f1.reset()
        self.auroc.reset()
        self.log_dict({"dev_macro_f1": f1, "dev_auroc": auroc}, prog_bar=True)
        self.log(SELECTION, f1 if self.selectable else torch.full_like(f1, NOT_SELECTABLE))

    def configure_optimizers(self) -> Any:
        optim = self.config.optim
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.classifier.model.named_parameters():
            is_head = not name.startswith(f"{self.classifier.model.base_model_prefix}.")
            groups.setdefault((is_head, parameter.ndim >= 2), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": (optim.head_lr or optim.lr) if is_head else optim.lr,
                    "weight_decay": optim.weight_decay if decays else 0.0,
                }
                for (is_head, decays), parameters in sorted(groups.items())
            ],
            fused=True,
        )
        total = self._n_steps()
        schedule = get_linear_schedule_with_warmup(optimizer, int(optim.warmup_share * total), total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _n_steps(self) -> int:
        """Optimiser steps of the whole run."""
        # not trainer.estimated_stepping_batches: it makes the trainer keep a loader from before a checkpoint's step
        # is known, and the batches that the checkpoint has seen would come again
        n_batches = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        return -(-n_batches // self.config.optim.accumulate) * int(self.trainer.max_epochs or 0)
