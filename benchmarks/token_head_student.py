"""The heads of `token_head.py`: what they learn from, how they learn it, and BERT's forward pass with one on top.

Legend: B batch, T tokens, N = B·T rows, D hidden, L layers.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from toxitrace.detector.batching import micro_batches, pad
from toxitrace.detector.scoring import MAX_PADDED_TOKENS
from toxitrace.detector.windowed import windowed
from toxitrace.encoder import Classifier
from toxitrace.export.bert import _FAR_BELOW, BertGraph, _Layer
from toxitrace.saliency import margin_saliency, scale_saliency
from toxitrace.settings import Calibration, ModelSettings
from toxitrace.text import TextTokenizer, chars_to_token_mask, separator_mask

# name -> makes a head for a model configuration; the inputs of its first layer say how many layers it sees, from the
# last one down. The embeddings' output counts as one more layer.
HEADS: dict[str, Callable[[Any], nn.Sequential]] = {
    "linear": lambda config: nn.Sequential(nn.Linear(config.hidden_size, 1)),
    "MLP": lambda config: nn.Sequential(
        nn.Linear((config.num_hidden_layers + 1) * config.hidden_size, config.hidden_size),
        nn.GELU(),
        nn.Linear(config.hidden_size, 1),
    ),
}


class Lesson(NamedTuple):
    """The W tokens of one text that are more than separators; BiCSE ignores the others' saliency."""

    hidden: Tensor
    """(W, (L + 1) D) float16, half the memory: outputs of LayerNorm, of order one."""
    target: Tensor
    """(W,) ĝ, the teacher's."""


class HeadGraph(nn.Module):
    """What ``BertGraph`` gives, with a head's output in the place of the gradient.

    The last layer is computed for every token: the head needs it there, the margin at the first token alone.

    Args:
        model: one for which ``is_plain_bert`` holds.
        calibration: baked into the probability.
        head: of ``HEADS``.
    """

    def __init__(self, model: PreTrainedModel, calibration: Calibration, head: nn.Sequential) -> None:
        super().__init__()
        self.bert: Any = BertGraph(model, calibration, gradients=False)
        layer: Any = model.bert.encoder.layer[-1]
        self.bert.last = _Layer(layer, model.config.num_attention_heads, gradients=False)
        self.head = head

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
        """(B, T) -> the embeddings' output and each layer's, (N, D)."""
        bert, (batch, tokens) = self.bert, input_ids.shape
        words = functional.embedding(input_ids, bert.words)  # (B, T) -> (B, T, D)
        if bert.ngrams is not None:
            words = words + bert.ngrams(input_ids)
        bias = ((1 - attention_mask.to(words.dtype)) * _FAR_BELOW)[:, None, None]  # (B, 1, 1, T)
        found = [bert.norm((words + bert.positions[:tokens]).flatten(0, 1))[0]]
        for layer in (*bert.layers, bert.last):
            found.append(layer(found[-1], bias, batch, tokens)[0])
        return found

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bert, states = self.bert, self.states(input_ids, attention_mask)
        first = states[-1].view(*input_ids.shape, -1)[:, 0]  # (B, D)
        margin = torch.addmm(bert.head_bias, torch.tanh(bert.pooler(first)), bert.head).squeeze(1)  # (B,)
        probability = torch.sigmoid(bert.calibration.scale * margin + bert.calibration.offset)
        n_seen = self.head[0].in_features // first.shape[-1]
        weight = torch.sigmoid(self.head(torch.cat(states[-n_seen:], dim=-1)))  # (N, 1)
        return margin, probability, weight.view(input_ids.shape) * attention_mask.to(weight.dtype)


def read_lessons(
    classifier: Classifier, texts: Sequence[str], tokenizer: TextTokenizer, settings: ModelSettings
) -> list[Lesson]:
    """Hidden states and exact saliency of each text's first window, shortest texts first; 2 (L + 1) D bytes a token.

    Texts without words are left out.
    """
    graph = HeadGraph(classifier.model, settings.calibration, nn.Sequential())  # its states alone are asked for
    sequences, words = [], []
    for text, tokens in zip(texts, tokenizer.tokenize(texts), strict=True):
        cut = windowed(tokens, settings.max_tokens, 1)
        in_words = chars_to_token_mask(~separator_mask(text), tokens.starts, tokens.ends)[: settings.max_tokens - 2]
        if in_words.any():
            sequences.append(cut.sequence(0, tokenizer))
            words.append([0, *in_words.tolist(), 0])
    lessons = []
    for group in micro_batches([len(sequence) for sequence in sequences], MAX_PADDED_TOKENS):
        batch = pad([sequences[i] for i in group], tokenizer.pad_id)
        inputs = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
        content = torch.from_numpy(pad([words[i] for i in group], 0).input_ids).bool()  # (B, T)
        target = scale_saliency(margin_saliency(classifier, *inputs, kind=settings.saliency)[1], content)
        with torch.no_grad():
            hidden = torch.cat(graph.states(*inputs), dim=-1).half().view(*content.shape, -1)  # (B, T, (L + 1) D)
        lessons += [Lesson(h[c], t[c]) for h, t, c in zip(hidden, target, content, strict=True)]
    return lessons


def distil(
    lessons: Sequence[Lesson], make_head: Callable[[], nn.Sequential], seed: int, args: argparse.Namespace
) -> tuple[nn.Sequential, dict[str, Any]]:
    """Train a head.

    Args:
        args: ``epochs, held_out_share, batch`` (texts), ``lr``.

    Returns:
        The head of the best epoch, and per epoch the held-out loss above the lowest that any head could have.
    """
    torch.manual_seed(seed)
    order = torch.randperm(len(lessons)).tolist()  # before the head: both sizes hold out the same texts
    head = make_head()
    n_held_out = max(1, round(args.held_out_share * len(order)))
    held_out, kept = [lessons[i] for i in order[:n_held_out]], [lessons[i] for i in order[n_held_out:]]
    floor = _entropy(torch.cat([lesson.target for lesson in held_out]))
    optimizer = torch.optim.AdamW(head.parameters(), lr=args.lr)
    losses: list[float] = []
    best = head
    for _ in range(args.epochs):
        for chosen in torch.randperm(len(kept)).split(args.batch):
            _loss(head, [kept[i] for i in chosen]).backward()
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            losses.append(float(_loss(head, held_out)) - floor)
        if losses[-1] == min(losses):
            best = copy.deepcopy(head)
    n_weights = sum(weight.numel() for weight in head.parameters())
    learnt = {"seed": seed, "held_out_loss": losses, "epoch": losses.index(min(losses)) + 1, "n_weights": n_weights}
    return best.requires_grad_(False).eval(), learnt


def _loss(head: nn.Sequential, lessons: Sequence[Lesson]) -> Tensor:
    width = head[0].in_features
    hidden = torch.cat([lesson.hidden[:, -width:] for lesson in lessons]).float()  # (W of all, width)
    target = torch.cat([lesson.target for lesson in lessons])
    return functional.binary_cross_entropy_with_logits(head(hidden).squeeze(1), target)


def _entropy(target: Tensor) -> float:
    """Cross-entropy of the targets with themselves: what the loss comes to for a perfect head."""
    return float(functional.binary_cross_entropy(target, target))
