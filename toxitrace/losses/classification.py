"""Cross-entropy on soft labels.

Legend: B texts.
"""

from __future__ import annotations

from torch import Tensor


def soft_cross_entropy(logits: Tensor, toxic_prob: Tensor) -> Tensor:
    """Cross-entropy against a target probability of toxicity.

    Args:
        logits: (B, 2) non-toxic, toxic.
        toxic_prob: (B,) in [0, 1]; 0 and 1 are hard labels.

    Returns:
        (B,) loss per text.

    >>> import torch
    >>> loss = soft_cross_entropy(torch.zeros(1, 2), torch.tensor([0.4]))
    >>> round(loss.item(), 4)
    0.6931
    """
    log_prob = logits.float().log_softmax(-1)
    return -((1 - toxic_prob) * log_prob[:, 0] + toxic_prob * log_prob[:, 1])
