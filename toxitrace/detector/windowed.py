"""One text as the model reads it: its tokens, the windows over them, and their weights put together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxitrace.text import TextTokenizer, TokenizedText, chars_to_token_mask, tokens_to_chars, windows


@dataclass(frozen=True, slots=True, eq=False)
class WindowedText:
    """The tokens of a text and the windows that cover them.

    Attributes:
        tokens: (T,) tokens with their characters, special tokens not counted.
        bounds: half-open token ranges; none for a text without tokens.
        truncated: whether tokens behind the last window are left unread.
    """

    tokens: TokenizedText
    bounds: tuple[tuple[int, int], ...]
    truncated: bool

    def sequence(self, window: int, tokenizer: TextTokenizer) -> list[int]:
        """Token ids of a window between [CLS] and [SEP]."""
        start, end = self.bounds[window]
        return [tokenizer.cls_id, *self.tokens.token_ids[start:end].tolist(), tokenizer.sep_id]


def windowed(tokens: TokenizedText, max_tokens: int, max_windows: int) -> WindowedText:
    """Lay windows over a text; neighbours share a quarter of their tokens.

    Args:
        max_tokens: longest input of the encoder, [CLS] and [SEP] included.
        max_windows: windows after which the rest of the text is left unread.
    """
    n_tokens, content = len(tokens.token_ids), max_tokens - 2
    bounds = windows(n_tokens, content, content // 4) if n_tokens else []
    return WindowedText(tokens, tuple(bounds[:max_windows]), len(bounds) > max_windows)


def char_saliency(
    text: WindowedText, weights: Sequence[tuple[int, NDArray[np.float64]]], separators: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Put the token weights of some windows together.

    Every window is divided by its own largest weight over tokens that are more than separators (the scale of
    ``spans.scale_saliency``), since gradients of two windows share no unit; where windows overlap the larger counts.

    Args:
        weights: (window, its token weights without special tokens).
        separators: (n_chars,) true at punctuation and white space.

    Returns:
        (n_chars,) in [0, 1]; 0 outside the given windows.
    """
    tokens = text.tokens
    words = chars_to_token_mask(~separators, tokens.starts, tokens.ends)  # (T,)
    scaled = np.zeros(len(tokens.token_ids))
    for window, weight in weights:
        start, end = text.bounds[window]
        top = weight[words[start:end]].max(initial=0.0)
        if top > 0:
            np.maximum(scaled[start:end], np.minimum(weight / top, 1.0), out=scaled[start:end])
    return np.asarray(tokens_to_chars(scaled, tokens.starts, tokens.ends, tokens.n_chars), dtype=np.float64)
