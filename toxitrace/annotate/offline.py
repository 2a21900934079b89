"""Refine clues without a language model: word boundaries and class statistics. A substitute, and named as one.

Whoever has no language model can still run the pipeline; the rows say ``"source": "offline"``. What the substitute
is worth beside a language model's spans is measured by ``benchmarks/offline_refiner.py``. Nothing of this is in the
paper.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from toxitrace.annotate.clues import Clue
from toxitrace.data.offsets import Offsets, merge_offsets
from toxitrace.data.records import Example
from toxitrace.errors import ConfigError, DataError
from toxitrace.settings import FoldOptions
from toxitrace.text import fold, segment, separator_mask
from toxitrace.text.segment import SegmentEngine

MODEL = "offline/1"
"""Name of the refiner in the rows; a change of its rules changes the number."""

Lexicon = Mapping[str, float]
"""Word -> how strongly it speaks for a toxic text, as a z-score; words not in it count as 0."""


class Word(NamedTuple):
    """A word of a text: half-open raw offsets, and its folded spelling."""

    start: int
    end: int
    key: str


@dataclass(frozen=True, slots=True)
class OfflineParams:
    """What the refiner keeps; the defaults were chosen by ``benchmarks/offline_refiner.py``."""

    max_clues: int = 2
    """So many of the most salient clues of a text are used: the others are mostly noise."""
    keep: float = 0.0
    """A word inside a clue stays from this z-score on; -infinite: every word."""
    extend: float = math.inf
    """A word beside a kept one joins it from this z-score on; infinite: none."""
    prior_words: float = 1000.0
    """Weight of the prior when the lexicon is mined, in words."""
    min_texts: int = 3
    """Words of fewer texts are left out of the lexicon."""

    def __post_init__(self) -> None:
        if self.max_clues < 1 or self.prior_words <= 0 or self.min_texts < 1:
            raise ConfigError(
                f"the offline refiner has max_clues {self.max_clues}, prior_words {self.prior_words} and min_texts "
                f"{self.min_texts}; expected 1 or more, a number above 0, and 1 or more"
            )


def mine_lexicon(
    examples: Iterable[Example], params: OfflineParams | None = None, engine: SegmentEngine = "jieba"
) -> dict[str, float]:
    """Weigh words by how much more often they occur in texts labelled toxic than in others.

    Log-odds ratio with an informative Dirichlet prior, as a z-score (Monroe, Colaresi and Quinn 2008, equations 15,
    16, 20 and 22); a word counts once per text. Examples without label are passed over.

    Raises:
        DataError: the labels are not of both kinds.
    """
    params = params or OfflineParams()
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for example in examples:
        if example.label is not None:
            counts[example.label].update({word.key for word in split_words(example.text, engine)})
    if not all(counts):
        raise DataError(
            "the offline refiner learns from labels which words are toxic; expected texts labelled 0 and 1: "
            "name labelled texts, or use a language model (--llm)"
        )
    clean, toxic = counts
    n_clean, n_toxic = clean.total(), toxic.total()
    lexicon = {}
    for key in sorted(clean.keys() | toxic.keys()):
        both = clean[key] + toxic[key]
        if both < params.min_texts:
            continue
        prior = params.prior_words * both / (n_clean + n_toxic)
        in_toxic, in_clean = toxic[key] + prior, clean[key] + prior
        log_odds = math.log(in_toxic / (n_toxic + params.prior_words - in_toxic)) - math.log(
            in_clean / (n_clean + params.prior_words - in_clean)
        )
        lexicon[key] = log_odds / math.sqrt(1 / in_toxic + 1 / in_clean)
    return lexicon


def refine(
    text: str,
    clues: Sequence[Clue],
    lexicon: Lexicon,
    params: OfflineParams | None = None,
    engine: SegmentEngine = "jieba",
) -> Offsets:
    """Snap the best clues to words, keep the words that speak for a toxic text, and let strong neighbours join.

    A clue touches a word if it covers half of it. Between two kept words of one clue all words stay, whatever they
    are: the span remains contiguous. A clue without such words is dropped.

    >>> lexicon = {"笨蛋": 5.0, "真是": 0.2}
    >>> refine("你真是个笨蛋，走开", [Clue(3, 6, 0.9), Clue(7, 9, 0.6)], lexicon, OfflineParams(keep=1.0))
    ((4, 6),)
    """
    params = params or OfflineParams()
    words = split_words(text, engine)
    scores = [lexicon.get(word.key, 0.0) for word in words]
    kept = [False] * len(words)
    for clue in sorted(clues, key=lambda clue: -clue.saliency)[: params.max_clues]:  # stable: ties from left to right
        inside = [i for i, word in enumerate(words) if _covers_half(clue, word)]
        strong = [i for i in inside if scores[i] >= params.keep]
        if strong:
            kept[strong[0] : strong[-1] + 1] = [True] * (strong[-1] + 1 - strong[0])
    separators = separator_mask(text)
    may_join = [
        score >= params.extend and not separators[word.start : word.end].all()
        for score, word in zip(scores, words, strict=True)
    ]
    for order in (range(1, len(words)), range(len(words) - 2, -1, -1)):
        for i in order:
            neighbour = i - 1 if order.step > 0 else i + 1
            kept[i] = kept[i] or (kept[neighbour] and may_join[i])
    return merge_offsets((word.start, word.end) for word, keep in zip(words, kept, strict=True) if keep)


def split_words(text: str, engine: SegmentEngine = "jieba") -> list[Word]:
    """Words of the folded text with offsets in the raw one.

    >>> split_words("ＯＫ", engine="chars")
    [Word(start=0, end=1, key='o'), Word(start=1, end=2, key='k')]
    """
    folded = fold(text, FoldOptions())
    bounds = segment(folded.text, engine)
    return [Word(*folded.to_raw(start, end), folded.text[start:end]) for start, end in bounds]


def _covers_half(clue: Clue, word: Word) -> bool:
    shared = min(clue.end, word.end) - max(clue.start, word.start)
    return shared > 0 and 2 * shared >= word.end - word.start
