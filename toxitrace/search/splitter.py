"""A text as the words that keyword search compares: jieba's search words and pairs of characters, folded."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import Any

from toxitrace.text.charclass import separator_mask
from toxitrace.text.fold import fold

# Iteration marks, zero, the unified ideographs with their extensions; what NFKC leaves of the compatibility ones.
_HAN = "々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"([{_HAN}]+)|([^\W_{_HAN}]+)|[^\w\s]")


def split(text: str) -> list[str]:
    """Cut a query or an item into words, repetitions kept.

    A run of Chinese characters gives the words of jieba's search mode and all its pairs of neighbours; letters and
    digits of other scripts stay whole; an emoji is a word. Nothing crosses a blank or punctuation. The text is folded
    as the detector folds it, so that full-width, traditional, upper-case and zero-width disguises meet their plain
    form.

    Raises:
        MissingExtraError: jieba is not installed.

    >>> split("你是個笨\\u200b蛋，ＤＡＮ")
    ['你', '是', '个', '笨蛋', '你是', '是个', '个笨', '笨蛋', 'dan']
    """
    words: list[str] = []
    for match in _RUN.finditer(fold(text).text):
        run = match.group()
        if match.lastindex == 1:
            words += _search_words(run)
            words += [run[i : i + 2] for i in range(len(run) - 1)]
        elif match.lastindex == 2 or _is_word(run):
            words.append(run)
    return words


def has_words(text: str) -> bool:
    """Whether there is anything to search for; needs no jieba.

    >>> has_words("！ ？"), has_words("DAN!")
    (False, True)
    """
    return any(match.lastindex or _is_word(match.group()) for match in _RUN.finditer(fold(text).text))


@cache
def splitter_name() -> str:
    """What an index was split by; another jieba has another dictionary and may cut a query differently."""
    return f"jieba-{version('jieba')}-search+bigrams/1"


def _search_words(run: str) -> list[str]:
    return list(_jieba().cut_for_search(run)) if len(run) > 1 else [run]


@cache
def _jieba() -> Any:
    from toxitrace.text.segment import jieba_tokenizer  # one dictionary (60 MB) for the whole process

    return jieba_tokenizer()


@cache
def _is_word(char: str) -> bool:
    """Emoji, currency signs, letters in rings; not punctuation."""
    return not separator_mask(char)[0]
