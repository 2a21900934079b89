"""Word segmentation behind one function."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, Literal

from toxitrace.errors import ConfigError, MissingExtraError

SegmentEngine = Literal["jieba", "chars"]


def segment(text: str, engine: SegmentEngine = "jieba") -> list[tuple[int, int]]:
    """Cut a text into words; the pieces cover it without gaps or overlap, white space and punctuation included.

    Args:
        text: any text, raw or folded; the offsets are its own.
        engine: "jieba" for words (extra ``train``), "chars" for single characters.

    Returns:
        Half-open ranges in reading order; empty for an empty text.

    Raises:
        ConfigError: no such engine.
        MissingExtraError: jieba is not installed.

    >>> segment("今天天气好", engine="chars")
    [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    """
    if engine not in _ENGINES:
        raise ConfigError(f"segmentation engine is {engine!r}; expected one of {', '.join(_ENGINES)}")
    bounds = accumulate((len(word) for word in _ENGINES[engine](text)), initial=0)
    return list(pairwise(bounds))


def _jieba_words(text: str) -> Iterable[str]:
    words: Iterable[str] = jieba_tokenizer().cut(text, HMM=True)
    return words


@cache
def jieba_tokenizer() -> Any:
    """The one dictionary (60 MB) of the process.

    Raises:
        MissingExtraError: jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba 0.42.1: pkg_resources and invalid escapes (fxsjy/jieba#1026)
            import jieba
    except ImportError:
        raise MissingExtraError("jieba", "train") from None
    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    # What initialize() does, less its cache: a file of fixed name in the shared temporary folder, which any other
    # user of the machine may have put there, unmarshalled unseen.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


_ENGINES: dict[str, Callable[[str], Iterable[str]]] = {"jieba": _jieba_words, "chars": iter}
