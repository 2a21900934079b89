"""The parts of a BERT layer with their backward passes; each computes the gradient of its input alone.

Legend: R rows (tokens of all texts), D hidden, F feed-forward width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Affine(nn.Module):
    """x W + b on rows, with the weight laid out as the product needs it.

    Args:
        linear: its weight is (outputs, inputs), as torch has it.
        scale: multiplies weight and bias.
    """

    weight: Tensor  # (inputs, outputs)
    bias: Tensor  # (outputs,)

    def __init__(self, linear: nn.Linear, scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("weight", (linear.weight.detach() * scale).t().contiguous())
        self.register_buffer("bias", linear.bias.detach() * scale)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)

    def backward(self, grad: Tensor, other: Tensor | None = None) -> Tensor:
        """Gradient of the input, added to that of ``other`` ways to the same input."""
        back = self.weight.t()
        return grad @ back if other is None else torch.addmm(other, grad, back)


class Norm(nn.Module):
    """LayerNorm over rows.

    Args:
        norm: gives weight, bias and epsilon.
        gradients: keep what the backward pass needs; without, one fused operation.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, norm: nn.LayerNorm, gradients: bool) -> None:
        super().__init__()
        self.eps, self.gradients = norm.eps, gradients
        self.register_buffer("weight", norm.weight.detach())
        self.register_buffer("bias", norm.bias.detach())

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(R, D) -> (R, D), and the normalised rows (R, D) with their inverse deviations (R, 1)."""
        if not self.gradients:
            return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps), (x, x)
        normal, _, inverse = torch.native_layer_norm(x, x.shape[-1:], torch.ones_like(self.weight), None, self.eps)
        return normal * self.weight + self.bias, (normal, inverse)

    def backward(self, grad: Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        direction, length = self.backward_parts(grad, saved)
        return direction * length

    def backward_parts(self, grad: Tensor, saved: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The gradient of the input as a product of (R, D) and (R, 1)."""
        normal, inverse = saved
        scaled = grad * self.weight
        mean = scaled.mean(-1, keepdim=True)
        along = (scaled * normal).mean(-1, keepdim=True)
        return scaled - (normal * along + mean), inverse


def _gelu(t: Tensor) -> tuple[Tensor, Tensor]:
    """√2 · gelu(√2 t) = t (1 + erf t), and 1 + erf t."""
    twice_cdf = torch.erf(t) + 1
    return t * twice_cdf, twice_cdf


def _gelu_slope(t: Tensor, twice_cdf: Tensor) -> Tensor:
    """d/dt t (1 + erf t) = 1 + erf t + t · 2/√π · exp(-t²)."""
    return torch.exp(_LOG_2_OVER_ROOT_PI - t * t) * t + twice_cdf


def _relu(t: Tensor) -> tuple[Tensor, Tensor]:
    out = torch.relu(t)
    return out, out


def _relu_slope(t: Tensor, out: Tensor) -> Tensor:
    return (out > 0).to(t.dtype)


_LOG_2_OVER_ROOT_PI = math.log(2 / math.sqrt(math.pi))

# name -> (fused forward, scale s of the input, f(s x) / s with what its slope needs again, the slope).
# With s inside both weights, gelu takes three passes over the rows instead of five.
ACTIVATIONS: dict[
    str,
    tuple[
        Callable[[Tensor], Tensor],
        float,
        Callable[[Tensor], tuple[Tensor, Tensor]],
        Callable[[Tensor, Tensor], Tensor],
    ],
] = {
    "gelu": (functional.gelu, math.sqrt(0.5), _gelu, _gelu_slope),
    "relu": (functional.relu, 1.0, _relu, _relu_slope),
}


class FeedForward(nn.Module):
    """The second half of a layer: two products with an activation between, residual and LayerNorm.

    Args:
        layer: a ``BertLayer``.
        gradients: keep what the backward pass needs.
    """

    def __init__(self, layer: Any, gradients: bool) -> None:
        super().__init__()
        self.up, self.down = Affine(layer.intermediate.dense), Affine(layer.output.dense)
        self.norm = Norm(layer.output.LayerNorm, gradients)
        self.gradients = gradients
        name: str = layer.attention.self.config.hidden_act
        self.fused, self.scale, self.activation, self.slope = ACTIVATIONS[name]

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(R, D) -> (R, D), and what the backward pass needs."""
        if not self.gradients:
            return self.norm(self.down(self.fused(self.up(x))) + x)[0], ()
        up, down = self._weights()
        t = torch.addmm(self.up.bias * self.scale, x, up)  # (R, F)
        active, again = self.activation(t)
        out, norm_saved = self.norm(torch.addmm(self.down.bias, active, down) + x)
        return out, (t, again, *norm_saved)

    def backward(self, grad: Tensor, saved: tuple[Tensor, ...]) -> Tensor:
        t, again, normal, inverse = saved
        up, down = self._weights()
        grad = self.norm.backward(grad, (normal, inverse))
        return torch.addmm(grad, grad @ down.t() * self.slope(t, again), up.t())

    def _weights(self) -> tuple[Tensor, Tensor]:
        # Products of constants: a file keeps the weights once, onnxruntime multiplies when it loads them.
        return self.up.weight * self.scale, self.down.weight * self.scale


def softmax_backward(grad: Tensor, probability: Tensor) -> Tensor:
    """Gradient of the scores behind ``probability``, same shape; the softmax is over the last dimension."""
    weighted = grad * probability
    return weighted - probability * weighted.sum(-1, keepdim=True)
