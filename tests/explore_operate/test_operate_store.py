from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from operate_doubles import Sittings, flagged

from toxitrace.errors import DataError
from toxitrace.explore.operate import plan_sitting
from toxitrace.explore.operate.config import RetireRule
from toxitrace.explore.operate.retire import Trial, retire
from toxitrace.explore.operate.schema import open_database
from toxitrace.explore.operate.sitting import Tools
from toxitrace.explore.operate.store import Store


def test_a_second_run_on_one_store_is_refused_while_the_first_lasts(tmp_path: Path) -> None:
    with (
        closing(open_database(tmp_path / "s.sqlite")),
        pytest.raises(DataError, match=r"s\.sqlite: another run uses it; wait until it ends"),
    ):
        open_database(tmp_path / "s.sqlite")
    open_database(tmp_path / "s.sqlite").close()


def test_an_output_that_is_a_file_is_said_to_be_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataError, match=f"--output {folder} is not a folder"):
            open_database(folder / "s.sqlite")


def test_a_file_of_something_else_stays_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.sqlite")) as db:
        db.execute("CREATE TABLE other (x)")
    before = (tmp_path / "s.sqlite").read_bytes()
    with pytest.raises(DataError, match="something else"):
        open_database(tmp_path / "s.sqlite")
    (tmp_path / "t.sqlite").write_text("no database at all, but long enough to be looked at")
    with pytest.raises(DataError, match=r"t\.sqlite cannot be opened"):
        open_database(tmp_path / "t.sqlite")
    assert (tmp_path / "s.sqlite").read_bytes() == before


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "s.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="has format 99, but this toxitrace reads format 1"):
        open_database(tmp_path / "s.sqlite")


def test_a_round_lasts_as_long_as_the_index_stays_the_same(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "s.sqlite")) as db:
        store = Store(db)
        assert [store.open_round(mark, 5) for mark in ("a", "a", "b", "b", "a")] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("rates", "retired"),
    [
        ([0.0], False),  # too few trials
        ([0.0, 0.09], True),
        ([0.0, 0.1], False),  # the mean is not below p
        ([0.9, 0.0, 0.0], True),  # the last trials alone count
        ([0.0, 0.0, 0.9], False),
    ],
)
def test_a_pattern_is_retired_by_its_last_trials(rates: list[float], retired: bool) -> None:
    trials = [Trial("笨蛋", number, rate) for number, rate in enumerate(rates, start=1)]
    assert bool(retire(trials, RetireRule(min_tihr=0.05, n_trials=2))) is retired


def test_wordings_searched_in_one_round_are_one_trial() -> None:
    trials = [Trial("笨蛋", 1, 0.0), Trial("笨蛋", 1, 0.02)]
    assert retire(trials, RetireRule(min_tihr=0.05, n_trials=2)) == []


def test_posts_to_score_come_in_groups_of_bounded_length_and_a_long_one_alone(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "s.sqlite")) as db:
        rows = [("a", "长" * 50), ("b", "短"), ("c", "长" * 9)]
        db.executemany("INSERT INTO items (id, text, text_key) VALUES (?, ?, '')", rows)
        groups = [Store(db).unscored_items(n, most) for n, most in ((9, 10), (9, 51), (9, 99), (1, 99))]
    assert [[id for id, _ in group] for group in groups] == [["a"], ["a", "b"], ["a", "b", "c"], ["a"]]


def test_a_plan_counts_queries_and_searches_and_changes_nothing(sittings: Sittings) -> None:
    from operate_doubles import POSTS, FakeDetector, PairEngine

    engine = PairEngine(POSTS)
    tools = Tools(engine, "1", FakeDetector(), "d")
    plan = plan_sitting(sittings.config(flagged("p0", "p2", "p3")), tools)
    assert (plan.n_seeds, plan.n_queries, plan.n_searches, plan.round) == (3, 2, 2, 1)
    assert not sittings.output.exists()
    sittings.sit(flagged("p0"), engine)
    plan = plan_sitting(sittings.config(flagged("p0", "p2")), tools)
    assert (plan.n_seeds, plan.n_queries, plan.n_searches, plan.round) == (1, 1, 1, 1)
    plan = plan_sitting(sittings.config(flagged("p0", "p2")), Tools(engine, "2", FakeDetector(), "d"))
    assert (plan.n_searches, plan.round) == (2, 2)
    plan = plan_sitting(sittings.config(flagged("p0", "p2"), generator="openai:m"), tools)
    assert (plan.n_seeds, plan.n_queries, plan.n_searches) == (2, None, 0)
    assert len(engine.asked) == 1
