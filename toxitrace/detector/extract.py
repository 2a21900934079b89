"""Saliency of one text -> the spans a user sees. Pure."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from toxitrace.settings import BiCSEParams
from toxitrace.spans.bicse import bicse
from toxitrace.text import is_invisible, separator_mask
from toxitrace.types import Span

# Digits of probabilities and scores: below, numbers depend on the batch that a text happened to stand in.
DIGITS = 6


def extract_spans(text: str, saliency: NDArray[Any], params: BiCSEParams) -> tuple[Span, ...]:
    """BiCSE on the characters of ``text``, without the invisible ones that folding counts to a span's last character.

    Args:
        saliency: (n_chars,) scaled saliency.

    >>> import numpy as np
    >>> [span.text for span in extract_spans("你真是个笨蛋", np.array([0, 0, 0, 0, 1, 0.9]), BiCSEParams())]
    ['笨蛋']
    """
    found = bicse(saliency, separator_mask(text), params)
    return tuple(
        Span.of(text, start, _visible_end(text, start, end), round(score, DIGITS)) for start, end, score in found
    )


def _visible_end(text: str, start: int, end: int) -> int:
    while end > start + 1 and is_invisible(text[end - 1]):
        end -= 1
    return end
