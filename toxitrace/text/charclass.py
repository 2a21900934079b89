"""What a single character is to a reader: invisible, a separator, or part of a word."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

# Drawn as nothing, though their category is not Cf: joiner, Hangul fillers, Khmer inherent vowels.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5\u180b\u180c\u180d\u180f")
# Symbols (So) that draw lines, frames and arrows; every other So may be an emoji or a letter in a ring.
_SEPARATING_SYMBOLS = ((0xA6, 0xB6), (0x2190, 0x2319), (0x231C, 0x23E8), (0x2400, 0x244A), (0x2500, 0x25FF),
                       (0x2800, 0x28FF), (0x2900, 0x2BFF), (0x3004, 0x303F), (0xFFE4, 0xFFFD))  # fmt: skip
_EMOJI_AMONG_THEM = frozenset("⭐⭕")
# Stand in for a letter the writer would not spell out: "笨*蛋", "f**k", "傻×们", "王○蛋".
_WORD_MASK = re.compile(r"(?<=\w)[*＊∗×✕✖╳○◯●□■]+(?=\w)")


@cache
def is_invisible(char: str) -> bool:
    """Whether a character draws nothing and takes no room: format characters, variation selectors, controls.

    White space, tabs and line ends take room and are not invisible.

    >>> is_invisible("\\u200b"), is_invisible("\\n"), is_invisible("字")
    (True, False, False)
    """
    category = unicodedata.category(char)
    if category == "Cc":
        return not char.isspace()
    return (
        category == "Cf"
        or char in _INVISIBLE
        or "\ufe00" <= char <= "\ufe0f"  # variation selectors
        or "\U000e0000" <= char <= "\U000e0fff"  # tags and variation selectors 17-256, the unassigned ones included
    )


@cache
def _separates(char: str) -> bool:
    category = unicodedata.category(char)
    if char.isspace() or category[0] in "PZ" or category in ("Sm", "Cs"):
        return True
    if category == "Sk":
        return not "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones belong to their emoji
    if category == "So":
        code = ord(char)
        return char not in _EMOJI_AMONG_THEM and any(low <= code <= high for low, high in _SEPARATING_SYMBOLS)
    return False


def separator_mask(text: str) -> npt.NDArray[np.bool_]:
    """Mark the characters that end a phrase: punctuation, separating symbols and white space.

    Emoji, currency signs and letters in rings are words. So is a "*" (or × ○ □ and the like) between two word
    characters, where it hides a letter. Invisible characters separate nothing: a zero-width space inside
    a word must not cut it in two.

    Returns:
        (n_chars,) bool, one per character of ``text``.

    >>> separator_mask("笨*蛋，走！").tolist()
    [False, False, False, True, False, True]
    """
    mask = np.fromiter(map(_separates, text), dtype=np.bool_, count=len(text))
    for match in _WORD_MASK.finditer(text):
        mask[match.start() : match.end()] = False
    return mask
