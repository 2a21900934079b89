"""Gradient saliency at the word embeddings (methods section 1.2).

Legend: B batch, T tokens, D hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from toxitrace.encoder.classifier import Classifier
from toxitrace.settings import SaliencyKind

# inside the norm: its derivative at a zero gradient stays finite
EPSILON = 1e-12


class SaliencyPass(NamedTuple):
    """One forward pass and the gradient of its margin."""

    logits: Tensor
    """(B, 2)."""
    pooled: Tensor
    """(B, D)."""
    saliency: Tensor
    """(B, T) g_i, not scaled, 0 where masked."""


def saliency_pass(
    classifier: Classifier,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    kind: SaliencyKind = "gradient",
    create_graph: bool = False,
) -> SaliencyPass:
    """Forward pass plus g_i = ||∂(z_tox - z_non)/∂e_i||_2 for every token.

    The margin is used, not the loss: both give the same scaled saliency for a two-way softmax, but only the
    margin's does not vanish for confident texts.

    Args:
        classifier: the encoder; gradients flow whatever its parameters' ``requires_grad``.
        input_ids: (B, T).
        attention_mask: (B, T), 0 at padding.
        kind: ``grad_x_input`` takes |<∂f/∂e_i, e_i>| instead of the norm.
        create_graph: keep the graph so that a loss on the saliency can be differentiated (training).

    Note: reconstruction; the paper does not state its saliency formula.
    """
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no double backward (pytorch#116350)
        embeddings = classifier.embed(input_ids)  # (B, T, D)
        if not embeddings.requires_grad:
            embeddings = embeddings.detach().requires_grad_()
        encoded = classifier.encode(embeddings, attention_mask, input_ids)
        margin = encoded.logits[:, 1] - encoded.logits[:, 0]  # (B,)
        (gradient,) = torch.autograd.grad(margin.sum(), embeddings, create_graph=create_graph)  # (B, T, D)
        if kind == "gradient":
            saliency = (gradient.square().sum(-1) + EPSILON).sqrt()  # (B, T)
        else:
            saliency = (gradient * embeddings).sum(-1).abs()
        saliency = saliency * attention_mask
    if not create_graph:
        return SaliencyPass(encoded.logits.detach(), encoded.pooled.detach(), saliency.detach())
    return SaliencyPass(encoded.logits, encoded.pooled, saliency)


def margin_saliency(
    classifier: Classifier, input_ids: Tensor, attention_mask: Tensor, *, kind: SaliencyKind = "gradient"
) -> tuple[Tensor, Tensor]:
    """Margin and saliency for inference.

    Returns:
        (B,) z_tox - z_non and (B, T) unscaled saliency, both without graph.
    """
    result = saliency_pass(classifier, input_ids, attention_mask, kind=kind)
    return result.logits[:, 1] - result.logits[:, 0], result.saliency


def scale_saliency(saliency: Tensor, content_mask: Tensor) -> Tensor:
    """ĝ_i = g_i / max over the content tokens V (no [CLS], [SEP], [PAD]); 0 elsewhere.

    Args:
        saliency: (B, T).
        content_mask: (B, T) bool.

    Returns:
        (B, T) in [0, 1].
    """
    content = saliency * content_mask
    return content / content.amax(dim=-1, keepdim=True).clamp_min(EPSILON)
