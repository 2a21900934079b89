"""Cutting a text that is longer than the encoder into overlapping windows."""

from __future__ import annotations

from toxitrace.errors import ConfigError


def windows(n_tokens: int, max_content_tokens: int, overlap: int) -> list[tuple[int, int]]:
    """Half-open token ranges that cover a text in order; the last one is moved back to end with the text.

    Args:
        n_tokens: tokens of the text, special tokens not counted.
        max_content_tokens: tokens that fit into the encoder beside [CLS] and [SEP].
        overlap: tokens that neighbours share at least, so that a word on an edge is seen whole.

    Raises:
        ConfigError: the windows would not move forward.

    >>> windows(10, 6, 2), windows(11, 6, 2), windows(0, 6, 2)
    ([(0, 6), (4, 10)], [(0, 6), (4, 10), (5, 11)], [(0, 0)])
    """
    if not 0 <= overlap < max_content_tokens:
        raise ConfigError(
            f"windows of {max_content_tokens} tokens with an overlap of {overlap} cannot cover a text; "
            "expected 0 <= overlap < max_content_tokens"
        )
    if n_tokens <= max_content_tokens:
        return [(0, n_tokens)]
    last = n_tokens - max_content_tokens
    starts = [*range(0, last, max_content_tokens - overlap), last]
    return [(start, start + max_content_tokens) for start in starts]
