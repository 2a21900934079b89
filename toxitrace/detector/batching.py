"""Micro-batches: token sequences of all lengths, sorted and padded with little waste. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toxitrace.detector.backend import TokenBatch

# Padding that a batch may have before it is cut: of 32 to 512 the best in trials with 300 short texts.
MAX_PADDING_TOKENS = 64


def micro_batches(
    lengths: Sequence[int], max_padded_tokens: int, max_padding_tokens: int = MAX_PADDING_TOKENS
) -> list[list[int]]:
    """Group sequence indices so that each group, padded to its longest, stays within a token budget.

    Args:
        lengths: tokens of each sequence.
        max_padded_tokens: most tokens of a padded group; a longer single sequence stands alone.
        max_padding_tokens: most of these that may be padding.

    Returns:
        Groups of indices into ``lengths``; every index occurs once, shortest sequences first.

    >>> micro_batches([5, 1, 2, 9], max_padded_tokens=6)
    [[1, 2], [0], [3]]
    """
    groups: list[list[int]] = []
    filled = 0  # tokens of the last group, without padding
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        # Sorted by length: the newcomer is the longest, so it sets the width of the whole group.
        padded = (len(groups[-1]) + 1) * lengths[index] if groups else max_padded_tokens + 1
        if padded <= max_padded_tokens and padded - filled - lengths[index] <= max_padding_tokens:
            groups[-1].append(index)
            filled += lengths[index]
        else:
            groups.append([index])
            filled = lengths[index]
    return groups


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> TokenBatch:
    """Stack token sequences into one batch, padded on the right to the longest."""
    width = max(len(sequence) for sequence in sequences)
    input_ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(sequences), width), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        input_ids[row, : len(sequence)] = sequence
        attention_mask[row, : len(sequence)] = 1
    return TokenBatch(input_ids, attention_mask)


def with_even_shape(batch: TokenBatch, rows_multiple: int, tokens_multiple: int, max_tokens: int) -> TokenBatch:
    """Pad a batch to one of few shapes, for programs that prepare themselves for each shape anew.

    Legend: B batch, T tokens. The texts of the batch are the answer's ``[:B, :T]``; what lies beyond means nothing.
    Added rows repeat the last one, so that each has tokens to attend to.

    Args:
        batch: (B, T).
        rows_multiple: B grows to a multiple of this; a smaller batch stays as it is, lest one text cost several.
        tokens_multiple: T grows to a multiple of this.
        max_tokens: most the model reads, to which T grows at most; a wider batch keeps its width.

    >>> batch = pad([[5, 6, 7], [8], [9]], pad_id=0)
    >>> with_even_shape(batch, 2, 4, max_tokens=128).input_ids.tolist()
    [[5, 6, 7, 0], [8, 0, 0, 0], [9, 0, 0, 0], [9, 0, 0, 0]]
    """
    n_rows, n_tokens = batch.input_ids.shape
    more_rows = -n_rows % rows_multiple if n_rows > rows_multiple else 0
    more_tokens = max(0, min(n_tokens + -n_tokens % tokens_multiple, max_tokens) - n_tokens)

    def grown(values: NDArray[np.int64]) -> NDArray[np.int64]:
        # the mask is 0 there, so any id will do; 0 is in every vocabulary
        wide = np.pad(values, ((0, 0), (0, more_tokens)))
        return np.pad(wide, ((0, more_rows), (0, 0)), mode="edge")  # (B, T) -> (B + more_rows, T + more_tokens)

    return TokenBatch(grown(batch.input_ids), grown(batch.attention_mask))
