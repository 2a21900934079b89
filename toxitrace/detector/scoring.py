"""Run a backend over token sequences of any number and length, answers in the order of the questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toxitrace.detector.backend import Backend
from toxitrace.detector.batching import micro_batches, pad
from toxitrace.errors import ModelError
from toxitrace.settings import Calibration

# Of 512 to 8,192 none was faster in trials: more only takes more memory.
MAX_PADDED_TOKENS = 2048


class TokenWeights(NamedTuple):
    """What weighs the tokens of one sequence, special tokens included."""

    saliency: NDArray[np.float64]
    """(T,) not scaled."""
    ngram_evidence: NDArray[np.float64] | None = None
    """(T,) see `Weighed`."""

    def inner(self) -> TokenWeights:
        """Without [CLS] and [SEP], which cover no characters."""
        evidence = self.ngram_evidence
        return TokenWeights(self.saliency[1:-1], None if evidence is None else evidence[1:-1])


def margins(
    backend: Backend, sequences: Sequence[Sequence[int]], pad_id: int, max_padded_tokens: int = MAX_PADDED_TOKENS
) -> NDArray[np.float64]:
    """Margin of every sequence (special tokens included), shape (len(sequences),).

    Raises:
        ModelError: the model answered with something that is not a finite number.
    """
    result = np.zeros(len(sequences), dtype=np.float64)
    for group in micro_batches([len(sequence) for sequence in sequences], max_padded_tokens):
        result[group] = backend.margins(pad([sequences[i] for i in group], pad_id))
    _check_finite(result, backend, "margin")
    return result


def saliencies(
    backend: Backend, sequences: Sequence[Sequence[int]], pad_id: int, max_padded_tokens: int = MAX_PADDED_TOKENS
) -> tuple[NDArray[np.float64], list[TokenWeights]]:
    """Margin of every sequence, and what weighs its tokens, special tokens included.

    Raises:
        ModelError: the model answered with something that is not a finite number.
    """
    found = np.zeros(len(sequences), dtype=np.float64)
    result = [TokenWeights(np.zeros(0))] * len(sequences)
    for group in micro_batches([len(sequence) for sequence in sequences], max_padded_tokens):
        found[group], saliency, evidence = backend.saliency(pad([sequences[i] for i in group], pad_id))
        _check_finite(saliency, backend, "saliency")
        if evidence is not None:
            _check_finite(evidence, backend, "evidence of n-grams")
        for row, index in enumerate(group):
            tokens = row, slice(len(sequences[index]))
            result[index] = TokenWeights(
                saliency[tokens].astype(np.float64), None if evidence is None else evidence[tokens].astype(np.float64)
            )
    _check_finite(found, backend, "margin")
    return found, result


def probabilities(margin: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """Calibrated probabilities sigmoid(scale * margin + offset), same shape.

    >>> probabilities(np.array([0.0, 1000.0]), Calibration()).tolist()
    [0.5, 1.0]
    """
    score = calibration.scale * margin + calibration.offset
    # tanh instead of exp: no overflow at either end.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * score)), dtype=np.float64)


def _check_finite(values: NDArray[np.floating], backend: Backend, what: str) -> None:
    if not np.isfinite(values).all():
        raise ModelError(
            f"the {backend.name} model gave a {what} that is no finite number; "
            "its weights are damaged or its training diverged: load another model"
        )
