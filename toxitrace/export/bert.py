"""BERT's classification margin and its gradient at the word embeddings, written out by hand.

Every operation is one that a plain graph can hold, so the exporter sees no autograd, what the forward pass already
computed is used again by the backward pass, and nothing is computed that the answer does not need:

* no gradient of any weight;
* in the last layer only the first token is followed. Its attention needs neither keys nor values of the other
  tokens: q·(X W_k) = (q W_kᵀ)·X and P (X W_v) = (P X) W_v, which costs H·D instead of D² products a token.

Legend: B batch, T tokens, N = B·T rows, D hidden, H heads, K = D/H, F feed-forward width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertForSequenceClassification, PreTrainedModel

from toxitrace.encoder.ngrams import NgramBertForSequenceClassification, NgramEmbedding
from toxitrace.export.bert_parts import ACTIVATIONS, Affine, FeedForward, Norm, softmax_backward
from toxitrace.export.ngrams import LookedUpMargin, LookedUpNgrams
from toxitrace.saliency.gradient import EPSILON
from toxitrace.settings import Calibration, SaliencyKind

# Added to the scores of padding: exp() of it is 0, and unlike the smallest float it cannot overflow.
_FAR_BELOW = -1e30


def is_plain_bert(model: PreTrainedModel) -> bool:
    """Whether ``BertGraph`` computes what the model does."""
    config = model.config
    return (
        type(model) in (BertForSequenceClassification, NgramBertForSequenceClassification)
        and not config.is_decoder
        and not config.add_cross_attention
        and config.hidden_act in ACTIVATIONS
    )


class BertGraph(nn.Module):
    """``input_ids, attention_mask`` (B, T) -> margin (B,), probability (B,) and, with gradients, saliency (B, T).

    Of a model with n-grams that judge beside the encoder, a fourth output with gradients: their evidence (B, T).

    Args:
        model: one for which ``is_plain_bert`` holds; its weights are shared, not copied, where their layout allows.
        calibration: baked into the probability.
        kind: what stands for a token's weight.
        gradients: False leaves the backward pass and the saliency out.
    """

    words: Tensor
    positions: Tensor
    head: Tensor
    head_bias: Tensor

    def __init__(
        self,
        model: PreTrainedModel,
        calibration: Calibration,
        kind: SaliencyKind = "gradient",
        gradients: bool = True,
    ) -> None:
        super().__init__()
        bert: Any = model.bert
        heads: int = model.config.num_attention_heads
        embeddings, layers = bert.embeddings, list(bert.encoder.layer)
        # not named "saliency" or "probability": the exporter would confuse them with the graph's outputs
        self.calibration, self.kind, self.gradients = calibration, kind, gradients
        self.register_buffer("words", embeddings.word_embeddings.weight.detach())  # (V, D)
        self.register_buffer(
            "positions",
            embeddings.position_embeddings.weight.detach() + embeddings.token_type_embeddings.weight.detach()[0],
        )
        words = bert.embeddings.word_embeddings
        self.ngrams = LookedUpNgrams(words) if isinstance(words, NgramEmbedding) else None
        margin = getattr(model, "ngram_margin", None)
        self.ngram_margin = None if margin is None else LookedUpMargin(margin, len(self.words))
        self.norm = Norm(embeddings.LayerNorm, gradients)
        self.layers: Any = nn.ModuleList(_Layer(layer, heads, gradients) for layer in layers[:-1])
        self.last = _LastLayer(layers[-1], heads, gradients)
        self.pooler = Affine(bert.pooler.dense)
        head: Any = model.classifier
        self.register_buffer("head", (head.weight[1] - head.weight[0]).detach()[:, None].clone())  # (D, 1)
        self.register_buffer("head_bias", (head.bias[1] - head.bias[0]).detach()[None].clone())  # (1,)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        batch, tokens = input_ids.shape
        words = functional.embedding(input_ids, self.words)  # (B, T) -> (B, T, D)
        if self.ngrams is not None:
            words = words + self.ngrams(input_ids)
        mask = attention_mask.to(words.dtype)  # (B, T)
        bias = ((1 - mask) * _FAR_BELOW)[:, None, None]  # (B, 1, 1, T)
        summed = (words + self.positions[:tokens]).flatten(0, 1)  # (N, D)
        x, norm_saved = self.norm(summed)
        saved = []
        for layer in self.layers:
            x, kept = layer(x, bias, batch, tokens)
            saved.append(kept)
        first, last_saved = self.last(x.view(batch, tokens, -1), bias[:, 0])  # (B, D)
        pooled = torch.tanh(self.pooler(first))
        margin = torch.addmm(self.head_bias, pooled, self.head).squeeze(1)  # (B, D) -> (B,)
        evidence: tuple[Tensor, ...] = ()
        if self.ngram_margin is not None:
            by_token = self.ngram_margin.token_evidence(input_ids)  # (B, T); its gradient at the word embeddings is 0
            evidence, margin = (by_token,), margin + by_token.sum(-1) + self.ngram_margin.bias
        probability = torch.sigmoid(self.calibration.scale * margin + self.calibration.offset)
        if not self.gradients:
            return margin, probability
        grad = self.pooler.backward((1 - pooled * pooled) * self.head.squeeze(1))  # (B, D)
        grad = self.last.backward(grad, last_saved).flatten(0, 1)  # (B, T, D) -> (N, D)
        for layer, kept in zip(reversed(self.layers), reversed(saved), strict=True):
            grad = layer.backward(grad, kept)
        direction, length = self.norm.backward_parts(grad, norm_saved)  # (N, D), (N, 1): their product is ∂f/∂e
        if self.kind == "gradient":
            squared = (direction * direction).sum(-1) * (length * length).squeeze(-1)  # (N,)
            saliency = (squared + EPSILON).sqrt()
        else:
            saliency = ((direction * words.flatten(0, 1)).sum(-1) * length.squeeze(-1)).abs()
        return margin, probability, saliency.view(batch, tokens) * mask, *evidence


class _LayerSaved(NamedTuple):
    query: Tensor  # (B, H, T, K)
    key: Tensor
    value: Tensor
    attention: Tensor  # (B, H, T, T)
    norm: tuple[Tensor, Tensor]
    feed_forward: tuple[Tensor, ...]
    shape: tuple[int, int]


class _Layer(nn.Module):
    """A transformer layer for all tokens, forward and backward."""

    def __init__(self, layer: Any, heads: int, gradients: bool) -> None:
        super().__init__()
        attention, output = layer.attention.self, layer.attention.output
        self.heads = heads
        # the scale of the scores is part of the queries
        self.query = Affine(attention.query, scale=attention.attention_head_size**-0.5)
        self.key = Affine(attention.key)
        self.value = Affine(attention.value)
        self.output = Affine(output.dense)
        self.norm = Norm(output.LayerNorm, gradients)
        self.feed_forward = FeedForward(layer, gradients)

    def forward(self, x: Tensor, bias: Tensor, batch: int, tokens: int) -> tuple[Tensor, _LayerSaved]:
        query, key, value = (
            part(x).view(batch, tokens, self.heads, -1).transpose(1, 2) for part in (self.query, self.key, self.value)
        )  # (N, D) -> (B, H, T, K)
        attention = torch.softmax(query @ key.transpose(2, 3) + bias, dim=-1)  # (B, H, T, T)
        context = (attention @ value).transpose(1, 2).reshape(x.shape)  # (B, H, T, K) -> (N, D)
        x, norm_saved = self.norm(self.output(context) + x)
        x, feed_forward_saved = self.feed_forward(x)
        return x, _LayerSaved(query, key, value, attention, norm_saved, feed_forward_saved, (batch, tokens))

    def backward(self, grad: Tensor, saved: _LayerSaved) -> Tensor:
        grad = self.norm.backward(self.feed_forward.backward(grad, saved.feed_forward), saved.norm)  # (N, D)
        batch, tokens = saved.shape
        context = self.output.backward(grad).view(batch, tokens, self.heads, -1).transpose(1, 2)  # (B, H, T, K)
        scores = softmax_backward(context @ saved.value.transpose(2, 3), saved.attention)  # (B, H, T, T)
        for part, part_grad in (
            (self.value, saved.attention.transpose(2, 3) @ context),
            (self.query, scores @ saved.key),
            (self.key, scores.transpose(2, 3) @ saved.query),
        ):
            grad = part.backward(part_grad.transpose(1, 2).reshape(grad.shape), grad)
        return grad


class _LastSaved(NamedTuple):
    x: Tensor  # (B, T, D)
    probe: Tensor  # (B, H, D)
    attention: Tensor  # (B, H, T)
    norm: tuple[Tensor, Tensor]
    feed_forward: tuple[Tensor, ...]


class _LastLayer(nn.Module):
    """The last layer for the first token alone."""

    def __init__(self, layer: Any, heads: int, gradients: bool) -> None:
        super().__init__()
        attention, output = layer.attention.self, layer.attention.output
        self.heads = heads
        self.query = Affine(attention.query, scale=attention.attention_head_size**-0.5)
        # the keys' bias shifts all scores of a query alike: the softmax does not see it
        self.key = Affine(attention.key)
        self.value = Affine(attention.value)
        self.output = Affine(output.dense)
        self.norm = Norm(output.LayerNorm, gradients)
        self.feed_forward = FeedForward(layer, gradients)

    def forward(self, x: Tensor, bias: Tensor) -> tuple[Tensor, _LastSaved]:
        """(B, T, D), bias (B, 1, T) -> (B, D)."""
        first = x[:, 0]
        probe = self._into(self.query(first), self.key)  # (B, H, D)
        attention = torch.softmax(probe @ x.transpose(1, 2) + bias, dim=-1)  # (B, H, T)
        context = self._out_of(attention @ x, self.value) + self.value.bias  # (B, H, D) -> (B, D)
        out, norm_saved = self.norm(self.output(context) + first)
        out, feed_forward_saved = self.feed_forward(out)
        return out, _LastSaved(x, probe, attention, norm_saved, feed_forward_saved)

    def backward(self, grad: Tensor, saved: _LastSaved) -> Tensor:
        """(B, D) -> (B, T, D)."""
        x, attention = saved.x, saved.attention
        grad = self.norm.backward(self.feed_forward.backward(grad, saved.feed_forward), saved.norm)  # (B, D)
        context = self._into(self.output.backward(grad), self.value)  # (B, H, D)
        scores = softmax_backward(context @ x.transpose(1, 2), attention)  # (B, H, T)
        grad = self.query.backward(self._out_of(scores @ x, self.key), grad)  # what reaches the first token directly
        is_first = (torch.arange(x.shape[1], device=x.device) == 0).to(x.dtype).expand(x.shape[0], 1, -1)  # (B, 1, T)
        # one product for the three ways back to a token: its value, its key, and being the first
        ways = torch.cat([attention, scores, is_first], dim=1)  # (B, 2H + 1, T)
        return ways.transpose(1, 2) @ torch.cat([context, saved.probe, grad[:, None]], dim=1)  # (B, T, D)

    def _into(self, rows: Tensor, part: Affine) -> Tensor:
        """Each head's slice times the transpose of its columns of the weight: (B, D) -> (B, H, D)."""
        by_head = rows.view(rows.shape[0], self.heads, -1).transpose(0, 1)  # (H, B, K)
        columns = part.weight.view(part.weight.shape[0], self.heads, -1).permute(1, 2, 0)  # (H, K, D)
        return (by_head @ columns).transpose(0, 1)

    def _out_of(self, rows: Tensor, part: Affine) -> Tensor:
        """Each head's row times its columns of the weight: (B, H, D) -> (B, D)."""
        columns = part.weight.view(part.weight.shape[0], self.heads, -1).transpose(0, 1)  # (H, D, K)
        return (rows.transpose(0, 1) @ columns).transpose(0, 1).reshape(rows.shape[0], -1)
