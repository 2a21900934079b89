"""A small causal language model from scratch: Qwen2's layout, one token per character.

The tokenizer is a byte-level BPE, as Qwen2's own, whose only merges build single characters out of their bytes. A
tokenizer with a vocabulary of plain characters would be simpler, but `AutoTokenizer` turns whatever lies beside a
Qwen2 model into a `Qwen2Tokenizer`, byte-level, and then drops every character without a word (transformers 5.23).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from toxitrace.explore.config import SmallLMSize
from toxitrace.explore.language_model import LanguageModel
from toxitrace.explore.prompts import END, MARKERS, PAD, clean
from toxitrace.explore.vocabulary import BYTE_CHARS


def new_small_lm(texts: Iterable[str], size: SmallLMSize | None = None, *, seed: int = 1) -> LanguageModel:
    """An untrained model whose alphabet is that of ``texts``.

    Args:
        texts: read once; what the model is to read and write.
        size: layers, widths, vocabulary.
        seed: of the initial weights.
    """
    size = size or SmallLMSize()
    tokenizer = build_char_bpe(texts, size)
    config = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 8) * 8,  # a multiple of 8 for the matrix units
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=size.max_positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    return LanguageModel(model.eval(), tokenizer)


def build_char_bpe(texts: Iterable[str], size: SmallLMSize) -> Qwen2Tokenizer:
    """A byte-level tokenizer with one token for every frequent character and bytes for the others: nothing is unknown.

    Args:
        texts: read once.
        size: its ``vocab_size`` and ``min_count``.
    """
    counts = Counter(chain.from_iterable(clean(text) for text in texts))
    frequent = [
        char
        for char, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if count >= size.min_count and len(char.encode()) > 1
    ]
    vocab = {token: index for index, token in enumerate((PAD, END, *BYTE_CHARS))}
    merges: list[tuple[str, str]] = []
    for char in (*MARKERS[2:], *frequent):
        spelt = [BYTE_CHARS[byte] for byte in char.encode()]
        steps = [("".join(spelt[:i]), spelt[i]) for i in range(1, len(spelt))]
        new = [(left, right) for left, right in steps if left + right not in vocab]
        if len(vocab) + len(new) > size.vocab_size:
            break
        for left, right in new:
            vocab[left + right] = len(vocab)
            merges.append((left, right))
    made: Any = Qwen2Tokenizer  # its hints leave out the pairs and the None that it takes
    tokenizer: Qwen2Tokenizer = made(
        vocab=vocab,
        merges=merges,
        pad_token=PAD,
        eos_token=END,
        unk_token=None,
        bos_token=None,
        model_max_length=size.max_positions,
        padding_side="left",
    )
    return tokenizer
