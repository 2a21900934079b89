"""Texts in, verdicts and toxic words out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from toxitrace.detector.backend import Backend
from toxitrace.detector.explanation import Explanation
from toxitrace.detector.extract import DIGITS, extract_spans
from toxitrace.detector.scoring import TokenWeights, margins, probabilities, saliencies
from toxitrace.detector.windowed import WindowedText, char_saliency, windowed
from toxitrace.errors import ConfigError, DataError, ModelError
from toxitrace.settings import ModelSettings
from toxitrace.text import TextTokenizer, WordList, separator_mask
from toxitrace.text.words import WORDS_FILE
from toxitrace.types import Prediction, Span

# Texts worked on at once: bounds the memory of a call, whatever the length of its list.
_GROUP = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Verdict:
    """What the first stage found: probabilities of the windows of one text, and its weights if it was weighed too."""

    windowed: WindowedText
    window_probs: NDArray[np.float64]  # (windows,)
    toxic: bool
    weights: TokenWeights | None  # of the only window, special tokens included

    @property
    def probability(self) -> float:
        return float(self.window_probs.max(initial=0.0))


class Detector:
    """Finds toxic texts and the words that make them so.

    Every text is scored first; the gradients that show the words are taken only where they are needed. Where they
    are needed for every text, one pass gives both.
    A text longer than the encoder is read in overlapping windows: its probability is the largest of any
    window, its spans come from the windows that reach the threshold. A text without tokens (empty, blank,
    invisible) is not toxic and has probability 0.

    Args:
        backend: runs the model.
        tokenizer: the model's tokenizer.
        settings: the model's settings.
        threshold: calibrated probability from which a text is toxic; None takes the model's own.
        max_windows: windows read of one text; the rest is left out and ``truncated`` set.
        words: the model's list of words; needed where the settings' ``word_share`` is above 0.

    Raises:
        ConfigError: ``threshold`` is no probability, or ``max_windows`` below 1.
        ModelError: the settings ask for words and there are none.
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: TextTokenizer,
        settings: ModelSettings,
        threshold: float | None = None,
        max_windows: int = 4096,
        words: WordList | None = None,
    ) -> None:
        self.threshold = settings.threshold if threshold is None else threshold
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"threshold is {threshold}; expected a probability from 0 to 1")
        if max_windows < 1:
            raise ConfigError(f"max_windows is {max_windows}; expected 1 or more")
        if settings.word_share and words is None:
            raise ModelError(
                f"the model has no {WORDS_FILE}, which its word_share of {settings.word_share} needs; "
                "copy the file from where the model was made, or export it again"
            )
        self.words = words
        self.backend = backend
        self.tokenizer = tokenizer
        self.settings = settings
        self.max_windows = max_windows

    @overload
    def predict(self, texts: str, *, force_spans: bool = False) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str], *, force_spans: bool = False) -> list[Prediction]: ...
    def predict(self, texts: str | Iterable[str], *, force_spans: bool = False) -> Prediction | list[Prediction]:
        """Score texts and mark their toxic words.

        Args:
            texts: one text, or any number of them.
            force_spans: mark the most suspicious words of clean texts too.

        Returns:
            One prediction for a ``str``, else a list in the order of ``texts``. Equal texts are scored once.

        Raises:
            DataError: an item is no string; the message names its index.
        """
        if isinstance(texts, str):
            return self._predict_unique([texts], force_spans)[0]
        rows = _strings(texts)
        unique = list(dict.fromkeys(rows))
        found: dict[str, Prediction] = {}
        for start in range(0, len(unique), _GROUP):
            group = unique[start : start + _GROUP]
            found.update(zip(group, self._predict_unique(group, force_spans), strict=True))
        return [found[text] for text in rows]

    @overload
    def predict_spans(self, texts: str, *, force_spans: bool = False) -> list[Span]: ...  # type: ignore[overload-overlap]
    @overload
    def predict_spans(self, texts: Iterable[str], *, force_spans: bool = False) -> list[list[Span]]: ...
    def predict_spans(self, texts: str | Iterable[str], *, force_spans: bool = False) -> list[Span] | list[list[Span]]:
        """The toxic words alone, as ``predict`` finds them: [] for a clean text."""
        if isinstance(texts, str):
            return list(self.predict(texts, force_spans=force_spans).spans)
        return [list(prediction.spans) for prediction in self.predict(texts, force_spans=force_spans)]

    @overload
    def explain(self, texts: str, *, force_spans: bool = False) -> Explanation: ...  # type: ignore[overload-overlap]
    @overload
    def explain(self, texts: Iterable[str], *, force_spans: bool = False) -> list[Explanation]: ...
    def explain(self, texts: str | Iterable[str], *, force_spans: bool = False) -> Explanation | list[Explanation]:
        """Score texts and weigh every character, whatever the verdict; costs a gradient for every text.

        Raises:
            DataError: an item is no string; the message names its index.
        """
        if isinstance(texts, str):
            return self._explain([texts], force_spans)[0]
        rows = _strings(texts)
        groups = (rows[start : start + _GROUP] for start in range(0, len(rows), _GROUP))
        return [explanation for group in groups for explanation in self._explain(group, force_spans)]

    def margins(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Uncalibrated z_tox - z_non per text, the largest of its windows; -inf for a text without tokens.

        Raises:
            DataError: an item is no string; the message names its index.
        """
        rows = _strings(texts)
        groups = (rows[start : start + _GROUP] for start in range(0, len(rows), _GROUP))
        found = [own.max(initial=-np.inf) for group in groups for own in self._window_margins(self._cut(group))]
        return np.array(found, dtype=np.float64)

    def _explain(self, texts: Sequence[str], force_spans: bool) -> list[Explanation]:
        verdicts = self._verdicts(texts, weigh=True)
        return [
            Explanation(
                text,
                verdict.toxic,
                verdict.probability,
                spans if verdict.toxic or force_spans else (),
                saliency,
                verdict.windowed.truncated,
            )
            for text, verdict, (saliency, spans) in zip(texts, verdicts, self._evidence(texts, verdicts), strict=True)
        ]

    def _predict_unique(self, texts: Sequence[str], force_spans: bool) -> list[Prediction]:
        verdicts = self._verdicts(texts, weigh=force_spans)
        chosen = [i for i, verdict in enumerate(verdicts) if verdict.toxic or force_spans]
        evidence = self._evidence([texts[i] for i in chosen], [verdicts[i] for i in chosen])
        spans = {i: found for i, (_, found) in zip(chosen, evidence, strict=True)}
        return [
            Prediction(text, verdict.toxic, verdict.probability, spans.get(i, ()), verdict.windowed.truncated)
            for i, (text, verdict) in enumerate(zip(texts, verdicts, strict=True))
        ]

    def _cut(self, texts: Sequence[str]) -> list[WindowedText]:
        return [
            windowed(tokens, self.settings.max_tokens, self.max_windows) for tokens in self.tokenizer.tokenize(texts)
        ]

    def _window_margins(self, cut: Sequence[WindowedText]) -> list[NDArray[np.float64]]:
        """The windows of all texts, flattened into one run of the model, and their margins text by text."""
        sequences = [one.sequence(i, self.tokenizer) for one in cut for i in range(len(one.bounds))]
        found = margins(self.backend, sequences, self.tokenizer.pad_id)
        ends = np.cumsum([len(one.bounds) for one in cut])
        return np.split(found, ends[:-1]) if len(cut) else []

    def _verdicts(self, texts: Sequence[str], weigh: bool) -> list[_Verdict]:
        """First stage.

        Args:
            weigh: every text will be weighed whatever its verdict; those of one window are weighed here, in the same
                pass. Of longer ones the verdict has to say first which windows count.
        """
        cut = self._cut(texts)
        at_once = (
            [i for i, one in enumerate(cut) if len(one.bounds) == 1] if weigh and self.backend.margins_agree else []
        )
        found, weights = saliencies(
            self.backend, [cut[i].sequence(0, self.tokenizer) for i in at_once], self.tokenizer.pad_id
        )
        known = {i: (margin, weight) for i, margin, weight in zip(at_once, found, weights, strict=True)}
        others = iter(self._window_margins([one for i, one in enumerate(cut) if i not in known]))
        verdicts = []
        for i, one in enumerate(cut):
            own, weight = (np.array([known[i][0]]), known[i][1]) if i in known else (next(others), None)
            probs = np.round(probabilities(own, self.settings.calibration), DIGITS)
            verdicts.append(_Verdict(one, probs, bool((probs >= self.threshold).any()), weight))
        return verdicts

    def _evidence(
        self, texts: Sequence[str], verdicts: Sequence[_Verdict]
    ) -> list[tuple[NDArray[np.float64], tuple[Span, ...]]]:
        """Second stage: (n_chars,) saliency and spans of texts that deserve them."""
        deciding = [self._deciding_windows(verdict) for verdict in verdicts]
        sequences = [
            verdict.windowed.sequence(window, self.tokenizer)
            for verdict, chosen in zip(verdicts, deciding, strict=True)
            if verdict.weights is None
            for window in chosen
        ]
        weighed = iter(saliencies(self.backend, sequences, self.tokenizer.pad_id)[1])
        results = []
        for text, verdict, chosen in zip(texts, verdicts, deciding, strict=True):
            separators = separator_mask(text)
            weights = [next(weighed) for _ in chosen] if verdict.weights is None else [verdict.weights]
            own = [(window, weight.inner()) for window, weight in zip(chosen, weights, strict=True)]
            saliency = char_saliency(
                verdict.windowed, own, separators, self.settings.ngram_evidence, self.words, self.settings.word_share
            )
            results.append((saliency, extract_spans(text, saliency, self.settings.bicse)))
        return results

    def _deciding_windows(self, verdict: _Verdict) -> list[int]:
        """Windows that reach the threshold; if none does, the most suspicious one."""
        if not len(verdict.window_probs):
            return []
        reached = np.flatnonzero(verdict.window_probs >= self.threshold)
        return [int(window) for window in reached] or [int(verdict.window_probs.argmax())]


def _strings(texts: Any) -> list[str]:
    # of a mapping, a row of a data set say, the keys would be scored
    if isinstance(texts, (bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
        raise DataError(f"texts is of type {type(texts).__name__}; expected a str or an iterable of str")
    rows = list(texts)
    for index, row in enumerate(rows):
        if not isinstance(row, str):
            raise DataError(f"texts[{index}] is of type {type(row).__name__}; expected a str")
    return rows
