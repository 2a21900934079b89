"""A verdict with the weight of every character, and its views."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toxitrace.types import Span


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a text was found toxic or clean.

    Attributes:
        text: the caller's string, untouched.
        toxic: whether ``probability`` reached the threshold.
        probability: calibrated probability of toxicity in [0, 1].
        spans: the toxic words, in reading order; empty for a clean text unless forced.
        saliency: (n_chars,) weight of every character in [0, 1], the heaviest token of a window being 1.
            It is the length of the margin's gradient; of a model whose spans count n-grams too
            (``ModelSettings.ngram_evidence``), that and their evidence; with a list of words (``word_share``), a word's
            characters are lifted to its heaviest one.
            In a long text only the windows that decide the verdict have weights, the others are 0.
        truncated: whether part of the text was left unread because it is too long.
    """

    text: str
    toxic: bool
    probability: float
    spans: tuple[Span, ...]
    saliency: NDArray[np.float64]
    truncated: bool = False

    def to_html(self) -> str:
        """An escaped HTML fragment: the background's opacity is the saliency, spans are underlined."""
        from toxitrace.report.html import fragment

        return fragment(self.text, self.spans, self.saliency.tolist())

    def to_text(self, color: bool | None = None) -> str:
        """The verdict and the marked text in one line.

        Args:
            color: ANSI colours with the saliency as background; False marks words with 【】;
                None colours if stdout is a terminal.
        """
        from toxitrace.report.terminal import marked_text, verdict_text

        color = sys.stdout.isatty() if color is None else color
        verdict = verdict_text(self.toxic, self.probability, color=color)
        return f"{verdict}  {marked_text(self.text, self.spans, self.saliency.tolist(), color=color)}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row: a prediction's, and ``saliency`` as a list."""
        row: dict[str, Any] = {
            "text": self.text,
            "toxic": self.toxic,
            "probability": self.probability,
            "spans": [span.to_dict() for span in self.spans],
            "saliency": self.saliency.tolist(),
        }
        if self.truncated:
            row["truncated"] = True
        return row
