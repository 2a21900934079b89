"""InfoNCE over a batch for queries that are represented by themselves, by an expansion, or by the mean of both.

The losses are sentence-transformers' own (``MultipleNegativesRankingLoss`` and its gradient-cached variant for large
batches); what is added is the mean, so that training sees the vector that evaluation ranks by (methods.md section 3).

Legend: B batch, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor
from torch.nn import functional

from toxitrace.expand.represent import QueryMode


def contrastive_loss(
    model: SentenceTransformer, mode: QueryMode, temperature: float = 0.02, mini_batch_size: int | None = None
) -> torch.nn.Module:
    """The loss for rows of ``[query or expansion], positive, negative`` or, in mode ``mean``, with both in front.

    Args:
        temperature: cosines are divided by it.
        mini_batch_size: rows per forward pass, with gradients cached (GradCache, arXiv 2101.06983): the memory of a
            small batch, the negatives of a large one; None: the whole batch at once.
    """
    scale = 1.0 / temperature
    if mini_batch_size is None:
        return (MeanQueryLoss if mode == "mean" else MultipleNegativesRankingLoss)(model, scale=scale)
    kind = CachedMeanQueryLoss if mode == "mean" else CachedMultipleNegativesRankingLoss
    return kind(model, scale=scale, mini_batch_size=mini_batch_size)


def mean_vector(queries: Tensor, expansions: Tensor) -> Tensor:
    """½E(q) + ½E(expansion) of normalised vectors: (B, D), (B, D) -> (B, D). The loss's cosine normalises it again."""
    return (functional.normalize(queries, dim=-1) + functional.normalize(expansions, dim=-1)) / 2


class MeanQueryLoss(MultipleNegativesRankingLoss):
    """Columns: query, expansion, positive, negatives."""

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> Tensor:
        query, expansion, *documents = embeddings
        return super().compute_loss_from_embeddings([mean_vector(query, expansion), *documents], labels)


class CachedMeanQueryLoss(CachedMultipleNegativesRankingLoss):
    """The same, gradient-cached."""

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Each of ``reps`` is a column's (B, D) in pieces; their gradients are what the second pass needs."""
        anchors = mean_vector(torch.cat(reps[0]), torch.cat(reps[1]))
        if not with_backward:
            return super().calculate_loss([[anchors], *reps[2:]], labels)
        # The loss goes back through its rows piece by piece; the mean's own graph may be walked only once.
        leaf = anchors.detach().requires_grad_()
        loss: Any = super().calculate_loss([[leaf], *reps[2:]], labels, with_backward=True)
        anchors.backward(leaf.grad)  # type: ignore[no-untyped-call]
        return loss  # type: ignore[no-any-return]
