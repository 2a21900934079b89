"""L_DPO as a formula: what trl's trainer is checked against. Pure. Legend: B pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_loss(
    chosen_logps: Tensor, rejected_logps: Tensor, ref_chosen_logps: Tensor, ref_rejected_logps: Tensor, beta: float
) -> Tensor:
    """-log σ(β [log π(y_w|x)/π_ref(y_w|x) - log π(y_l|x)/π_ref(y_l|x)]), averaged (Rafailov et al. 2023, equation 7).

    Args:
        chosen_logps, rejected_logps: (B,) summed log-probabilities under the model.
        ref_chosen_logps, ref_rejected_logps: (B,) under the reference.
        beta: how strongly the model is held to its reference.

    Returns:
        Scalar; log 2 where the model is its reference.

    >>> import torch
    >>> zero = torch.zeros(2)
    >>> round(float(dpo_loss(zero, zero, zero, zero, beta=0.1)), 4)
    0.6931
    >>> round(float(dpo_loss(zero + 10, zero, zero, zero, beta=0.1)), 4)
    0.3133
    """
    margin = (chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps)  # (B,)
    return -logsigmoid(beta * margin).mean()
