"""The joint objective L = L_CE + λ_grad (L_PGR + L_PPT) + λ_sem L_con on one batch (methods section 1.1, 1.4, 1.6).

Legend: B texts, T tokens, D hidden, R texts with rationales.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from toxitrace.config import LossConfig
from toxitrace.data.batches import Batch
from toxitrace.encoder.classifier import Classifier
from toxitrace.losses import (
    adaptive_contrastive_loss,
    pairwise_gradient_loss,
    percentile_threshold_loss,
    soft_cross_entropy,
)
from toxitrace.saliency import saliency_pass, scale_saliency


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """Means over the texts that each term is defined for; zero where there is none."""

    total: Tensor
    ce: Tensor
    pgr: Tensor
    ppt: Tensor
    contrast: Tensor


def joint_losses(classifier: Classifier, batch: Batch, config: LossConfig, *, warm_up: bool) -> Losses:
    """All terms for one batch; in the warm-up, cross-entropy alone.

    The saliency pass (plain attention, double backward) runs only over the texts that have usable spans; the
    others take the ordinary forward pass.

    Args:
        classifier: in training mode.
        batch: (B, T) tensors.
        config: weights; a weight of 0 costs nothing.
        warm_up: cross-entropy only.
    """
    zero = batch["toxic_prob"].new_zeros(())
    traced = batch["supervised"].nonzero().flatten()
    if warm_up or config.grad_weight == 0 or not (config.pgr or config.ppt):
        traced = traced[:0]
    plain = torch.ones_like(batch["supervised"]).index_fill(0, traced, False).nonzero().flatten()
    order = torch.cat([plain, traced])
    logits, pooled = [], []
    pgr = ppt = contrast = zero
    if len(plain):
        ids, mask = _trim(batch, plain)
        encoded = classifier.encode(classifier.embed(ids), mask, ids)
        logits.append(encoded.logits)
        pooled.append(encoded.pooled)
    if len(traced):
        ids, mask = _trim(batch, traced)
        result = saliency_pass(classifier, ids, mask, kind=config.saliency, create_graph=True)
        logits.append(result.logits)
        pooled.append(result.pooled)
        content = batch["content_mask"][traced, : ids.shape[1]]
        toxic = batch["toxic_mask"][traced, : ids.shape[1]]
        scaled = scale_saliency(result.saliency.float(), content)  # (B', T)
        if config.pgr:
            pgr = pairwise_gradient_loss(scaled, toxic, content & ~toxic, config.margin).mean()
        if config.ppt:
            ppt = percentile_threshold_loss(scaled, toxic, content & ~toxic, config.percentile, config.alpha).mean()
    all_logits = torch.cat(logits)  # (B, 2) in the order plain, traced
    ce = soft_cross_entropy(all_logits, batch["toxic_prob"][order]).mean()
    if not warm_up and config.contrast_weight > 0 and len(batch["argued"]):
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        rows = place[batch["argued"]]  # (R,) where those texts are in `order`
        contrast = _contrast(classifier, batch, torch.cat(pooled)[rows], all_logits[rows], config)
    total = ce + config.grad_weight * (pgr + ppt) + config.contrast_weight * contrast
    return Losses(total, ce.detach(), pgr.detach(), ppt.detach(), contrast.detach())


def _trim(batch: Batch, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and mask of some texts, cut to the longest of them."""
    mask = batch["attention_mask"][rows]
    longest = int(mask.sum(1).max())
    return batch["input_ids"][rows, :longest], mask[:, :longest]


def _contrast(classifier: Classifier, batch: Batch, text: Tensor, logits: Tensor, config: LossConfig) -> Tensor:
    sides = classifier.encode(classifier.embed(batch["rationale_ids"]), batch["rationale_mask"]).pooled  # (2R, D)
    supporting, opposing = sides.chunk(2)
    gold = batch["label"][batch["argued"]]  # (R,)
    gold_prob = logits.float().softmax(-1).gather(1, gold.unsqueeze(1)).squeeze(1)  # (R,)
    return adaptive_contrastive_loss(
        text, supporting, opposing, gold_prob, config.temperature, config.in_batch_negatives
    ).mean()
