"""Clauses as short training texts of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.config import DataConfig, Paths
from toxitrace.data.clauses import clause_examples
from toxitrace.data.load import load_labelled
from toxitrace.data.records import Example

LONG = Example("a", "今天天气不错，你真是个大笨蛋！我们走吧，再见了。", 1, "race", ((8, 13),), "attack")


def test_one_clause_with_evidence_and_one_without() -> None:
    toxic, rest = clause_examples([LONG], seed=1)
    assert (toxic.id, toxic.text, toxic.label, toxic.topic) == ("a#evidence", "你真是个大笨蛋！", 1, "race")
    assert toxic.evidence == LONG.evidence
    assert (rest.id, rest.label, rest.spans) == ("a#rest", 0, ())
    assert rest.text in ("今天天气不错，", "我们走吧，")  # 再见了 is too short to be judged


@pytest.mark.parametrize(
    "example",
    [
        Example("a", LONG.text, 0, spans=((8, 13),)),
        Example("a", LONG.text, 1),
        Example("a", LONG.text, 1, spans=()),
        Example("a", LONG.text, None, spans=((8, 13),)),
        Example("a", "你真是个大笨蛋", 1, spans=((4, 7),)),
    ],
    ids=["doubtful", "unread", "without evidence", "without label", "one clause"],
)
def test_other_texts_give_nothing(example: Example) -> None:
    assert clause_examples([example], seed=1) == []


@pytest.mark.parametrize("spans", [None, ()])
def test_a_clean_text_gives_a_clean_clause(spans: tuple[tuple[int, int], ...] | None) -> None:
    (clause,) = clause_examples([Example("c", LONG.text, 0, spans=spans)], seed=1)
    assert (clause.id, clause.label, clause.spans) == ("c#rest", 0, ())
    assert clause.text in LONG.text
    assert clause.text != LONG.text


def test_evidence_across_a_comma_is_cut_at_the_clause() -> None:
    text = "你就是笨蛋，大大的笨蛋呀，天气真的不错"
    toxic, rest = clause_examples([Example("b", text, 1, spans=((3, 10),))], seed=3)
    assert toxic.text in ("你就是笨蛋，", "大大的笨蛋呀，")
    assert toxic.evidence in (("笨蛋，",), ("大大的笨",))
    assert rest.text == "天气真的不错"


def test_the_draw_depends_on_seed_and_id_alone() -> None:
    others = [Example(str(i), LONG.text, 1, spans=LONG.spans) for i in range(40)]
    one = {e.id: e for e in clause_examples(others, seed=1)}
    assert {e.id: e for e in clause_examples(reversed(others), seed=1)} == one
    assert len({e.text for e in one.values()}) == 3  # both harmless clauses get drawn
    assert {e.id: e for e in clause_examples(others, seed=2)} != one


@given(st.text(alphabet="你笨蛋好a，。！？\u2028\n \u200b😀", max_size=40), st.data())
def test_clauses_are_valid_stretches_of_their_text(text: str, data: st.DataObject) -> None:
    if not text:
        return
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    for clause in clause_examples([Example("x", text, 1, spans=((start, end),))], seed=1):
        assert clause.text in text
        assert bool(clause.spans) is bool(clause.label)
        assert all(part in text[start:end] for part in clause.evidence)


def test_loaded_when_the_config_says_so(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    row = {"id": LONG.id, "text": LONG.text, "label": 1, "spans": [[8, 13]]}
    file.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    plain = load_labelled(DataConfig(train=Paths([str(file)])))
    assert [e.id for e in plain.train] == ["a"]
    assert [e.id for e in load_labelled(DataConfig(train=Paths([str(file)]), clauses=True)).train] == [
        "a", "a#evidence", "a#rest",
    ]  # fmt: skip
