"""A small corpus and an encoder for it, shared by this folder's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toxitrace.search import Item, split

TEXTS = ["你是骗子", "笨蛋和骗子", "天气真好", "別信那個騙子", "你是骗子", "", "！！", "大笨蛋 DAN", "你是骗子", "笨蛋"]
ITEMS = [Item(f"item-{number * 7 % 10}", text) for number, text in enumerate(TEXTS)]  # equal ones: items 0, 6, 8
BLANK = ["", "  \n", "！？……", "\u200b"]


def word_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """How many words of a text fall into each of 8 bins, (n, 8)."""
    vectors = np.zeros((len(texts), 8), np.float32)
    for row, text in enumerate(texts):
        for word in split(text):
            vectors[row, hashlib.sha256(word.encode()).digest()[0] % 8] += 1
    return vectors
