from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import judged

from toxitrace.errors import DataError
from toxitrace.explore import (
    Compared,
    Judged,
    Preference,
    QueryRecord,
    SeedItem,
    comparison_pairs,
    demonstrations,
    mix,
    read_demonstrations,
    read_preferences,
    render,
    sampled_pairs,
    write_rows,
)
from toxitrace.explore.training_rows import trl_rows

ITEMS = (SeedItem("a", "你真是个笨蛋", ((4, 6),)), SeedItem("b", "他是大骗子", ((2, 5),)))
ALL_TOXIC, HALF, POOR, NONE = "1+ 2+", "1+ 2-", "1+ " + " ".join(f"h{i}-" for i in range(19)), "2- 3-"


def compared(*queries: tuple[str, str]) -> Compared:
    return Compared(ITEMS, tuple(judged(query, flags) for query, flags in queries))


def test_d_comp_splits_at_the_threshold_which_itself_is_bad() -> None:
    pairs = comparison_pairs([compared(("好", ALL_TOXIC), ("差", POOR))], style="compact")
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("好", "差")]
    assert (pairs[0].reward_chosen, pairs[0].reward_rejected) == (1.0, 0.05)
    assert pairs[0].item_ids == ("a", "b")
    assert pairs[0].prompt == render(ITEMS, "compact")


def test_another_threshold_is_another_split() -> None:
    assert not comparison_pairs([compared(("好", ALL_TOXIC), ("差", POOR))], style="compact", threshold=0.04)


def test_a_prompt_without_queries_on_both_sides_gives_no_pair() -> None:
    assert not comparison_pairs([compared(("好", ALL_TOXIC), ("佳", HALF)), compared(("差", NONE))], style="chat")


def test_both_sides_have_equally_many_queries_the_best_and_the_worst() -> None:
    rows = compared(("好", ALL_TOXIC), ("佳", HALF), ("优", HALF), ("差", NONE), ("次", POOR))
    (pair,) = comparison_pairs([rows], style="compact")
    assert pair.chosen.split("\n") == ["好", "优"]
    assert pair.rejected.split("\n") == ["次", "差"]
    assert (pair.reward_chosen, pair.reward_rejected) == (0.75, 0.025)


@given(st.lists(st.tuples(st.text("笨蛋骗子懒虫", min_size=1, max_size=4), st.booleans()), max_size=12))
def test_chosen_and_rejected_never_differ_in_length_or_share_a_query(queries: list[tuple[str, bool]]) -> None:
    rows = Compared(ITEMS, tuple(Judged(query, ("x",), (toxic,)) for query, toxic in queries))
    for pair in [
        *comparison_pairs([rows], style="compact", max_queries=2),
        *sampled_pairs([rows], style="compact", n_queries=2),
    ]:
        chosen, rejected = pair.chosen.split("\n"), pair.rejected.split("\n")
        assert len(chosen) == len(rejected) == len(set(chosen) | set(rejected)) / 2
        assert pair.reward_chosen > pair.reward_rejected


def test_pairs_do_not_depend_on_the_order_of_the_queries() -> None:
    queries = [("好", ALL_TOXIC), ("佳", HALF), ("差", NONE), ("次", POOR), ("劣", NONE)]
    shuffled = random.Random(1).sample(queries, len(queries))
    for make in (comparison_pairs, sampled_pairs):
        assert make([compared(*queries)], style="compact") == make([compared(*shuffled)], style="compact")


def test_sampled_queries_are_paired_from_the_ends_while_the_gap_is_wide_enough() -> None:
    rows = compared(("好", ALL_TOXIC), ("佳", HALF), ("差", NONE), ("次", POOR))
    pairs = sampled_pairs([rows], style="compact", max_pairs=5, min_gap=0.4)
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("好", "差"), ("佳", "次")]
    assert len(sampled_pairs([rows], style="compact", max_pairs=5, min_gap=0.5)) == 1


def test_another_reward_can_rank() -> None:
    rows = compared(("好", ALL_TOXIC), ("长长", HALF))
    (pair,) = sampled_pairs([rows], style="compact", reward=lambda one: float(len(one.query)))
    assert pair.chosen == "长长"


def test_a_mixture_has_the_share_that_was_asked_for() -> None:
    several = [Preference("p", f"好{i}", "差", 1.0, 0.0, ("a", "b")) for i in range(30)]
    single = [Preference("p", f"佳{i}", "差", 1.0, 0.0, ("a",)) for i in range(100)]
    mixed = mix(several, single, 0.25, seed=1)
    assert sum(len(pair.item_ids) > 1 for pair in mixed) == 30
    assert len(mixed) == 120
    assert mixed == mix(several, single, 0.25, seed=1)
    assert len(mix(several, single, 0.0, seed=1)) == 100
    assert len(mix(several, single, 1.0, seed=1)) == 30


def test_a_pair_whose_chosen_reply_earns_no_more_is_refused() -> None:
    with pytest.raises(DataError, match="chosen"):
        Preference("p", "好", "差", 0.5, 0.5, ("a",))
    with pytest.raises(DataError, match="the same"):
        Preference("p", "好", "好", 0.6, 0.5, ("a",))


def test_preferences_come_back_as_they_were_written(tmp_path: Path) -> None:
    pairs = comparison_pairs([compared(("好", ALL_TOXIC), ("差", NONE))], style="chat")
    assert write_rows(pairs, tmp_path / "p.jsonl") == 1
    assert read_preferences(tmp_path / "p.jsonl") == pairs
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_a_bad_row_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "p", "chosen": "", "rejected": "b", "reward_chosen": 1, "reward_rejected": 0}\n')
    with pytest.raises(DataError, match=r"p\.jsonl:1: chosen"):
        read_preferences(path)


def test_demonstrations_take_the_first_query_of_every_item_before_the_second_of_any(tmp_path: Path) -> None:
    records = [QueryRecord("a", "笨蛋", 0), QueryRecord("a", "大笨蛋", 1), QueryRecord("b", "骗子", 0)]
    rows = demonstrations([ITEMS, ITEMS[:1], [SeedItem("z", "没有")]], records, style="compact")
    assert [row.completion for row in rows] == ["笨蛋\n骗子\n大笨蛋", "笨蛋\n大笨蛋"]
    write_rows(rows, tmp_path / "d.jsonl")
    assert read_demonstrations(tmp_path / "d.jsonl") == rows


def test_trl_gets_strings_for_compact_and_messages_for_chat_models() -> None:
    records = [QueryRecord("a", "笨蛋", 0)]
    (compact,) = trl_rows(demonstrations([ITEMS], records, style="compact"), "compact")
    (chat,) = trl_rows(demonstrations([ITEMS], records, style="chat"), "chat")
    assert compact == {"prompt": render(ITEMS, "compact"), "completion": "笨蛋"}
    assert [message["role"] for message in chat["prompt"]] == ["system", "user"]
    assert chat["completion"] == [{"role": "assistant", "content": "笨蛋"}]


def test_rows_of_another_style_than_the_model_are_refused() -> None:
    with pytest.raises(DataError, match="style"):
        trl_rows(demonstrations([ITEMS], [QueryRecord("a", "笨蛋", 0)], style="chat"), "compact")
    with pytest.raises(DataError, match="no rows"):
        trl_rows([], "compact")
