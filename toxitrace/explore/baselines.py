"""Queries without a language model: what SFT and DPO have to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from toxitrace.explore.generators import Generator
from toxitrace.explore.prompts import clean
from toxitrace.explore.records import SeedItem
from toxitrace.text.segment import segment


class WholeText:
    """The item itself as the query, the strongest baseline where toxic and harmless posts share topics.

    Args:
        max_chars: longer texts are cut behind so many characters; None: never.
    """

    def __init__(self, max_chars: int | None = None) -> None:
        self._max_chars = max_chars

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        """See `toxitrace.explore.generators.Generator`."""
        return [[text] if (text := clean(item.text)[: self._max_chars].strip()) else [] for item in items]


class SpanQueries:
    """Every evidence span as a query, the longest first.

    Args:
        max_queries: most queries of an item.
    """

    def __init__(self, max_queries: int = 3) -> None:
        self._max_queries = max_queries

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        """See `toxitrace.explore.generators.Generator`; items without spans have none.

        >>> SpanQueries().queries([SeedItem("a", "笨蛋，大骗子", ((0, 2), (3, 6)))])
        [['大骗子', '笨蛋']]
        """
        return [self._of(item) for item in items]

    def _of(self, item: SeedItem) -> list[str]:
        spans = dict.fromkeys(span for span in map(clean, item.evidence) if span)
        return sorted(spans, key=len, reverse=True)[: self._max_queries]


class TfidfKeywords:
    """jieba's TF-IDF keywords, from its own document frequencies.

    Args:
        n: keywords of an item.
        joined: all in one query instead of one query each.
    """

    def __init__(self, n: int = 2, *, joined: bool = False) -> None:
        self._n = n
        self._joined = joined

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        """See `toxitrace.explore.generators.Generator`.

        Raises:
            MissingExtraError: jieba is not installed.
        """
        found = [self._keywords(clean(item.text)) for item in items]
        return [[" ".join(words)] if self._joined and words else words for words in found]

    def _keywords(self, text: str) -> list[str]:
        # words before frequencies: the former says what to install if jieba is not there
        words = [text[start:end] for start, end in segment(text)]
        extractor = _extractor()
        extractor.tokenizer = _Cut(words)
        weighted = extractor.extract_tags(text, topK=None, withWeight=True)
        return [word for word, _ in sorted(weighted, key=lambda pair: (-pair[1], pair[0]))[: self._n]]


class _Cut:
    """Stands where jieba's extractor expects its global tokenizer, whose dictionary cache lies in a shared folder."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def cut(self, text: str) -> list[str]:
        return self._words


@cache
def _extractor() -> Any:
    import jieba.analyse

    return jieba.analyse.TFIDF()


RULES: dict[str, Callable[[], Generator]] = {
    "spans": SpanQueries,
    "keywords": TfidfKeywords,
    "keywords-joined": lambda: TfidfKeywords(joined=True),
    "whole": WholeText,
}
"""By the name that ``--generator`` knows them by."""
