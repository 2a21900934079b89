"""Encoders of a few hundred weights, with weights large enough for their gradients to differ."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from toxitrace.encoder import Classifier

torch.set_num_threads(1)


def tiny_config(*, hidden: int = 16, layers: int = 2, vocab_size: int = 30, max_positions: int = 32) -> BertConfig:
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=max_positions,
        initializer_range=0.4,
        num_labels=2,
    )


def tiny_classifier(seed: int = 0, dtype: torch.dtype = torch.float32, **size: int) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(BertForSequenceClassification(tiny_config(**size)).to(dtype)).eval()


def padded(*rows: list[int], pad_id: int = 0) -> tuple[Tensor, Tensor]:
    """(B, T) ids and mask."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask
