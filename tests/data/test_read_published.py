from __future__ import annotations

import json
import logging
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.data import Example, read_cntp, read_cold, read_state_toxicn, read_swsr, read_toxicn
from toxitrace.data.cntp import entity_spans, follow_perturbation
from toxitrace.data.state_toxicn import Quadruple, argument_spans, parse_quadruples
from toxitrace.errors import DataError

Row = dict[str, object]


def dump(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_cold_ids_count_rows_not_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(',split,topic,label,TEXT\n99,train,race,1, 甲 \n3,train,gender,0,"乙\n,丙"\n'.encode("utf-8-sig"))
    assert read_cold(path) == [
        Example("train-0", "甲", 1, "race"),
        Example("train-1", "乙\n,丙", 0, "gender"),
    ]


def test_cold_fine_codes_get_their_names(tmp_path: Path) -> None:
    rows = "".join(f"{i},test,region,{int(i in (1, 2))},{i},文{i}\n" for i in range(4))
    path = tmp_path / "test.csv"
    path.write_bytes((",split,topic,label,fine-grained-label,TEXT\n" + rows).encode("utf-8-sig"))
    examples = read_cold(path)
    assert [e.fine for e in examples] == ["other_non_offensive", "attack_individual", "attack_group", "anti_bias"]
    assert examples[3].id == "test-3"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,test,race,1,9,文", "fine-grained-label is '9'"),
        ("0,test,race,7,1,文", "label is '7'"),
        ("0,,race,1,1,文", "split is empty"),
        ("0,test,race,1,1, ", "text is empty or blank"),
    ],
)
def test_a_bad_cold_row_is_named_by_line(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "test.csv"
    path.write_text(f",split,topic,label,fine-grained-label,TEXT\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_cold(path)
    assert f"{path}:2: " in str(caught.value)


def test_a_file_that_is_not_cold_names_the_columns_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\n文,0\n", encoding="utf-8")
    with pytest.raises(DataError, match="column 'split' is not there; the columns are 'text', 'label'"):
        read_cold(path)


TOXICN_HEADER = "platform,topic,content,toxic,toxic_one_hot,toxic_type,expression,target,length\n"


def test_toxicn_ids_are_row_numbers_and_fine_is_the_type(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TOXICN_HEADER + 'tieba,race,甲,1,"[0, 1]",2,1,"[0, 0, 0, 1, 0, 0]",1\n', encoding="utf-8")
    assert read_toxicn(path) == [Example("0", "甲", 1, "race", fine="hate")]


def test_an_unknown_toxicn_type_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TOXICN_HEADER + "tieba,race,甲,1,x,5,1,x,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"t\.csv:2: toxic_type is '5'"):
        read_toxicn(path)


def test_swsr_keeps_ids_by_row_and_the_category(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(
        "index,weibo_id,comment_text,gender,location,like,date,label,category,target\n"
        "5,a,甲 ,女,上海,0,01/01/2020 10:00,1,SCB,G\n6,b,乙,男,北京,0,01/01/2020 10:00,0,,\n",
        encoding="utf-8",
    )
    assert read_swsr(path) == [
        Example("swsr-0", "甲", 1, "gender", fine="SCB"),
        Example("swsr-1", "乙", 0, "gender"),
    ]


@given(st.text("甲乙丙", max_size=12), st.lists(st.text("甲乙丙", max_size=3), max_size=3))
def test_gold_spans_cover_exactly_the_characters_of_all_occurrences(text: str, entities: list[str]) -> None:
    marked = {
        i + offset
        for entity in entities
        for i in range(len(text))
        if entity and text.startswith(entity, i)
        for offset in range(len(entity))
    }
    spans = entity_spans(text, entities)
    assert {i for start, end in spans for i in range(start, end)} == marked
    assert all(left[1] < right[0] for left, right in pairwise(spans))


def test_cntp_toxic_and_clean_rows_get_their_spans(tmp_path: Path) -> None:
    toxic = {"sentence_id": 4, "original_text": "笨蛋，笨蛋！", "is_toxic": True, "toxic_entity": ["笨", "蛋"]}
    clean = {"sentence_id": 5, "original_text": "你好", "is_toxic": False}
    assert read_cntp(dump(tmp_path / "c.json", [toxic, clean])) == [
        Example("4", "笨蛋，笨蛋！", 1, spans=((0, 2), (3, 5))),
        Example("5", "你好", 0, spans=()),
    ]


def perturbed(text: str) -> Row:
    return {
        "sentence_id": 4,
        "original_text": "你真笨啊",
        "is_toxic": True,
        "toxic_entity": ["笨"],
        "perturbed_text": text,
    }


@pytest.mark.parametrize(("text", "spans"), [("你真ben啊", ((2, 5),)), ("您真ben啊", None)])
def test_a_perturbed_text_gets_spans_only_where_the_rest_is_unchanged(
    tmp_path: Path, text: str, spans: tuple[tuple[int, int], ...] | None
) -> None:
    path = dump(tmp_path / "p.json", {"data": [perturbed(text)], "method": "x"})
    assert read_cntp(path) == [Example("4", text, 1, spans=spans)]


@given(st.lists(st.tuples(st.text("甲乙", min_size=1, max_size=3), st.text("xyz", min_size=1, max_size=3)), max_size=4))
def test_following_a_perturbation_finds_the_replaced_parts(parts: list[tuple[str, str]]) -> None:
    original, changed, before, after = "", "", [], []
    for kept, new in parts:
        original += kept + "丙"
        before.append((len(original) - 1, len(original)))
        changed += kept + new
        after.append((len(changed) - len(new), len(changed)))
    assert follow_perturbation(original, tuple(before), changed) == tuple(after)


def test_a_gold_string_that_is_not_in_its_text_is_counted_and_leaves_spans_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"sentence_id": 4, "original_text": "你好", "is_toxic": True, "toxic_entity": ["坏"]}
    with caplog.at_level(logging.WARNING):
        assert read_cntp(dump(tmp_path / "c.json", [row]))[0].spans is None
    assert "1 gold strings are not in their text" in caplog.text


def test_the_development_layout_drops_zero_width_pairs_and_merges(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    row = {"id": 10, "text": "你真是笨蛋", "label": 1, "spans": [[3, 3], [3, 4], [4, 5]]}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert read_cntp(path) == [Example("10", "你真是笨蛋", 1, spans=((3, 5),))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"sentence_id": 1, "is_toxic": True, "toxic_entity": []}], "row 1: there is no field 'original_text'"),
        ([{"sentence_id": 1, "original_text": "好", "is_toxic": 7}], "row 1: is_toxic is 7"),
        ([{"sentence_id": 1, "original_text": "好", "is_toxic": True}], "row 1: there is no field 'toxic_entity'"),
        ([{"sentence_id": 1, "original_text": "好", "is_toxic": True, "toxic_entity": "坏"}], "no list of strings"),
        ([3], "row 1 is a JSON int"),
        ({"a": 1}, "holds no list of rows"),
        ([], "holds no rows"),
    ],
)
def test_a_bad_cntp_file_says_what_is_wrong(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_cntp(dump(tmp_path / "c.json", content))


def test_broken_json_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('[\n{"sentence_id": 1,\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"c\.json:3: no valid JSON"):
        read_cntp(path)


def test_quadruples_are_split_at_sep_and_end() -> None:
    output = "你 | 笨 | non-hate | non-hate [SEP] NULL | 懒 | Region, Racism | hate [END]"
    assert parse_quadruples(output, "x") == [
        Quadruple("你", "笨", "non-hate", False),
        Quadruple(None, "懒", "Region, Racism", True),
    ]


def test_a_bar_inside_the_argument_stays_there() -> None:
    assert parse_quadruples("你 | 笨|懒 | others | hate [END]", "x") == [Quadruple("你", "笨|懒", "others", True)]


@pytest.mark.parametrize("output", ["你 | 笨 | hate [END]", "你 | 笨 | others | maybe [END]", "你"])
def test_a_malformed_quadruple_is_an_error(output: str) -> None:
    with pytest.raises(DataError, match=r"a\.json: row 3"):
        parse_quadruples(output, "a.json: row 3")


TEXT = "懒人说他懒，那小王懒"  # 懒 at 0, 4, 9; 他 at 3; 小王 at 7


@pytest.mark.parametrize(
    ("target", "argument", "spans"),
    [
        ("小王", "懒", ((9, 10),)),
        ("他", "懒", ((4, 5),)),
        ("懒人", "懒", ((0, 1),)),
        ("不在", "懒", ((0, 1),)),
        (None, "懒", ((0, 1),)),
        ("说", "懒", ((0, 1),)),  # 1 character from both 0 and 4: the first of equals
        ("小王", None, ()),
    ],
)
def test_an_argument_is_taken_where_it_is_nearest_to_its_target(
    target: str | None, argument: str | None, spans: tuple[tuple[int, int], ...]
) -> None:
    assert argument_spans(TEXT, [Quadruple(target, argument, "others", True)]) == (spans, 0)


def test_quadruples_that_are_not_hateful_mark_nothing() -> None:
    assert argument_spans(TEXT, [Quadruple("他", "懒", "non-hate", False)]) == ((), 0)


def test_both_layouts_of_state_toxicn_give_the_same_examples(tmp_path: Path) -> None:
    numbered = {
        "id": 8, "content": TEXT, "topic": "race", "sen_hate": "1",
        "Q1 Target": "他", "Q1 Argument": "懒", "Q1 Group": "Racism", "Q1 hateful": "hate",
        "Q2 Target": "小王", "Q2 Argument": "懒", "Q2 Group": "non-hate", "Q2 hateful": "non-hate",
    }  # fmt: skip
    output = "他 | 懒 | Racism | hate [SEP] 小王 | 懒 | non-hate | non-hate [END]"
    joined = {"id": 8, "content": TEXT, "topic": "race", "output": output}
    expected = [Example("8", TEXT, 1, "race", ((4, 5),))]
    assert read_state_toxicn(dump(tmp_path / "a.json", [numbered])) == expected
    assert read_state_toxicn(dump(tmp_path / "b.json", [joined])) == expected


def test_a_post_without_hateful_quadruple_has_label_0_and_no_evidence(tmp_path: Path) -> None:
    row = {"id": 1, "content": "你好", "output": "NULL | NULL | non-hate | non-hate [END]"}
    assert read_state_toxicn(dump(tmp_path / "a.json", [row])) == [Example("1", "你好", 0, spans=())]


def test_arguments_that_are_not_in_the_post_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = {"id": 1, "content": "你好", "output": "你 | 坏 | others | hate [END]"}
    with caplog.at_level(logging.WARNING):
        assert read_state_toxicn(dump(tmp_path / "a.json", [row]))[0].spans is None
    assert "1 hateful arguments are not in their text" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": 1, "content": "好"}, "no field 'Q1 Target'"),
        ({"id": 1, "content": "好", "Q1 Target": "x"}, "no field 'Q1 Argument'"),
        ({"id": 1, "output": "x"}, "no field 'content'"),
        ({"id": 1, "content": "好", "sen_hate": "7", "output": "a | b | c | hate [END]"}, "sen_hate is '7'"),
    ],
)
def test_a_bad_state_toxicn_row_is_named(tmp_path: Path, row: Row, message: str) -> None:
    with pytest.raises(DataError, match=f"row 1: .*{message}"):
        read_state_toxicn(dump(tmp_path / "a.json", [row]))
