"""ARCL: adaptive contrast of a text with two rationales, one for its label and one against (methods section 1.6).

Legend: B texts, D hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def adaptive_contrastive_loss(
    text: Tensor,
    supporting: Tensor,
    opposing: Tensor,
    gold_prob: Tensor,
    temperature: float = 0.1,
    in_batch_negatives: bool = False,
) -> Tensor:
    """InfoNCE with a negative that weighs more the less sure the classifier is: w = 1 + (1 - p_y).

    Args:
        text: (B, D) vectors of the texts.
        supporting: (B, D) vectors of the rationales for the gold label.
        opposing: (B, D) vectors of the rationales against it.
        gold_prob: (B,) p_y(x), the probability of the gold label; no gradient flows into it.
        temperature: τ.
        in_batch_negatives: add the other texts' supporting rationales to the denominator.

    Returns:
        (B,) loss per text.

    Note: reconstruction; the paper names two rationales and an adaptive InfoNCE without its formula.

    >>> h = torch.tensor([[1.0, 0.0]])
    >>> same = adaptive_contrastive_loss(h, h, h, torch.tensor([1.0]))  # nothing tells the rationales apart: log 2
    >>> round(same.item(), 4)
    0.6931
    """
    anchor, pro, con = (normalize(v.float(), dim=-1) for v in (text, supporting, opposing))
    weight = 1 + (1 - gold_prob.detach().float())  # (B,)
    positive = (anchor * pro).sum(-1) / temperature  # (B,)
    terms = [positive, (anchor * con).sum(-1) / temperature + weight.log()]
    if in_batch_negatives and len(anchor) > 1:
        others = anchor @ pro.T / temperature  # (B, B)
        others = others.masked_fill(torch.eye(len(anchor), dtype=torch.bool, device=others.device), -torch.inf)
        terms.append(others.logsumexp(1))
    return torch.stack(terms).logsumexp(0) - positive
