"""Folding a text to one spelling while remembering where every character came from.

Order: lone surrogates become U+FFFD, invisible characters go, NFKC, lower case, NFKC again (lower-casing can make
a pair composable: "J" + caron), traditional -> simplified. Offsets are code points of the caller's string.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from toxitrace.settings import FoldOptions
from toxitrace.text.charclass import is_invisible
from toxitrace.text.traditional import traditional_to_simplified

# Unicode's stream-safe limit (UAX 15, section 13): CPython sorts combining marks in quadratic time, so a megabyte
# of them must be cut. No real language comes near.
_MAX_SEGMENT_CHARS = 32


@dataclass(frozen=True, slots=True, eq=False)
class FoldedText:
    """A folded text and, for each of its characters, the part of the raw text that it came from.

    Characters that came from the same raw characters ("㍿" gives four) share one range; an invisible character
    belongs to the range before it. Ranges never go backwards.

    Attributes:
        text: the folded text.
        starts: (n,) int64, first raw code point of each folded character.
        ends: (n,) int64, raw code point after its last.
    """

    text: str
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def to_raw(self, start: int, end: int) -> tuple[int, int]:
        """Half-open range of the raw text behind folded characters ``[start, end)``.

        Raises:
            IndexError: the range does not lie inside the folded text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise IndexError(f"range [{start}, {end}) does not lie in a folded text of {len(self.text)} characters")
        if start == end:
            here = int(self.starts[start]) if start < len(self.text) else int(self.ends[-1]) if self.text else 0
            return here, here
        return int(self.starts[start]), int(self.ends[end - 1])


def fold(text: str, options: FoldOptions | None = None) -> FoldedText:
    """Fold a text to the one spelling that a model is trained on.

    Folding a folded text again changes nothing (runs of more than 32 combining marks excepted).

    >>> folded = fold("笨\\u200bＤＡＮ")
    >>> folded.text, folded.to_raw(0, 1), folded.to_raw(1, 4)
    ('笨dan', (0, 2), (2, 5))
    """
    return _folder(FoldOptions() if options is None else options)(text)


@cache
def _composes_with_the_character_before() -> frozenset[str]:
    """Starters and marks that can be the second half of a canonical composition; Hangul vowels and finals included."""
    pairs = (unicodedata.decomposition(chr(code)).split() for code in range(0xA0, 0x30000))
    seconds = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}
    return frozenset(seconds | {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))})


def _joins(char: str) -> bool:
    """Whether NFKC may merge or reorder ``char`` with what stands before it."""
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.combining(first) != 0 or first in _composes_with_the_character_before()


class _Folder:
    """Folding under one set of options; remembers what it learnt about each character."""

    def __init__(self, options: FoldOptions) -> None:
        self.options = options
        self.simplified = traditional_to_simplified() if options.simplify else {}
        self.alone: dict[str, str] = {}  # raw character -> its folded form; "" for one that is dropped
        self.unchanged: set[str] = set()
        self.one_to_one: set[str] = set()  # fold to one character whatever stands around them
        self.joining: set[str] = set()
        self._fold_run = lru_cache(maxsize=1 << 16)(lambda run: self._fold_segment("".join(map(self._clean, run))))

    def __call__(self, text: str) -> FoldedText:
        n, chars = len(text), set(text)
        if not chars <= self.unchanged:
            for char in chars:
                if char not in self.alone:
                    self._learn(char)
        if chars <= self.one_to_one:
            folded = text if chars <= self.unchanged else "".join(map(self.alone.__getitem__, text))
            return FoldedText(folded, np.arange(n, dtype=np.int64), np.arange(1, n + 1, dtype=np.int64))
        if chars.isdisjoint(self.joining):
            pieces = [self.alone[char] for char in text]
            sizes = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
            first_raw = np.flatnonzero(sizes)
            sizes = sizes[first_raw]
        else:
            pieces, first_raw = self._fold_segments(text)
            sizes = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        next_raw = np.append(first_raw[1:], len(text))[: len(first_raw)]
        return FoldedText("".join(pieces), np.repeat(first_raw, sizes), np.repeat(next_raw, sizes))

    def _learn(self, char: str) -> None:
        if "\U00030000" <= char < "\U000e0000" or char >= "\U000f0000":  # rare Han, unassigned, private: all stable
            self.alone[char] = char
            self.unchanged.add(char)
            self.one_to_one.add(char)
            return
        clean = self._clean(char)
        folded = self.alone[char] = self._fold_segment(clean)
        if self.options.nfkc and clean and _joins(clean):
            self.joining.add(char)
        elif len(folded) == 1:
            self.one_to_one.add(char)
            if folded == char:
                self.unchanged.add(char)

    def _clean(self, char: str) -> str:
        if "\ud800" <= char <= "\udfff":
            return "\ufffd"  # the Rust tokenizer takes no lone surrogates
        if self.options.drop_invisible:
            if is_invisible(char):
                return ""
            if char.isspace() and unicodedata.category(char) in ("Cc", "Zl", "Zp"):
                return " "  # tabs and line ends
        return char

    def _fold_segment(self, clean: str) -> str:
        if self.options.nfkc:
            clean = unicodedata.normalize("NFKC", clean)
        if self.options.lowercase:
            clean = "".join([char.lower() for char in clean])  # one by one: str.lower looks around for a final sigma
            if self.options.nfkc:
                clean = unicodedata.normalize("NFKC", clean)
        return "".join([self.simplified.get(char, char) for char in clean]) if self.simplified else clean

    def _fold_segments(self, text: str) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Fold each starter with what joins it; returns the pieces and the raw index where each begins."""
        kept = [char for char in text if self.alone[char]]
        raw_index = np.flatnonzero([self.alone[char] != "" for char in text])
        joins = np.fromiter(map(self.joining.__contains__, kept), dtype=np.bool_, count=len(kept))
        index = np.arange(len(kept))
        index_in_segment = index - np.maximum.accumulate(np.where(joins, 0, index))
        bounds = np.flatnonzero(index_in_segment % _MAX_SEGMENT_CHARS == 0)
        visible = "".join(kept)
        segments = [visible[low:high] for low, high in pairwise([*bounds.tolist(), len(kept)])]
        return [self._fold_run(run) if len(run) > 1 else self.alone[run] for run in segments], raw_index[bounds]


@lru_cache(maxsize=16)
def _folder(options: FoldOptions) -> _Folder:
    return _Folder(options)
