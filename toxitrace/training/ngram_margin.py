"""Fits the n-grams that judge beside an encoder (`toxitrace.encoder.ngram_margin`).

N texts, M buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from toxitrace.encoder.ngram_margin import NAMES, NgramMargin
from toxitrace.errors import DataError
from toxitrace.training.ngram_baseline import soft_logistic_regression

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_MIN_TEXTS = 2  # an n-gram of a single text is known by heart, not learnt
_CHUNK = 256  # texts hashed at once


class FittedMargin(NamedTuple):
    """The module and how much of what it was to learn it holds."""

    margin: NgramMargin
    n_ngrams: int
    """N-grams with a bucket of their own."""
    n_wanted: int
    """N-grams frequent enough; the others lost their bucket to a more frequent one."""


def fit_ngram_margin(
    sequences: Sequence[Sequence[int]],
    toxic_prob: Sequence[float],
    *,
    buckets: int = 262_139,
    max_ngrams: int = 150_000,
    inverse_l2: float = 2.0,
) -> FittedMargin:
    """TF-IDF of n-grams and logistic regression on soft labels, laid out in a table of hashes.

    Args:
        sequences: token ids of N texts.
        toxic_prob: the probability that each is toxic.
        buckets: M; every one holds the most frequent of the n-grams that fall into it.
        max_ngrams: so many of the most frequent ones take part.
        inverse_l2: C of scikit-learn: the larger, the less the weights are held back.

    Raises:
        DataError: one of the classes has no share in any text, or no n-gram is in two texts.
    """
    margin = NgramMargin(buckets)
    row, key = _ngrams(margin, sequences)  # (text, n-gram) pairs, each once
    kinds, texts_with = np.unique(key, return_counts=True)
    frequent = np.flatnonzero(texts_with >= _MIN_TEXTS)
    wanted = kinds[frequent[np.argsort(-texts_with[frequent], kind="stable")][:max_ngrams]]  # most frequent first
    taken, first = np.unique(wanted // NAMES, return_index=True)
    owners = wanted[first]  # in the order of their buckets
    if not len(owners):
        raise DataError(f"no n-gram is in {_MIN_TEXTS} of the {len(sequences)} texts: there is nothing to learn from")
    at = np.searchsorted(owners, key).clip(max=len(owners) - 1)
    known = owners[at] == key
    row, column = row[known], at[known]
    n_texts = len(sequences)
    idf = np.log((1 + n_texts) / (1 + np.bincount(column, minlength=len(owners)))) + 1
    model = soft_logistic_regression(_features(row, column, idf, n_texts), toxic_prob, inverse_l2)
    margin.evidence[taken] = torch.from_numpy(idf * model.coef_[0]).float()
    margin.squares[taken] = torch.from_numpy(idf**2).float()
    margin.names[taken] = torch.from_numpy(owners % NAMES).to(margin.names.dtype)
    margin.bias.fill_(float(model.intercept_[0]))
    return FittedMargin(margin, len(owners), len(wanted))


def scale_margin(margin: NgramMargin, factor: float) -> None:
    """Multiply the sum, in place."""
    margin.evidence *= factor
    margin.bias *= factor


def _ngrams(margin: NgramMargin, sequences: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """Which n-grams each text has: numbers of texts and bucket · NAMES + name, the pairs sorted and each once."""
    rows, keys = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(sequences), _CHUNK):
        chunk = [torch.tensor(sequence, dtype=torch.int64) for sequence in sequences[start : start + _CHUNK]]
        for bucket, name, real in margin.ngrams(torch.nn.utils.rnn.pad_sequence(chunk, batch_first=True)):
            rows.append(start + real.nonzero()[:, 0].numpy())
            keys.append((bucket * NAMES + name)[real].numpy())
    row, key = np.unique(np.stack([np.concatenate(rows), np.concatenate(keys)]), axis=1)
    return row, key


def _features(row: Ints, column: Ints, idf: Floats, n_texts: int) -> Any:
    """(N, n-grams) sparse: idf where the text has the n-gram, each row of length 1."""
    from scipy.sparse import csr_matrix

    squares = np.bincount(row, weights=idf[column] ** 2, minlength=n_texts)
    return csr_matrix((idf[column] / np.sqrt(squares[row]), (row, column)), shape=(n_texts, len(idf)))
