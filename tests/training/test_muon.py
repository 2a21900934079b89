"""Muon: against torch's own, and the singular values of an update."""

from __future__ import annotations

import torch
from torch import nn

from toxitrace.training.muon import Muon, orthogonalise


def test_singular_values_of_tall_and_wide_matrices_end_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 8, 24), (3, 24, 8)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.5


def test_steps_are_those_of_torch_but_for_its_bf16() -> None:
    torch.manual_seed(0)
    start = [torch.randn(6, 10), torch.randn(6, 10), torch.randn(12, 4)]
    ours, theirs = ([nn.Parameter(m.clone()) for m in start] for _ in range(2))
    optimizers = (
        Muon(ours, lr=0.02, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other, first in zip(ours, theirs, start, strict=True):
        moved = (other - first).norm()
        assert (mine - other).norm() < 0.02 * moved


def test_a_parameter_without_gradient_stays() -> None:
    idle = nn.Parameter(torch.ones(2, 2))
    Muon([idle], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(idle, torch.ones(2, 2))
