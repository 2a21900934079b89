"""Rewards of the expansions of one query: ranks by the gold document and by the answer (methods.md sections 3, 4).

Pure functions of similarities. Symbols: C candidates of one query · s_rank(i) = E(d*)·E(d_i), s_ans(i) = E(a)·E(d_i).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toxitrace.errors import DataError

Floats = npt.NDArray[np.float64]

GATE = 0.6


@dataclass(frozen=True, slots=True)
class ExpansionRewards:
    """What the candidates of one query are worth.

    Attributes:
        rewards: (C,) R(i) = 1/rank by s_rank + 1/rank by s_ans.
        best_similarity: max_i (s_rank + s_ans), which the gate looks at.
        kept: whether the query passes the gate.
    """

    rewards: tuple[float, ...]
    best_similarity: float
    kept: bool


def competition_ranks(scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Ranks from 1, highest score first; equal scores share the best of their ranks.

    Two candidates with one text thus get one reward, wherever they stand.

    >>> competition_ranks([0.2, 0.9, 0.9, 0.1]).tolist()
    [3, 1, 1, 4]
    """
    table = np.asarray(scores, dtype=np.float64)
    falling = np.sort(-table)
    return np.searchsorted(falling, -table, side="left") + 1


def expansion_rewards(
    rank_similarities: Sequence[float], answer_similarities: Sequence[float], gate: float = GATE
) -> ExpansionRewards:
    """Reciprocal ranks, added (LLM-QE, arXiv 2502.17057, with the details of its code).

    Args:
        rank_similarities: (C,) cosines of the candidates and the gold document.
        answer_similarities: (C,) cosines of the candidates and the answer.
        gate: least max_i (s_rank + s_ans) of a query that is kept: below, no candidate is any good, and their order
            is noise.

    Raises:
        DataError: there are no candidates, or similarities that are not finite.

    >>> expansion_rewards([0.9, 0.5], [0.2, 0.4])
    ExpansionRewards(rewards=(1.5, 1.5), best_similarity=1.1, kept=True)
    """
    s_rank, s_answer = (np.asarray(scores, dtype=np.float64) for scores in (rank_similarities, answer_similarities))
    if s_rank.shape != s_answer.shape or s_rank.ndim != 1 or not s_rank.size:
        raise DataError(
            f"{s_rank.size} similarities by document and {s_answer.size} by answer; expected one of each for every "
            "candidate, at least one: was this query given candidates?"
        )
    if not (np.isfinite(s_rank).all() and np.isfinite(s_answer).all()):
        raise DataError("a similarity is not finite; expected cosines: is the retriever's folder damaged?")
    rewards = 1.0 / competition_ranks(s_rank) + 1.0 / competition_ranks(s_answer)
    best = float((s_rank + s_answer).max())
    return ExpansionRewards(tuple(rewards.tolist()), best, best >= gate)


def joint_rewards(
    tihr: Sequence[float], item_similarities: Sequence[float], span_similarities: Sequence[float]
) -> Floats:
    """Reward of exploration: search feedback and both reciprocal ranks, added (methods.md section 4).

    Args:
        tihr: (C,) share of toxic items among what each candidate finds, in [0, 1].
        item_similarities: (C,) cosines of the candidates and the toxic item.
        span_similarities: (C,) cosines of the candidates and its evidence span, which plays the answer.

    Returns:
        (C,) rewards in (0, 3].

    Note: reconstruction; ours, no paper joins the two.

    >>> joint_rewards([0.5, 0.0], [0.9, 0.1], [0.3, 0.8]).tolist()
    [2.0, 1.5]
    """
    feedback = np.asarray(tihr, dtype=np.float64)
    if feedback.size and not ((feedback >= 0) & (feedback <= 1)).all():
        raise DataError(f"a hit rate is outside [0, 1] (from {feedback.min()} to {feedback.max()}): expected shares")
    by_ranks = expansion_rewards(item_similarities, span_similarities).rewards
    if len(by_ranks) != feedback.size:
        raise DataError(f"{feedback.size} hit rates for {len(by_ranks)} candidates; expected one for each")
    return np.asarray(feedback + np.array(by_ranks), dtype=np.float64)
