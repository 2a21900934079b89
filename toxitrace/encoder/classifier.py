"""A BERT-style encoder with a two-way head, open at its word embeddings so that gradients can be taken there.

Legend: B batch, T tokens, D hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from toxitrace.encoder.ngram_margin import add_ngram_margin


class Encoded(NamedTuple):
    """What one forward pass gives."""

    logits: Tensor
    """(B, 2): non-toxic, toxic."""
    pooled: Tensor
    """(B, D): last hidden state of the first token; what ARCL compares."""


class Classifier(nn.Module):
    """Any `transformers` sequence-classification model with two labels.

    Args:
        model: its ``config.id2label`` names non-toxic first, toxic second.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def embed(self, input_ids: Tensor) -> Tensor:
        """Word embeddings e_i, before position embedding and LayerNorm: (B, T) -> (B, T, D)."""
        embedded: Tensor = self.model.get_input_embeddings()(input_ids)
        return embedded

    def encode(self, embeddings: Tensor, attention_mask: Tensor, input_ids: Tensor | None = None) -> Encoded:
        """(B, T, D) word embeddings, (B, T) mask and the (B, T) ids behind them -> logits and pooled vectors.

        The ids are for the n-grams that judge beside the encoder, where the model has such; without ids the logits are
        the encoder's alone, with the same gradient.
        """
        out = self.model(inputs_embeds=embeddings, attention_mask=attention_mask, output_hidden_states=True)
        ngrams = getattr(self.model, "ngram_margin", None)
        logits = out.logits if ngrams is None or input_ids is None else add_ngram_margin(out.logits, input_ids, ngrams)
        return Encoded(logits, out.hidden_states[-1][:, 0])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask -> (B, 2) logits."""
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits

    def ngram_evidence(self, input_ids: Tensor) -> Tensor | None:
        """(B, T): what n-grams that judge beside the encoder add to the margin by each token; None: there are none."""
        ngrams = getattr(self.model, "ngram_margin", None)
        return None if ngrams is None else ngrams.token_evidence(input_ids)

    @property
    def max_positions(self) -> int:
        """Longest input in tokens."""
        return int(self.model.config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device
