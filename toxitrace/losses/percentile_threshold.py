"""PPT: percentile and peak thresholds that bound the saliency of both kinds of tokens (methods section 1.4).

Legend: B texts, T tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def percentile_threshold_loss(
    saliency: Tensor, toxic_mask: Tensor, other_mask: Tensor, percentile: float = 15.0, alpha: float = 0.5
) -> Tensor:
    """Other tokens stay under the text's own low percentile, toxic ones above a share of its peak.

    Args:
        saliency: (B, T) ĝ scaled to [0, 1].
        toxic_mask: (B, T) bool, weak toxic tokens T.
        other_mask: (B, T) bool, the remaining content tokens N.
        percentile: of all content tokens; its value is the upper bound for N.
        alpha: share of the largest saliency; the lower bound for T.

    Returns:
        (B,) loss per text; both bounds are constants for the gradient.

    Note: reconstruction; the paper states the two bounds, not how they are penalised.
    """
    content = toxic_mask | other_mask
    fixed = saliency.detach()
    low = masked_percentile(fixed, content, percentile).unsqueeze(1)  # (B, 1)
    high = alpha * (fixed * content).amax(1, keepdim=True)  # (B, 1)
    above = ((saliency - low).clamp_min(0) * other_mask).sum(1) / other_mask.sum(1).clamp_min(1)
    below = ((high - saliency).clamp_min(0) * toxic_mask).sum(1) / toxic_mask.sum(1).clamp_min(1)
    return above + below


def masked_percentile(values: Tensor, mask: Tensor, percentile: float) -> Tensor:
    """Percentile over the masked-in entries of each row, linear interpolation as in numpy.

    Args:
        values: (B, T).
        mask: (B, T) bool.
        percentile: 0 to 100.

    Returns:
        (B,); 0 for a row without entries.

    >>> masked_percentile(torch.tensor([[4.0, 1.0, 2.0, 9.0]]), torch.tensor([[True, True, True, False]]), 50)
    tensor([2.])
    """
    count = mask.sum(1)  # (B,)
    ordered = values.masked_fill(~mask, torch.inf).sort(1).values  # (B, T), entries first
    position = (count - 1).clamp_min(0) * (percentile / 100)
    below, above = position.floor().long(), position.ceil().long()
    low = ordered.gather(1, below.unsqueeze(1)).squeeze(1)
    high = ordered.gather(1, above.unsqueeze(1)).squeeze(1)
    mixed = low + (high - low) * (position - below)
    return torch.where(count > 0, mixed, torch.zeros_like(mixed))
