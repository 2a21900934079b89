"""One text as the model reads it: its tokens, the windows over them, and their weights put together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxitrace.detector.scoring import TokenWeights
from toxitrace.errors import ModelError
from toxitrace.text import TextTokenizer, TokenizedText, chars_to_token_mask, tokens_to_chars, windows
from toxitrace.text.words import MAX_WORD_TOKENS, WordList


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
    text: WindowedText,
    weights: Sequence[tuple[int, TokenWeights]],
    separators: NDArray[np.bool_],
    ngram_evidence: float = 0.0,
    words: WordList | None = None,
    word_share: float = 0.0,
) -> NDArray[np.float64]:
    """Put the token weights of some windows together.

    Every window is divided by its own largest weight over tokens that are more than separators (the scale of
    ``spans.scale_saliency``), since gradients of two windows share no unit; where windows overlap the larger counts.
    What n-grams say for toxicity is added to that, and the sum scaled again; what they say against it is left out.
    Then the tokens of a word are lifted towards its heaviest one: a reader takes words, not characters.

    Args:
        weights: (window, its token weights without special tokens).
        separators: (n_chars,) true at punctuation and white space.
        ngram_evidence: what a unit of the n-grams' evidence, on the scale of margins, adds.
        words: which tokens belong together; None leaves every token its own weight.
        word_share: how far a word's tokens are lifted to its heaviest one.

    Returns:
        (n_chars,) in [0, 1]; 0 outside the given windows.

    Raises:
        ModelError: evidence of n-grams is to count and there is none.
    """
    tokens = text.tokens
    counted = chars_to_token_mask(~separators, tokens.starts, tokens.ends)  # (T,)
    scaled = np.zeros(len(tokens.token_ids))
    for window, weight in weights:
        start, end = text.bounds[window]
        own = _scaled(weight.saliency, counted[start:end])
        if ngram_evidence:
            if weight.ngram_evidence is None:
                raise ModelError(
                    f"the model's ngram_evidence is {ngram_evidence}, but its graph gives none: the files are of two "
                    "exports, or a back end does not ask for it; export the model again, or return it"
                )
            own = _scaled(own + ngram_evidence * np.maximum(weight.ngram_evidence, 0.0), counted[start:end])
        np.maximum(scaled[start:end], own, out=scaled[start:end])
    if words is not None and word_share:
        _lift(scaled, words, word_share, tokens.token_ids)
    return np.asarray(tokens_to_chars(scaled, tokens.starts, tokens.ends, tokens.n_chars), dtype=np.float64)


def _scaled(weight: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The weights with the largest of the tokens that count being 1, none larger; 0 where none of them has any."""
    top = weight[counted].max(initial=0.0)
    return np.minimum(weight / top, 1.0) if top > 0 else np.zeros_like(weight)


def _lift(scaled: NDArray[np.float64], words: WordList, share: float, token_ids: NDArray[np.int64]) -> None:
    """Lift the tokens of each word towards its heaviest one, in place."""
    weighed = np.flatnonzero(scaled)
    if not len(weighed):
        return
    # of a long text most has no weight
    first, last = max(int(weighed[0]) - MAX_WORD_TOKENS, 0), int(weighed[-1]) + MAX_WORD_TOKENS
    for start, end in words.bounds(token_ids[first:last].tolist()):
        if end - start > 1:
            word = scaled[first + start : first + end]
            word += share * (word.max() - word) * (word > 0)  # nothing outside of the windows
