from __future__ import annotations

from typing import Any

import pytest
from made_platform import flagged_rows, platform_rows, query_rows

from toxitrace.errors import ConfigError
from toxitrace.explore import SeedItem
from toxitrace.explore.tasks.judging import Judging
from toxitrace.explore.tasks.make_preferences import PairSettings, make_preferences

pytest.importorskip("bm25s", reason="the explore extra is not installed")
pytest.importorskip("sklearn", reason="the train extra is not installed")

ITEMS = [SeedItem(row["id"], row["text"], tuple(map(tuple, row["spans"]))) for row in flagged_rows()]
NOTES = {row["id"]: row["queries"] for row in query_rows()}


@pytest.fixture(scope="module")
def searching() -> tuple[Any, Judging]:
    from toxitrace.search import BM25Engine, Item

    engine = BM25Engine()
    engine.index(Item(row["id"], row["text"]) for row in platform_rows())
    return engine, Judging({row["id"]: bool(row["toxic"]) for row in platform_rows()})


def test_single_items_and_groups_give_balanced_pairs(searching: tuple[Any, Judging]) -> None:
    pairs, report = make_preferences(ITEMS, NOTES, {}, *searching, PairSettings())
    assert report.n_single == 36
    assert report.n_grouped == report.n_groups > 0
    assert len(pairs) == report.n_single + report.n_grouped
    single = next(pair for pair in pairs if pair.item_ids == ("t00",))
    assert (single.chosen, single.rejected, single.reward_chosen, single.reward_rejected) == ("笨蛋", "公园", 1.0, 0.0)
    assert all(pair.chosen.count("\n") == pair.rejected.count("\n") for pair in pairs)


def test_no_item_of_a_group_counts_as_its_own_result(searching: tuple[Any, Judging]) -> None:
    engine, judging = searching
    hidden: list[set[str]] = []

    class Watching:
        def search_many(self, queries: Any, k: int = 100, exclude: Any = None) -> Any:
            hidden.extend(set(ids) for ids in exclude)
            return engine.search_many(queries, k, exclude)

    pairs, _ = make_preferences(ITEMS, NOTES, {}, Watching(), judging, PairSettings())  # type: ignore[arg-type]
    assert {frozenset(pair.item_ids) for pair in pairs} <= {frozenset(ids) for ids in hidden}


def test_a_models_own_queries_are_paired_best_against_worst(searching: tuple[Any, Judging]) -> None:
    sampled = {"t00": ["公园", "笨蛋", "笨蛋 公园"], "t10": ["骗子"]}
    pairs, report = make_preferences(ITEMS, {}, sampled, *searching, PairSettings(max_pairs=1))
    assert [(pair.item_ids, pair.chosen, pair.rejected) for pair in pairs] == [(("t00",), "笨蛋", "公园")]
    assert (report.n_sampled, report.n_without_pair) == (1, 1)


def test_a_share_of_groups_is_kept_to_and_the_order_is_the_seeds(searching: tuple[Any, Judging]) -> None:
    pairs, report = make_preferences(ITEMS, NOTES, {}, *searching, PairSettings(share=0.25))
    assert report.n_grouped / len(pairs) == pytest.approx(0.25, abs=0.05)
    again, _ = make_preferences(ITEMS[::-1], NOTES, {}, *searching, PairSettings(share=0.25))
    assert {pair.item_ids for pair in pairs if len(pair.item_ids) > 1}
    assert make_preferences(ITEMS, NOTES, {}, *searching, PairSettings(share=0.25))[0] == pairs
    assert len(again) == len(pairs)


@pytest.mark.parametrize(("name", "value"), [("share", 1.5), ("group_size", 0), ("k", 0), ("max_queries", 0)])
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} is"):
        PairSettings(**{name: value})  # type: ignore[arg-type]
