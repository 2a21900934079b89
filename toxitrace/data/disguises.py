"""Texts a second time with a word disguised, as people do who evade a filter: pinyin, homophones, symbols, swaps.

Evidence is disguised in toxic texts, any word in the others: else a disguise alone would look toxic. Pure, but for the
table of readings, which pypinyin holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from toxitrace.data.records import Example
from toxitrace.errors import MissingExtraError

KINDS = ("pinyin", "initials", "homophones", "symbols", "swapped")
MAX_CHARACTERS = 8
"""Longer evidence stays as it is: nobody spells a sentence, and little of the text would be left to learn from."""

_SYMBOLS = (" ", ".", "*", "-", "_", "|", "/")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_RUN = re.compile(r"[\u4e00-\u9fff]{2,}")
_Rng = np.random.Generator


def disguised_examples(examples: Iterable[Example], share: float, seed: int) -> list[Example]:
    """A share of the texts, each with one disguise on its words.

    Args:
        examples: texts; a toxic one needs known evidence, one whose label and evidence disagree gives nothing.
        share: of the texts to disguise, in [0, 1].
        seed: of the draw, which does not depend on the order of ``examples``.

    Returns:
        Texts with the label of the first; spans cover what became of them; id + ``#`` + kind of disguise.

    Raises:
        MissingExtraError: pypinyin is not installed.
    """
    found: list[Example] = []
    for example in examples:
        if example.label is None or bool(example.label) != bool(example.spans):
            continue
        rng = np.random.default_rng([seed, *example.id.encode()])
        if rng.random() >= share:
            continue
        words = list(example.spans) if example.spans else _any_word(example.text, rng)
        kind = KINDS[int(rng.integers(len(KINDS)))]
        changed = disguise(example.text, words, kind, rng)
        if changed is None:
            continue
        text, spans = changed
        known = tuple(spans) if example.spans else example.spans
        found.append(Example(f"{example.id}#{kind}", text, example.label, example.topic, known))
    return found


def disguise(
    text: str, words: Iterable[tuple[int, int]], kind: str, rng: _Rng
) -> tuple[str, list[tuple[int, int]]] | None:
    """Change ``words`` of a text; None if that changes nothing.

    Args:
        words: ``[start, end)`` in reading order, disjoint.
        kind: one of ``KINDS``.

    Returns:
        The new text, and where its words are.

    >>> disguise("你真是个笨蛋", [(4, 6)], "pinyin", np.random.default_rng(0))
    ('你真是个bendan', [(4, 10)])
    """
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    length = done = 0
    for start, end in words:
        kept, word = text[done:start], text[start:end]
        new = _WAYS[kind](word, rng) if 2 <= len(word) <= MAX_CHARACTERS else word
        pieces += [kept, new]
        spans.append((length + len(kept), length + len(kept) + len(new)))
        length = spans[-1][1]
        done = end
    changed = "".join([*pieces, text[done:]])
    return None if changed == text else (changed, spans)


def _any_word(text: str, rng: _Rng) -> list[tuple[int, int]]:
    """A stretch of two to four ideographs."""
    runs = [match.span() for match in _RUN.finditer(text)]
    if not runs:
        return []
    low, high = runs[int(rng.integers(len(runs)))]
    size = min(int(rng.integers(2, 5)), high - low)
    start = low + int(rng.integers(high - low - size + 1))
    return [(start, start + size)]


def _pinyin(word: str, rng: _Rng) -> str:
    return "".join(_reading(char) for char in word)


def _initials(word: str, rng: _Rng) -> str:
    return "".join(_reading(char)[0] for char in word)


def _homophones(word: str, rng: _Rng) -> str:
    return "".join(_homophone(char, rng) for char in word)


def _symbols(word: str, rng: _Rng) -> str:
    return _SYMBOLS[int(rng.integers(len(_SYMBOLS)))].join(word)


def _swapped(word: str, rng: _Rng) -> str:
    at = int(rng.integers(len(word) - 1))
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


_WAYS = {
    "pinyin": _pinyin,
    "initials": _initials,
    "homophones": _homophones,
    "symbols": _symbols,
    "swapped": _swapped,
}


def _homophone(char: str, rng: _Rng) -> str:
    """Another common character of the same reading, whatever its tone; the character itself if there is none."""
    others = [other for other in _common_by_reading().get(_reading(char), ()) if other != char]
    return others[int(rng.integers(len(others)))] if others else char


@cache
def _common_by_reading() -> dict[str, tuple[str, ...]]:
    """Level 1 of GB 2312, the 3,755 characters in common use."""
    found: dict[str, list[str]] = {}
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF):
            char = bytes((row, cell)).decode("gb2312", "ignore")
            if char:
                found.setdefault(_reading(char), []).append(char)
    return {reading: tuple(chars) for reading, chars in found.items()}


@cache
def _reading(char: str) -> str:
    """Pinyin without tone; what is no ideograph stays as it is."""
    if not _HAN.match(char):
        return char
    reading: str = _pypinyin().lazy_pinyin(char, errors="default")[0]
    return reading


@cache
def _pypinyin() -> Any:
    try:
        import pypinyin
    except ImportError:
        raise MissingExtraError("pypinyin", "train") from None
    return pypinyin
