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


def test_a_higher_budget_begins_another_list_and_leaves_the_first_as_it_is(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2"), budget=1)
    before = (sittings.output / "review-0001.jsonl").read_bytes()
    for _ in range(2):
        sittings.sit(flagged("p0", "p2"), budget=2)
        assert (sittings.output / "review-0001.jsonl").read_bytes() == before
        assert [row["id"] for row in sittings.review(2)] == ["p1"]
        assert not (sittings.output / "review-0003.jsonl").exists()
    assert f"no further posts to review; the last list is {sittings.output / 'review-0002.jsonl'}" in sittings.said


def test_posts_that_the_budget_left_out_are_counted_until_they_are_listed(sittings: Sittings) -> None:
    said = "2 more found posts are on no list yet: the next searches bring them, or --budget above 1 does"
    for _ in range(2):
        sittings.sit(flagged("p0", "p2"), budget=1)
        assert said in sittings.said
    assert said in (sittings.output / "report.html").read_text()
    sittings.sit(flagged("p0", "p2"), budget=3)
    assert not any("on no list yet" in line for line in sittings.said)


def test_a_list_of_another_store_is_not_taken_for_its_own(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    (sittings.output / "store.sqlite").unlink()
    before = (sittings.output / "review-0001.jsonl").read_bytes()
    with pytest.raises(DataError, match=r"review-0001\.jsonl, which its store\.sqlite knows nothing of"):
        sittings.sit(flagged("p0"))
    assert (sittings.output / "review-0001.jsonl").read_bytes() == before
    (sittings.output / "review-0001.jsonl").unlink()
    sittings.sit(flagged("p0"))
    assert (sittings.output / "review-0001.jsonl").read_bytes() == before


def test_verdicts_leave_a_written_list_as_it_is(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2"))
    before = (sittings.output / "review-0001.jsonl").read_bytes()
    labels = write(sittings.folder / "labels.jsonl", [{"id": "p3", "label": 1}])
    sittings.sit(flagged("p0", "p2"), labels=labels)
    assert (sittings.output / "review-0001.jsonl").read_bytes() == before
    assert "of 1 with a label 100.0% are toxic" in (sittings.output / "report.html").read_text()


def test_a_list_that_was_moved_away_does_not_come_back_with_the_next_one(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"), budget=1)
    (sittings.output / "review-0001.jsonl").unlink()
    sittings.sit(flagged("p0"), budget=9)
    assert [path.name for path in sittings.output.glob("review-*")] == ["review-0002.jsonl"]


def test_posts_with_a_verdict_are_counted_and_not_listed(sittings: Sittings) -> None:
    labels = write(sittings.folder / "labels.jsonl", [{"id": "p3", "label": 1}, {"id": "p7", "label": 0}])
    sittings.sit(flagged("p0", "p2"), labels=labels)
    assert [row["id"] for row in sittings.review()] == ["p1"]
    said = "2 found posts have a verdict in --labels and are not listed for review"
    assert said in sittings.said
    assert said in (sittings.output / "report.html").read_text()


def test_it_is_said_when_all_that_is_toxic_is_flagged_already(sittings: Sittings) -> None:
    toxic = ("p0", "p1", "p2", "p3", "p7")
    sittings.sit(flagged(*toxic))
    (warning,) = [line for line in sittings.said if line.startswith("warning: ")]
    assert "nothing new was found" in warning
    assert "nothing new was found" in (sittings.output / "report.html").read_text()
    sittings.sit(flagged(*toxic[:-1]), generator="whole")
    said = "the detector calls no result toxic but 5 flagged items"
    assert any(said in line for line in sittings.said)


def test_nothing_of_the_kind_is_said_when_something_new_was_found(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2"))
    assert not any("warning" in line for line in sittings.said)


def test_a_file_of_items_that_was_not_indexed_ends_the_sitting(sittings: Sittings) -> None:
    other = {f"q{n}": text for n, text in enumerate(POSTS.values())}
    for _ in range(2):
        ending = sittings.sit(flagged("p0", "p2"), PairEngine(POSTS), posts=other, batch=1)
        assert ending.reason.startswith("--items is not the file that was indexed")
        assert ending.advice == "the command with the right --items goes on"
        assert not ending.complete
    assert ending.n_seeds_left == 1  # nothing more is spent on it
    assert not (sittings.output / "review-0001.jsonl").exists()
    assert sittings.sit(flagged("p0", "p2")).complete
    assert sittings.review()


def test_an_empty_file_of_flagged_items_is_said_to_be_empty(sittings: Sittings) -> None:
    with pytest.raises(DataError, match=r"--flagged .*flagged\.jsonl is empty; expected items"):
        sittings.sit([])
    with pytest.raises(DataError, match="no flagged item is toxic"):
        sittings.sit([{"text": "早上好"}])


def test_the_report_has_no_empty_tables(sittings: Sittings) -> None:
    sittings.sit(flagged("p0"))
    page = (sittings.output / "report.html").read_text()
    assert "Queries that found most" in page
    assert "Labels against detector" not in page
    assert "Queries that are retired" not in page


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
    assert all(said in page for said in ("0.500, 1.000", "base rate 0.250", "Labels against detector"))


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
    assert sittings.queries()["笨蛋"]["tihr"] == 0.5
    assert [row["probability"] for row in sittings.review()] == [0.9, 0.8]  # a written list stays as it is


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


def test_progress_counts_over_the_run_not_the_batch(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2", "p6"), batch=1)
    assert sittings.progress == [(1, 2), (2, 1), (3, 0)]
    sittings.sit(flagged("p0", "p2", "p6", "p7"), mark="2", batch=1)
    assert sittings.progress == [(1, 2), (2, 1), (3, 0)]


def test_progress_counts_no_further_than_the_quota(sittings: Sittings) -> None:
    sittings.sit(flagged("p0", "p2", "p6"), max_searches=2)
    assert sittings.progress == [(1, 1), (2, 0)]
