"""An encoder from scratch, in BERT's layout so that every BERT tool reads it."""

from __future__ import annotations

from transformers import BertConfig

from toxitrace.config import ScratchConfig
from toxitrace.encoder.ngrams import NgramBertConfig


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
