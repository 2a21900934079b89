"""Whole sittings: what is searched, listed, preferred and retired, and what happens the next time."""

from __future__ import annotations

import pytest
from operate_doubles import POSTS, FakeDetector, PairEngine, Sittings, flagged, rows, write

from toxitrace.errors import ConfigError, DataError
from toxitrace.explore import read_preferences
from toxitrace.explore.operate import PairSettings, RetireRule


def test_found_posts_are_listed_by_score_without_the_flagged_ones(sittings: Sittings) -> None:
    ending = sittings.sit(flagged("p0", "p2"))
    assert ending.complete
    assert ending.n_searches == 2
    assert [row["id"] for row in sittings.review()] == ["p3", "p1", "p7"]
    assert sittings.review()[0]["queries"] == ["骗子", "笨蛋"]
    assert sittings.review()[0]["spans"][0] == {"start": 3, "end": 5, "text": "笨蛋", "score": 0.9}


def test_an_item_is_never_among_the_results_of_its_own_query(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    assert sittings.queries()["笨蛋"]["n_results"] == 2


def test_the_same_command_again_searches_nothing_and_lists_nothing_new(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2"))
    before = sittings.review()
    engine = PairEngine(POSTS)
    assert sittings.sit(flagged("p0", "p2"), engine).n_searches == 0
    assert engine.asked == []
    assert sittings.review() == before
    assert not (sittings.output / "review-0002.jsonl").exists()


def test_a_higher_budget_fills_the_list_up(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2"), budget=1)
    assert [row["id"] for row in sittings.review()] == ["p3"]
    sittings.sit(flagged("p0", "p2"), budget=2)
    assert [row["id"] for row in sittings.review()] == ["p3", "p1"]


def test_a_new_list_names_no_post_of_the_old_one(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"), budget=1)
    sittings.sit(flagged("p0", "p2"), budget=9)
    ids = [row["id"] for number in (1, 2) for row in sittings.review(number)]
    assert ids == ["p3", "p1", "p7"]


def test_spellings_of_one_query_are_searched_once(sittings: Sittings) -> None:
    engine = PairEngine(POSTS)
    seeds = [
        {"id": id, "text": f"{word}{id}", "toxic": True, "spans": [[0, len(word)]]}
        for id, word in (("a", "大骗子"), ("b", "大騙子"), ("c", "大\u200b骗子"))
    ]
    sittings.sit(seeds, engine)
    assert engine.asked == ["大骗子"]
    assert sittings.queries()["大骗子"]["item_ids"] == ["a", "b", "c"]


def test_a_changed_index_begins_a_round_in_which_known_queries_are_searched_once_more(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    posts = POSTS | {"p8": "又一个笨蛋"}
    engine = PairEngine(posts)
    assert sittings.sit(flagged("p0"), engine, posts=posts, mark="2").n_searches == 1
    assert sittings.sit(flagged("p0"), engine, posts=posts, mark="2").n_searches == 0
    assert engine.asked == ["笨蛋"]
    assert sittings.queries()["笨蛋"]["n_rounds"] == 2
    assert [row["id"] for row in sittings.review(2)] == ["p8"]


def test_a_query_that_finds_too_little_in_n_rounds_is_retired_with_its_other_wordings(sittings: Sittings) -> None:
    bad = [{"id": "x", "text": "公园 今天笨蛋", "toxic": True, "spans": [[0, 5]]}]
    for mark in ("1", "2"):
        sittings.sit(bad, mark=mark, retire=RetireRule(min_tihr=0.5, n_trials=2))
    assert sittings.queries()["公园 今天"]["retired"]
    engine = PairEngine(POSTS)
    other = [{"id": "y", "text": "今天，公园笨蛋", "toxic": True, "spans": [[0, 5]]}]
    assert sittings.sit(bad + other, engine, mark="3").n_searches == 0
    assert engine.asked == []


def test_a_quota_of_searches_leaves_the_others_for_the_next_sitting(sittings: Sittings) -> None:
    ending = sittings.sit(flagged("p0", "p2"), max_searches=1)
    assert (ending.complete, ending.n_searches, ending.n_searches_left) == (True, 1, 1)
    assert sittings.sit(flagged("p0", "p2"), max_searches=1).n_searches_left == 0


def test_labels_and_detector_are_both_kept_and_their_difference_is_said(sittings: Sittings) -> None:
    labels = write(sittings.folder / "labels.jsonl", ({"id": id, "toxic": id in ("p1", "p3")} for id in POSTS))
    sittings.sit(flagged("p2"), labels=labels)
    row = sittings.queries()["骗子"]
    assert (row["tihr"], row["tihr_label"], row["tihr_detector"]) == (0.5, 0.5, 1.0)
    assert any("agree on 50.0% of 2 posts" in line for line in sittings.said)
    page = (sittings.output / "report.html").read_text()
    assert all(said in page for said in ("0.500, 1.000", "base rate 0.250", "of 2 with a label 50.0% are toxic"))


def test_reviewers_verdicts_change_what_a_query_is_worth_without_a_search(sittings: Sittings) -> None:
    sittings.sit(flagged("p2"))
    assert sittings.queries()["骗子"]["tihr"] == 1.0
    labels = write(sittings.folder / "labels.jsonl", [{"id": "p7", "label": 0}])
    assert sittings.sit(flagged("p2"), labels=labels).n_searches == 0
    assert sittings.queries()["骗子"]["tihr"] == 0.5


def test_a_review_list_is_no_file_of_verdicts_until_somebody_decides(sittings: Sittings) -> None:
    sittings.sit(flagged("p2"))
    with pytest.raises(DataError, match="holds no verdicts"):
        sittings.sit(flagged("p2"), labels=str(sittings.output / "review-0001.jsonl"))


def test_another_detector_scores_everything_anew(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    detector = FakeDetector(["又来"])
    sittings.sit(flagged("p0"), detector=detector, detector_mark="e")
    assert sittings.queries()["笨蛋"]["tihr_detector"] == 0.5
    assert {row["id"]: row["toxic"] for row in sittings.review()} == {"p3": False, "p1": True}


def test_good_and_bad_queries_of_an_item_become_preferences(sittings: Sittings) -> None:
    seed = {"id": "x", "text": "笨蛋，今天天气", "toxic": True, "spans": [[0, 2], [3, 7]]}
    sittings.sit([seed])
    (pair,) = read_preferences(sittings.output / "preferences.jsonl")
    assert (pair.chosen, pair.rejected, pair.item_ids) == ("笨蛋", "今天天气", ("x",))
    assert (pair.reward_chosen, pair.reward_rejected) == (1.0, 0.0)


def test_similar_items_are_preferred_together_if_wanted(sittings: Sittings) -> None:
    pytest.importorskip("sklearn")
    seeds = [
        {"id": "x", "text": "今天天气不好大笨蛋", "toxic": True, "spans": [[0, 4]]},
        {"id": "y", "text": "天气不好大骗子笨蛋", "toxic": True, "spans": [[7, 9]]},
    ]
    sittings.sit(seeds, pairs=PairSettings(group_size=2, group_similarity=0.1))
    (pair,) = read_preferences(sittings.output / "preferences.jsonl")
    assert (pair.item_ids, pair.chosen, pair.rejected) == (("x", "y"), "笨蛋", "今天天气")


def test_plain_texts_are_scored_first_and_clean_ones_make_no_queries(sittings: Sittings) -> None:
    engine = PairEngine(POSTS)
    sittings.sit([{"text": "你真是个笨蛋"}, {"text": "早上好，吃了吗"}], engine)
    assert engine.asked == ["笨蛋"]


def test_a_flagged_text_without_an_id_is_neither_its_own_result_nor_listed(sittings: Sittings) -> None:
    sittings.sit([{"text": POSTS["p0"]}])
    assert sittings.queries()["笨蛋"]["n_results"] == 2
    assert [row["id"] for row in sittings.review()] == ["p3", "p1"]


def test_posts_below_the_least_probability_are_not_listed(sittings: Sittings) -> None:
    sittings.sit([{"id": "x", "text": "今天笨蛋", "toxic": True, "spans": [[0, 4]]}], min_probability=0.5)
    assert [row["id"] for row in sittings.review()] == ["p3", "p0", "p1"]


def test_several_generators_share_a_store(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    sittings.sit(flagged("p0"), generator="whole")
    assert sittings.queries()["你真是个笨蛋"]["generators"] == ["whole"]
    assert set(sittings.queries()) == {"笨蛋", "你真是个笨蛋"}


def test_a_review_list_goes_back_in_as_flagged_items(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    engine = PairEngine(POSTS)
    sittings.sit(rows(sittings.output / "review-0001.jsonl"), engine)
    assert engine.asked == ["骗子"]


def test_another_k_is_refused(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    with pytest.raises(ConfigError, match=r"--k is 20, but the store .* was made with 10"):
        sittings.sit(flagged("p0"), k=20)


def test_progress_counts_searches(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2"))
    assert sittings.progress == [(1, 1), (2, 0)]
