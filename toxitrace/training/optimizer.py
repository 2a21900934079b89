"""Muon for the hidden matrices, Adagrad for sparse tables, AdamW for the rest, as one optimiser.

Muon makes every matrix update orthogonal (Jordan et al. 2024). It was chosen because the masked-LM loss of a small
encoder fell faster than with AdamW in short trials; no benchmark backs that. Embeddings, biases and norms are no
hidden matrices. Most rows of a table of n-grams have no gradient in most steps: Adagrad (Duchi et al. 2011) leaves
them alone then, where Adam goes on moving them and forgets how large their gradients are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from toxitrace.training.muon import Muon


class MixedOptimizer(torch.optim.Optimizer):
    """Steps its parts together; ``param_groups`` lists the groups of all, so schedulers see one optimiser.

    Args:
        matrices: 2-D weights of hidden layers.
        others: every other parameter.
        tables: embeddings of which a step touches few rows; may be empty.
        lr: of all; Muon's update is scaled to AdamW's size.
        weight_decay: decoupled; vectors and tables are spared.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        tables: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
    ) -> None:
        matrices, others, tables = list(matrices), list(others), list(tables)
        groups = [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._parts: list[torch.optim.Optimizer] = [
            Muon(matrices, lr, weight_decay),
            torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True),
        ]
        if tables:
            self._parts.append(torch.optim.Adagrad(tables, lr=lr, fused=True))
        super().__init__([*matrices, *others, *tables], {})
        self._share_groups()

    def _share_groups(self) -> None:
        # the very dicts of the parts: a learning rate set here is theirs
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of all parameters."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()
