"""When two texts are the same one, and when two queries are. Pure."""

from __future__ import annotations

import hashlib
import re

from toxitrace.search.splitter import split
from toxitrace.text.fold import fold

_HASHED = "text:sha256:"
_SURROGATES = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """A text that every file and database takes: lone surrogates become U+FFFD, one for one, so that spans still fit.

    >>> storable("笨\\ud800蛋") == "笨\\ufffd蛋"
    True
    """
    return _SURROGATES.sub("\ufffd", text)


def hash_id(text: str) -> str:
    """A name for a text that has none on the platform; see `is_hash_id`."""
    return _HASHED + hashlib.sha256(text.encode()).hexdigest()[:16]


def is_hash_id(id: str) -> bool:
    """Whether `hash_id` gave the name: the item may then stand on the platform under an id that nobody told.

    >>> is_hash_id(hash_id("笨蛋")), is_hash_id("train-7")
    (True, False)
    """
    return id.startswith(_HASHED)


def text_key(text: str) -> str:
    """What texts are compared by: folded as the detector folds them, white space as single blanks.

    For queries too: two with one key are one query, which is searched once.

    >>> text_key(" 大騙子\\u200b  ＤＡＮ") == text_key("大骗子 dan")
    True
    """
    return " ".join(fold(text).text.split())


def query_pattern(query: str) -> str:
    """A query without the item that it came from: its distinct words, whatever their order and what stands between.

    Keyword search sees hardly more of a query than this, so that wordings with one pattern stand or fall together.

    Raises:
        MissingExtraError: jieba is not installed.

    >>> query_pattern("骗子，笨蛋！") == query_pattern("笨蛋 骗子 骗子")
    True
    """
    return " ".join(sorted(set(split(query))))
