"""Words from a list of counts: where the tokens of a text belong together. The standard library alone.

jieba's dictionary takes a second to load, more than scoring a text may take. What spans need is less: whether a
character stands inside a word. A list of the frequent words does for that, cut by the most probable reading.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from toxitrace.errors import ModelError

WORDS_FILE = "words.txt"
MAX_WORD_TOKENS = 4
_NO_CHAR = "\udfff"  # a lone surrogate: no UTF-8 file can hold it


class WordList:
    """Words, each with the logarithm of its share.

    Args:
        counts: word -> how often it was seen; single characters are words too.
        vocabulary: token -> id; a token that is no single character is part of no word.
    """

    def __init__(self, counts: Mapping[str, int], vocabulary: Mapping[str, int]) -> None:
        total = math.log(sum(counts.values()) + 1)
        self._log_share = {word: math.log(count) - total for word, count in counts.items()}
        self._unseen = -total
        self._chars = {id: token for token, id in vocabulary.items() if len(token) == 1}

    def __len__(self) -> int:
        return len(self._log_share)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], vocabulary: Mapping[str, int]) -> WordList | None:
        """Read ``words.txt`` of a model or export folder; None where there is none.

        Raises:
            ModelError: a line is no word with its count.
        """
        path = Path(folder) / WORDS_FILE
        if not path.is_file():
            return None
        counts = {}
        number = 0
        try:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):  # noqa: B007
                word, shown = line.split("\t")
                count = int(shown)
                if count < 1:
                    raise ValueError
                counts[word] = count
        except (OSError, ValueError):
            raise ModelError(
                f"{path}:{number}: expected a word, a tab and how often it was seen; copy the file again, or export "
                "the model again"
            ) from None
        return cls(counts, vocabulary)

    def bounds(self, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """The most probable reading of (T,) tokens as words: half-open ranges that cover them, in order.

        >>> words = WordList({"今天": 5, "天天": 1, "气": 1, "天": 2}, {"今": 0, "天": 1, "气": 2})
        >>> words.bounds([0, 1, 1, 2])
        [(0, 2), (2, 3), (3, 4)]
        """
        text = "".join([self._chars.get(id, _NO_CHAR) for id in token_ids])  # a character a token
        best = [0.0]  # of the tokens so far
        lengths = []
        for end in range(1, len(text) + 1):
            score, length = best[end - 1] + self._log_share.get(text[end - 1], self._unseen), 1
            for n in range(2, min(MAX_WORD_TOKENS, end) + 1):
                share = self._log_share.get(text[end - n : end])
                if share is not None and best[end - n] + share > score:
                    score, length = best[end - n] + share, n
            best.append(score)
            lengths.append(length)
        bounds = []
        end = len(text)
        while end:
            bounds.append((end - lengths[end - 1], end))
            end -= lengths[end - 1]
        return bounds[::-1]


def write_word_counts(counts: Mapping[str, int], path: Path, most: int) -> int:
    """Write the most frequent words of up to four Chinese characters, the most frequent first.

    Args:
        counts: word -> how often it was seen; whatever else is in it is left out.
        path: the file, usually ``words.txt`` of a model folder.
        most: so many words of two characters and more; single characters do not count against it.

    Returns:
        Words of two characters and more that were written.
    """
    order = sorted((word for word in counts if _is_word(word)), key=lambda word: (-counts[word], word))
    several = [word for word in order if len(word) > 1][:most]
    kept = {*several, *(word for word in order if len(word) == 1)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{word}\t{counts[word]}\n" for word in order if word in kept), encoding="utf-8")
    return len(several)


def _is_word(word: str) -> bool:
    return 0 < len(word) <= MAX_WORD_TOKENS and all("\u4e00" <= char <= "\u9fff" for char in word)
