"""Which queries are given up: those that found too little in enough trials (methods.md 2). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from toxitrace.explore.operate.config import RetireRule


@dataclass(frozen=True, slots=True)
class Trial:
    """What one wording of a pattern found in one round.

    Attributes:
        pattern: see `toxitrace.explore.operate.identity.query_pattern`.
        round: number of the state that the index was in.
        tihr: toxic-item hit rate; 0 for an empty result.
    """

    pattern: str
    round: int
    tihr: float


@dataclass(frozen=True, slots=True)
class Retired:
    """A pattern that is not searched again, and why."""

    pattern: str
    n_trials: int
    tihr: float


def retire(trials: Iterable[Trial], rule: RetireRule) -> list[Retired]:
    """Patterns whose mean tihr over their last n trials is below p, in order of the pattern.

    One round is one trial, whatever the number of wordings: on one state of the index they would all find the same.
    The last n count alone: the platform of long ago says little.
    Note: reconstruction; the paper retires nothing.

    >>> trials = [Trial("笨蛋", 1, 0.0), Trial("笨蛋", 2, 0.02), Trial("骗子", 1, 0.0), Trial("骗子", 2, 0.4)]
    >>> [one.pattern for one in retire(trials, RetireRule(min_tihr=0.05, n_trials=2))]
    ['笨蛋']
    """
    rates: dict[str, dict[int, list[float]]] = {}
    for trial in trials:
        rates.setdefault(trial.pattern, {}).setdefault(trial.round, []).append(trial.tihr)
    found = []
    for pattern, by_round in sorted(rates.items()):
        last = [fmean(by_round[number]) for number in sorted(by_round)[-rule.n_trials :]]
        if len(last) == rule.n_trials and (mean := fmean(last)) < rule.min_tihr:
            found.append(Retired(pattern, len(last), mean))
    return found
