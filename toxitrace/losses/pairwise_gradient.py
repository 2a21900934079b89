"""PGR: pairwise gradient ranking between toxic and other tokens (methods section 1.4).

Legend: B texts, T tokens.
"""

from __future__ import annotations

from torch import Tensor


def pairwise_gradient_loss(saliency: Tensor, toxic_mask: Tensor, other_mask: Tensor, margin: float = 0.3) -> Tensor:
    """Mean over all (toxic i, other j) pairs of max(0, m - (ĝ_i - ĝ_j)), per text.

    Args:
        saliency: (B, T) ĝ scaled to [0, 1].
        toxic_mask: (B, T) bool, weak toxic tokens T.
        other_mask: (B, T) bool, the remaining content tokens N.
        margin: m.

    Returns:
        (B,) loss per text; 0 for a text without a pair.

    Note: reconstruction of the paper's PGR.

    >>> import torch
    >>> toxic, other = torch.tensor([[True, False]]), torch.tensor([[False, True]])
    >>> [round(v, 4) for v in pairwise_gradient_loss(torch.tensor([[1.0, 0.9]]), toxic, other).tolist()]
    [0.2]
    """
    gaps = margin - (saliency.unsqueeze(2) - saliency.unsqueeze(1))  # (B, T) -> (B, T, T): [i, j]
    pairs = toxic_mask.unsqueeze(2) & other_mask.unsqueeze(1)  # (B, T, T)
    return (gaps.clamp_min(0) * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)
