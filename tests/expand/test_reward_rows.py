"""Rewards of files, joined by id; evaluation reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toxitrace.config import Paths
from toxitrace.data.rowfile import write_json, write_rows
from toxitrace.errors import DataError
from toxitrace.evaluation.ranking import score_ranking
from toxitrace.expand import tasks
from toxitrace.expand.beir import read_retrieval_set
from toxitrace.expand.config import EvaluateConfig, PreferencesConfig
from toxitrace.expand.report import RetrievalReport, columns, compare_all, read_systems
from toxitrace.expand.represent import Floats, unit
from toxitrace.expand.reward_rows import preference_pairs, reward_rows
from toxitrace.expand.rewards import expansion_rewards
from toxitrace.expand.systems import expansions_for


def encode(texts: Any) -> Floats:
    """Counts of a few characters."""
    return unit([[text.count(char) + 0.01 for char in "猫狗茶雨的是喜"] for text in texts])


CANDIDATES = {"q1-0": ("狗狗是", "猫的", "", "狗"), "q0-0": ("猫猫猫", "的的")}
ANSWERS = {"q0-0": "喜猫", "q1-0": "喜狗"}


def test_rows_are_what_the_formula_gives_for_each_query(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    rows = {row.id: row for row in reward_rows(data, CANDIDATES, ANSWERS, encode, gate=0.1)}
    assert list(rows) == ["q0-0", "q1-0"]
    texts = [text for text in CANDIDATES["q1-0"] if text]
    vectors = encode(texts)
    document, answer = encode([data.documents["d1"], ANSWERS["q1-0"]])
    found = expansion_rewards((vectors @ document).tolist(), (vectors @ answer).tolist(), 0.1)
    assert [reward for reward in rows["q1-0"].rewards if reward is not None] == pytest.approx(list(found.rewards))
    assert rows["q1-0"].rewards[2] is None  # blank: no candidate, and no rank
    assert rows["q1-0"].document == "d1"


def test_the_order_of_the_files_changes_nothing(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    turned = dict(reversed(CANDIDATES.items()))
    assert list(reward_rows(data, turned, ANSWERS, encode)) == list(reward_rows(data, CANDIDATES, ANSWERS, encode))


def test_rewards_are_not_joined_to_other_candidates(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    rows = {row.id: row for row in reward_rows(data, CANDIDATES, ANSWERS, encode, gate=0.1)}
    with pytest.raises(DataError, match="other candidates"):
        preference_pairs(rows, CANDIDATES | {"q0-0": ("的的", "猫猫猫")}, lambda id: id)


def test_queries_below_the_gate_give_no_pair(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    for gate, n_pairs in ((-2.0, 2), (2.1, 0)):
        rows = {row.id: row for row in reward_rows(data, CANDIDATES, ANSWERS, encode, gate)}
        assert len(preference_pairs(rows, CANDIDATES, lambda id: id)) == n_pairs


def test_pairs_are_written_with_their_prompt_and_the_rest_beside_them(retrieval_set: Path, tmp_path: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    candidates, rewards = tmp_path / "candidates.jsonl", tmp_path / "rewards.jsonl"
    rows = [
        {"id": id, "query": data.queries[id], "candidates": [{"text": text} for text in texts]}
        for id, texts in CANDIDATES.items()
    ]
    write_rows(candidates, rows)
    write_rows(rewards, (row.to_dict() for row in reward_rows(data, CANDIDATES, ANSWERS, encode, gate=-2.0)))
    pytest.importorskip("transformers")
    from toxitrace.expand.dpo import read_pairs

    said: list[str] = []
    config = PreferencesConfig(str(candidates), str(rewards), str(tmp_path / "pairs.jsonl"), dev_share=0.0)
    assert tasks.preferences(config, said.append) == 2
    pairs = {pair.id: pair for pair in read_pairs(config.output)}
    assert pairs["q0-0"].prompt == "问题：什么是猫？\n短文："
    assert pairs["q0-0"].chosen == "猫猫猫"
    assert (tmp_path / "pairs-dev.jsonl").read_text() == ""
    assert "2 pairs" in said[0]


def test_files_without_a_common_query_are_refused(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    with pytest.raises(DataError, match="has both candidates and an answer"):
        list(reward_rows(data, {"other": ("猫",)}, ANSWERS, encode))


def test_a_query_with_a_blank_expansion_stands_for_itself_and_is_counted(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    written = {id: ("",) if id == "q0-0" else (f"{id}?",) for id in data.queries}
    texts, n_blank = expansions_for(data, written, "x.jsonl")
    assert (texts["q0-0"], texts["q0-1"], n_blank) == (data.queries["q0-0"], "q0-1?", 1)
    with pytest.raises(DataError, match="no row for 7 of 8 queries"):
        expansions_for(data, {"q0-0": ("猫",)}, "x.jsonl")


def test_an_evaluation_without_any_model_writes_every_query_and_compares_with_an_earlier_one(
    retrieval_set: Path, tmp_path: Path
) -> None:
    first = EvaluateConfig(data=str(retrieval_set), split="dev", output=str(tmp_path / "first.json"))
    report = tasks.evaluate(first)
    assert report.systems["bm25"].mean("recall@100") == 1.0
    expansions = tmp_path / "expansions.jsonl"
    queries = read_retrieval_set(retrieval_set, "dev").queries
    write_rows(expansions, ({"id": id, "expansion": "人们喜欢雪"} for id in queries))
    second = EvaluateConfig(
        data=str(retrieval_set),
        split="dev",
        systems=Paths(("bm25", "bm25-expanded")),
        expansions=str(expansions),
        against=first.output,
    )
    found = tasks.evaluate(second)
    named = {(c.system, c.baseline) for c in found.comparisons}
    assert named == {("bm25-expanded", "bm25"), ("bm25", "first: bm25"), ("bm25-expanded", "first: bm25")}
    rows = found.to_rows()
    assert len(rows[0]) == len(columns())
    assert [row[0] for row in rows] == ["bm25", "bm25-expanded"]


def test_reports_of_another_split_are_not_compared(tmp_path: Path) -> None:
    scores = score_ranking({"q": {"a": 1}}, {"q": {"a": 1.0}})
    report = RetrievalReport("x/dev", {"s": scores}, compare_all({"s": scores}, {"s": scores}))
    assert report.comparisons == ()
    write_json(tmp_path / "r.json", report.to_dict())
    assert read_systems(tmp_path / "r.json", "x/dev")["r: s"].mean("map") == 1.0
    with pytest.raises(DataError, match="is about x/dev"):
        read_systems(tmp_path / "r.json", "x/test")
