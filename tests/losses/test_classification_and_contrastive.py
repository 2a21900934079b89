from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from toxitrace.losses import adaptive_contrastive_loss, soft_cross_entropy

LOGITS = torch.tensor([[2.0, -1.0], [0.3, 0.1], [-4.0, 6.0]])

# Unit vectors with cosines that can be read off: text 1 . pro 1 = 0.6, text 1 . con 1 = 0, text 1 . pro 2 = 0
TEXT = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
PRO = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
CON = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
GOLD_PROB = torch.tensor([0.25, 1.0])


def test_soft_cross_entropy_is_torchs_for_hard_labels() -> None:
    labels = torch.tensor([0, 1, 1])
    torch.testing.assert_close(
        soft_cross_entropy(LOGITS, labels.float()), cross_entropy(LOGITS, labels, reduction="none")
    )


def test_soft_cross_entropy_is_torchs_for_probabilities() -> None:
    toxic_prob = torch.tensor([0.4, 0.9, 0.0])
    targets = torch.stack([1 - toxic_prob, toxic_prob], 1)
    torch.testing.assert_close(soft_cross_entropy(LOGITS, toxic_prob), cross_entropy(LOGITS, targets, reduction="none"))


def test_soft_cross_entropy_is_lowest_where_the_model_says_the_soft_label() -> None:
    prob = torch.linspace(0.05, 0.95, 19)
    logits = torch.stack([torch.zeros(19), (prob / (1 - prob)).log()], 1)
    assert prob[soft_cross_entropy(logits, torch.full((19,), 0.4)).argmin()].item() == pytest.approx(0.4)


def test_the_contrastive_loss_by_hand() -> None:
    found = adaptive_contrastive_loss(TEXT, PRO, CON, GOLD_PROB, temperature=0.5)
    # text 1: w = 1 + 0.75; -log(e^1.2 / (e^1.2 + 1.75 e^0)).  text 2: w = 1; -log(e^2 / (e^2 + e^0))
    assert found.tolist() == pytest.approx([math.log(1 + 1.75 * math.exp(-1.2)), math.log(1 + math.exp(-2))])


def test_in_batch_negatives_add_the_other_texts_rationales() -> None:
    found = adaptive_contrastive_loss(TEXT, PRO, CON, GOLD_PROB, temperature=0.5, in_batch_negatives=True)
    # text 1 . pro 2 = 0: + e^0.  text 2 . pro 1 = 0.8: + e^1.6
    first = math.log(1 + (1.75 + 1) * math.exp(-1.2))
    second = math.log(1 + (1 + math.exp(1.6)) * math.exp(-2))
    assert found.tolist() == pytest.approx([first, second])


def test_a_single_text_has_no_in_batch_negatives() -> None:
    one = (TEXT[:1], PRO[:1], CON[:1], GOLD_PROB[:1])
    with_negatives = adaptive_contrastive_loss(*one, in_batch_negatives=True)
    torch.testing.assert_close(with_negatives, adaptive_contrastive_loss(*one))


def test_an_unsure_classifier_makes_the_opposing_rationale_weigh_more() -> None:
    losses = [adaptive_contrastive_loss(TEXT, PRO, CON, torch.full((2,), p))[0].item() for p in (1.0, 0.5, 0.0)]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]


def test_only_directions_count_and_the_gold_probability_gets_no_gradient() -> None:
    text, gold_prob = (3 * TEXT).requires_grad_(), GOLD_PROB.clone().requires_grad_()
    loss = adaptive_contrastive_loss(text, 0.1 * PRO, 7 * CON, gold_prob, in_batch_negatives=True)
    torch.testing.assert_close(loss, adaptive_contrastive_loss(TEXT, PRO, CON, GOLD_PROB, in_batch_negatives=True))
    loss.sum().backward()
    assert gold_prob.grad is None
    assert text.grad is not None
    assert text.grad.isfinite().all()
    assert text.grad.abs().max() > 0


def test_equal_rationales_of_a_sure_classifier_cost_log_two_in_half_precision_too() -> None:
    same = TEXT.bfloat16()
    loss = adaptive_contrastive_loss(same, same, same, torch.ones(2))
    assert loss.dtype == torch.float32
    assert loss.tolist() == pytest.approx([math.log(2)] * 2)
