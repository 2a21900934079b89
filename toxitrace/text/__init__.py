"""Folding, tokenising and aligning text, with offsets that always point into the caller's string."""

from toxitrace.text.align import chars_to_token_mask, spans_to_token_mask, tokens_to_chars
from toxitrace.text.charclass import is_invisible, separator_mask
from toxitrace.text.fold import FoldedText, fold
from toxitrace.text.segment import segment
from toxitrace.text.tokenize import TextTokenizer, TokenizedText
from toxitrace.text.traditional import traditional_to_simplified
from toxitrace.text.windows import windows
from toxitrace.text.words import WordList

__all__ = [
    "FoldedText",
    "TextTokenizer",
    "TokenizedText",
    "WordList",
    "chars_to_token_mask",
    "fold",
    "is_invisible",
    "segment",
    "separator_mask",
    "spans_to_token_mask",
    "tokens_to_chars",
    "traditional_to_simplified",
    "windows",
]
