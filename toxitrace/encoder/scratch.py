"""An encoder from scratch, in BERT's layout so that every BERT tool reads it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from toxitrace.config import ScratchConfig
from toxitrace.encoder.ngrams import NgramBertConfig, NgramBertForMaskedLM, NgramBertForSequenceClassification


def scratch_config(size: ScratchConfig, vocab_size: int) -> BertConfig:
    """Translate ``size`` into a BERT configuration.

    Args:
        size: layers, widths, dropout, n-grams.
        vocab_size: entries of the tokenizer, rounded up to a multiple of 8 for the matrix units.
    """
    plain = BertConfig(
        vocab_size=-(-vocab_size // 8) * 8,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.feed_forward,
        max_position_embeddings=size.max_positions,
        hidden_dropout_prob=size.dropout,
        attention_probs_dropout_prob=size.dropout,
        pad_token_id=0,
        type_vocab_size=2,
    )
    if not size.ngram_buckets:
        return plain
    return NgramBertConfig(**plain.to_diff_dict() | {"ngram_buckets": size.ngram_buckets})


def fresh_masked_lm(config: BertConfig) -> BertForMaskedLM:
    """An untrained model for pre-training, its output layer tied to the word embeddings."""
    made = NgramBertForMaskedLM(config) if isinstance(config, NgramBertConfig) else BertForMaskedLM(config)
    _start_positions(made.bert.embeddings.position_embeddings.weight)
    return made


def fresh_classifier(config: BertConfig) -> BertForSequenceClassification:
    """An untrained model for fine-tuning, without anything pre-trained in it."""
    made = (
        NgramBertForSequenceClassification(config)
        if isinstance(config, NgramBertConfig)
        else BertForSequenceClassification(config)
    )
    _start_positions(made.bert.embeddings.position_embeddings.weight)
    return made


def _start_positions(weight: Tensor) -> None:
    """Let the learnt positions start as waves instead of noise, as long as before.

    With waves (Vaswani et al. 2017) "the token before" is one rotation for all places, with noise a fact of its own
    for every place. Whether that helps is open: over the first 2 M tokens of a trial the losses were the same.
    """
    n_positions, hidden = weight.shape
    half = -(-hidden // 2)
    rates = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
    angles = torch.arange(n_positions)[:, None] * rates  # (positions, D / 2)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)[:, :hidden]
    with torch.no_grad():
        weight.copy_(waves * (weight.norm() / waves.norm()))
