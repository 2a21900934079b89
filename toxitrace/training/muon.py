"""Muon, matrices of one shape at a time, in a number format that the processor multiplies fast.

``torch.optim.Muon`` does the same one matrix after the other and in bf16 always: on a processor without bf16 units
that product is emulated, a second for a single 256 x 1024 matrix.

Legend: M matrices of one shape, R rows, C columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from toxitrace.training.precision import has_fast_bf16

# quintic Newton-Schulz (Jordan et al. 2024): steepest at zero, singular values end within about 0.5 to 1.5
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
_EPSILON = 1e-7


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The nearest orthogonal matrices, roughly: U S V' -> U S' V' with all of S' near 1.

    Args:
        matrices: (M, R, C).
        dtype: of the products.

    Returns:
        (M, R, C) in the dtype of the input.

    >>> found = orthogonalise(torch.tensor([[[3.0, 0.0], [0.0, 0.5]]]))
    >>> [0.5 < value < 1.5 for value in torch.linalg.svdvals(found[0]).tolist()]
    [True, True]
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).to(dtype)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(_EPSILON)  # all singular values at most 1
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is made orthogonal (Jordan et al. 2024), scaled to the size of AdamW's.

    Args:
        params: 2-D weights.
        lr: learning rate; updates have a root mean square of about 0.2 lr (Liu et al. 2025).
        weight_decay: decoupled.
        momentum: Nesterov's.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append((parameter, parameter.grad))
            for pairs in alike.values():
                self._step_alike(pairs, group["lr"], group["weight_decay"], group["momentum"])
        return loss

    def _step_alike(
        self, pairs: list[tuple[nn.Parameter, Tensor]], lr: float, weight_decay: float, momentum: float
    ) -> None:
        """Parameters of one shape, each with its gradient."""
        updates = []
        for parameter, grad in pairs:
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(grad)
            buffer = state["momentum_buffer"].lerp_(grad, 1 - momentum)
            updates.append(grad.lerp(buffer, momentum))
        fast = has_fast_bf16("gpu" if updates[0].is_cuda else "cpu")
        steps = orthogonalise(torch.stack(updates), torch.bfloat16 if fast else torch.float32)  # (M, R, C)
        size = 0.2 * max(updates[0].shape) ** 0.5
        for (parameter, _), update in zip(pairs, steps, strict=True):
            parameter.mul_(1 - lr * weight_decay).add_(update, alpha=-lr * size)
