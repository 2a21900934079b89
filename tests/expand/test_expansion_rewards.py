"""Rewards by hand: ranks with ties, reciprocal sums, the gate; pairs and their split."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toxitrace.errors import ConfigError, DataError
from toxitrace.expand.preferences import Preference, choose_pair, split_by_group
from toxitrace.expand.rewards import competition_ranks, expansion_rewards, joint_rewards


def test_rewards_are_the_sum_of_both_reciprocal_ranks() -> None:
    # ranks by document 1 3 2 4, by answer 2 1 4 3
    found = expansion_rewards([0.9, 0.5, 0.7, 0.1], [0.3, 0.4, 0.1, 0.2])
    assert found.rewards == pytest.approx((1 + 1 / 2, 1 / 3 + 1, 1 / 2 + 1 / 4, 1 / 4 + 1 / 3))
    assert found.best_similarity == pytest.approx(1.2)


def test_equal_scores_share_the_best_of_their_ranks() -> None:
    assert competition_ranks([0.5, 0.5, 0.5]).tolist() == [1, 1, 1]
    assert expansion_rewards([0.5, 0.5, 0.1], [0.2, 0.1, 0.2]).rewards == pytest.approx((2.0, 1 + 1 / 3, 1 / 3 + 1))


def test_ranks_are_those_of_sorting_where_nothing_is_equal() -> None:
    scores = np.random.default_rng(0).permutation(50) / 50
    assert (np.argsort(-scores)[competition_ranks(scores) - 1] == np.arange(50)).all()


def test_thirty_two_candidates_earn_from_a_sixteenth_to_two() -> None:
    falling = [1 - n / 100 for n in range(32)]
    rewards = expansion_rewards(falling, falling).rewards
    assert (max(rewards), min(rewards)) == (2.0, 1 / 16)


@pytest.mark.parametrize(("answer", "kept"), [(0.3, True), (0.29, False)])
def test_the_gate_looks_at_the_best_sum_and_includes_its_value(answer: float, kept: bool) -> None:
    assert expansion_rewards([0.3, -0.9], [answer, 0.5], gate=0.6).kept is kept


def test_the_gate_wants_one_candidate_good_at_both_not_two_good_at_one_each() -> None:
    assert not expansion_rewards([0.5, 0.0], [0.0, 0.5]).kept


def test_no_candidates_and_similarities_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        expansion_rewards([], [])
    with pytest.raises(DataError, match="not finite"):
        expansion_rewards([math.nan], [0.0])


def test_joint_rewards_add_search_feedback_to_both_ranks() -> None:
    assert joint_rewards([0.25, 1.0], [0.1, 0.9], [0.5, 0.5]).tolist() == [0.25 + 1 / 2 + 1, 3.0]
    with pytest.raises(DataError, match="outside"):
        joint_rewards([1.5], [0.1], [0.1])


def test_the_first_of_equal_rewards_is_taken_on_both_sides() -> None:
    pair = choose_pair("q", "p", ["a", "b", "c", "d"], [1.0, 2.0, 2.0, 1.0])
    assert pair is not None
    assert (pair.chosen, pair.rejected) == ("b", "a")


def test_blank_candidates_are_no_choice_and_equal_rewards_or_texts_make_no_pair() -> None:
    pair = choose_pair("q", "p", ["", "b", "c"], [5.0, 1.0, 2.0])
    assert pair is not None
    assert (pair.chosen, pair.rejected) == ("c", "b")
    assert choose_pair("q", "p", ["a", "b"], [1.0, 1.0]) is None
    assert choose_pair("q", "p", ["a", "a"], [1.0, 2.0]) is None
    assert choose_pair("q", "p", ["", " "], [1.0, 2.0]) is None


def test_a_pair_in_which_nothing_is_preferred_cannot_be_made() -> None:
    with pytest.raises(DataError, match="no pair"):
        Preference("q", "p", "a", "b", 1.0, 1.0)


def test_the_split_depends_on_group_and_seed_and_on_no_order() -> None:
    rows = [(f"q{n}", f"d{n // 3}") for n in range(300)]
    train, dev = split_by_group(rows, 0.3, seed=1)
    assert split_by_group(reversed(rows), 0.3, seed=1) == (train, dev)
    assert split_by_group(rows[:150], 0.3, seed=1)[1] == dev & {id for id, _ in rows[:150]}
    assert split_by_group(rows, 0.3, seed=2)[1] != dev
    assert len(dev) / 300 == pytest.approx(0.3, abs=0.12)
    assert {group for id, group in rows if id in train}.isdisjoint(group for id, group in rows if id in dev)
    with pytest.raises(ConfigError, match="share"):
        split_by_group(rows, 1.0, seed=1)
