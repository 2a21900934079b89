"""The graph of a classifier: margin, probability and, where asked for, the saliency of every token.

Legend: B batch, T tokens, D hidden.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from toxitrace.encoder import Classifier
from toxitrace.export.bert import BertGraph, is_plain_bert
from toxitrace.saliency.gradient import EPSILON
from toxitrace.settings import Calibration, SaliencyKind


def build_graph(
    classifier: Classifier, calibration: Calibration, kind: SaliencyKind = "gradient", gradients: bool = True
) -> nn.Module:
    """A module of plain operations that ``torch.onnx.export`` takes.

    Args:
        classifier: any architecture; BERT's is written out by hand and leaves work out, others are traced whole.
        calibration: baked into the probability.
        kind: what stands for a token's weight.
        gradients: False leaves the saliency out.

    Returns:
        ``input_ids, attention_mask`` (B, T) int64 -> margin (B,), probability (B,), saliency (B, T) unscaled and,
        of a plain BERT with n-grams that judge beside it, their evidence (B, T).
    """
    if is_plain_bert(classifier.model):
        return BertGraph(classifier.model, calibration, kind, gradients)
    return _traced(AutogradGraph(classifier, calibration, kind, gradients))


class AutogradGraph(nn.Module):
    """The same answers as ``BertGraph`` for any architecture, with the gradient taken by autograd."""

    def __init__(
        self, classifier: Classifier, calibration: Calibration, kind: SaliencyKind = "gradient", gradients: bool = True
    ) -> None:
        super().__init__()
        # a copy: the caller's weights keep their gradients and their attention
        self.model = copy.deepcopy(classifier.model).eval().requires_grad_(False)
        self.model.set_attn_implementation("eager")
        self.calibration, self.kind, self.gradients = calibration, kind, gradients

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        words = self.model.get_input_embeddings()(input_ids)  # (B, T) -> (B, T, D)
        if not self.gradients:
            return self._score(words, attention_mask)
        with torch.enable_grad():
            words = words.detach().requires_grad_()
            margin, probability = self._score(words, attention_mask)
            (gradient,) = torch.autograd.grad(margin.sum(), words)  # (B, T, D)
        words = words.detach()
        if self.kind == "gradient":
            saliency = (gradient.square().sum(-1) + EPSILON).sqrt()  # (B, T)
        else:
            saliency = (gradient * words).sum(-1).abs()
        return margin.detach(), probability.detach(), saliency * attention_mask.to(saliency.dtype)

    def _score(self, words: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = attention_mask[:, None, None].to(words.dtype)  # (B, 1, 1, T): transformers leaves a 4-D mask as it is
        logits = self.model(inputs_embeds=words, attention_mask=(1 - mask) * torch.finfo(words.dtype).min).logits
        margin = logits[:, 1] - logits[:, 0]
        return margin, torch.sigmoid(self.calibration.scale * margin + self.calibration.offset)


def _traced(module: AutogradGraph) -> nn.Module:
    """Unroll autograd into plain operations: neither torch.export nor the exporter to ONNX follow it themselves."""
    input_ids = torch.arange(10).view(2, 5) % 7  # no dimension is 0 or 1: those would be taken for constants
    traced: nn.Module = make_fx(
        module,
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,
        decomposition_table=torch.export.default_decompositions(),  # type: ignore[arg-type]  # has more keys than asked
    )(input_ids, torch.ones_like(input_ids))
    return traced
