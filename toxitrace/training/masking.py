"""Span masking for masked-LM pre-training: short runs of characters stand in for whole words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_SPAN_TOKENS = 5


def span_mask(
    shape: tuple[int, int], share: float, mean_span_tokens: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Draw which tokens to predict: runs with geometric lengths, about ``share`` of all tokens.

    Args:
        shape: (B, T).
        share: expected share of masked tokens.
        mean_span_tokens: mean run length before clipping at 5 tokens.
        rng: the only source of chance.

    Returns:
        (B, T) bool.

    Note: reconstruction of SpanBERT's masking (Joshi et al. 2020, section 3.1) without its exact budget.
    """
    lengths = np.minimum(rng.geometric(1 / mean_span_tokens, size=shape), MAX_SPAN_TOKENS)
    keep = 1 - 1 / mean_span_tokens
    mean_clipped = sum(keep**k for k in range(MAX_SPAN_TOKENS))
    # runs may overlap: start rate r covers 1 - (1 - r)^mean of the tokens to first order
    rate = 1 - (1 - share) ** (1 / mean_clipped)
    starts = rng.random(shape) < rate
    mask: npt.NDArray[np.bool_] = starts.copy()
    for offset in range(1, MAX_SPAN_TOKENS):
        mask[:, offset:] |= (starts & (lengths > offset))[:, :-offset]
    return mask


def corrupt(
    token_ids: npt.NDArray[np.int64],
    mask: npt.NDArray[np.bool_],
    mask_id: int,
    vocab: tuple[int, int],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Hide the masked tokens the BERT way: 80 % [MASK], 10 % a random token, 10 % left as they are.

    Args:
        token_ids: (B, T).
        mask: (B, T) bool.
        mask_id: id of [MASK].
        vocab: range of ids from which random tokens are drawn (special tokens left out).
        rng: the only source of chance.

    Returns:
        (B, T) the input with masked tokens hidden.
    """
    draw = rng.random(token_ids.shape)
    hidden = np.where(mask & (draw < 0.8), mask_id, token_ids)
    swap = mask & (draw >= 0.9)
    hidden[swap] = rng.integers(*vocab, size=int(swap.sum()))
    return hidden
