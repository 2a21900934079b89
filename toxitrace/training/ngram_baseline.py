"""Character n-grams and logistic regression: the baseline that any encoder here must beat, and a cheap teacher for it.

N texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from toxitrace.errors import DataError, MissingExtraError
from toxitrace.settings import FoldOptions
from toxitrace.text.fold import fold

Floats = npt.NDArray[np.float64]


class NgramBaseline:
    """TF-IDF of 1- to 4-grams of the folded text, logistic regression on soft labels.

    Args:
        fold_options: as the encoder's, so that both read the same characters.
        max_features: n-grams kept, the most frequent ones.
        inverse_l2: C of scikit-learn: the larger, the less the weights are held back.
    """

    def __init__(
        self, fold_options: FoldOptions | None = None, max_features: int = 400_000, inverse_l2: float = 4.0
    ) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError:
            raise MissingExtraError("scikit-learn", "train") from None
        self._fold = fold_options or FoldOptions()
        self._vectors: Any = TfidfVectorizer(
            analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True, max_features=max_features
        )
        self._inverse_l2 = inverse_l2
        self._model: Any = None

    def fit(self, texts: Sequence[str], toxic_prob: Sequence[float]) -> NgramBaseline:
        """Learn from texts and the probability that each is toxic.

        Raises:
            DataError: one of the classes has no share in any text.
        """
        features = self._vectors.fit_transform(self._folded(texts)) if len(texts) else None
        self._model = soft_logistic_regression(features, toxic_prob, self._inverse_l2)
        return self

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probability of toxicity, (N,)."""
        features = self._vectors.transform(self._folded(texts))
        return np.asarray(self._model.predict_proba(features)[:, 1], dtype=np.float64)

    def _folded(self, texts: Sequence[str]) -> list[str]:
        return [fold(text, self._fold).text for text in texts]


def soft_logistic_regression(features: Any, toxic_prob: Sequence[float], inverse_l2: float) -> Any:
    """A scikit-learn ``LogisticRegression`` on soft labels.

    A soft label is learnt as both classes, each with its share: the cross-entropy against it.

    Args:
        features: (N, F) sparse.
        toxic_prob: (N,).
        inverse_l2: C of scikit-learn.

    Raises:
        DataError: one of the classes has no share in any text.
    """
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    prob = np.asarray(toxic_prob, dtype=np.float64)
    if not len(prob) or not 0 < prob.mean() < 1:
        raise DataError(f"{len(prob)} texts of mean label {prob.mean() if len(prob) else 0:g}; expected both kinds")
    share = np.concatenate([prob, 1 - prob])
    label = np.repeat([1, 0], len(prob))
    used = share > 0
    model = LogisticRegression(C=inverse_l2, max_iter=200)
    return model.fit(vstack([features, features]).tocsr()[used], label[used], sample_weight=share[used])


def cross_fitted(texts: Sequence[str], toxic_prob: Sequence[float], *, n_folds: int = 5, seed: int = 1) -> Floats:
    """What the baseline says of each text when it has not learnt from it.

    Equal texts share a fold, or the copy would give the label away.

    Args:
        texts: to learn from, and to judge.
        toxic_prob: their labels.
        n_folds: as many models are trained, each on all folds but one.
        seed: of the draw.

    Returns:
        (N,) probabilities.
    """
    names = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    drawn = np.random.default_rng(seed).integers(0, n_folds, len(names))
    folds = np.array([drawn[names[text]] for text in texts])
    prob = np.asarray(toxic_prob, dtype=np.float64)
    found = np.zeros(len(texts))
    for fold_number in range(n_folds):
        held_out = np.flatnonzero(folds == fold_number).tolist()
        if not held_out:
            continue
        rest = np.flatnonzero(folds != fold_number).tolist()
        model = NgramBaseline().fit([texts[i] for i in rest], prob[rest].tolist())
        found[held_out] = model.predict([texts[i] for i in held_out])
    return found
